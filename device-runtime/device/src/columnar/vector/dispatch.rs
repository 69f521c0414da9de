//! The loops once for each instruction set, and which of them a processor may be asked for.

// Elsewhere there is nothing to choose.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls functions made for instructions that not every processor has")
)]

use super::lanes::Lane;
use super::loops::{self, Word};

/// An instruction set that this processor has: values are only made where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct InstructionSet(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What every processor of the target has: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl InstructionSet {
    /// Those of this processor, the best last.
    pub(in super::super) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let kinds = {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
            [Some(Kind::Baseline), avx2.then_some(Kind::Avx2), avx512.then_some(Kind::Avx512)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let kinds = [Some(Kind::Baseline)];
        kinds.into_iter().flatten().map(Self)
    }

    /// The best one of this processor. The standard library remembers what it has detected.
    pub(in super::super) fn best() -> Self {
        Self::available().last().unwrap_or(Self(Kind::Baseline))
    }
}

macro_rules! kernels {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $($(#[$meta])* pub(super) fn $name<L: Lane>(set: InstructionSet, $($argument: $type),*) $(-> $result)? {
            match set.0 {
                Kind::Baseline => loops::$name::<L>($($argument),*),
                // SAFETY: there is no such `InstructionSet` where the processor does not have AVX2; see `available`.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => unsafe { avx2::$name::<L>($($argument),*) },
                // SAFETY: the same for AVX-512 F, BW, VL and DQ.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => unsafe { avx512::$name::<L>($($argument),*) },
            }
        })*

        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::*;

            $(#[target_feature(enable = "avx2")]
            pub(super) fn $name<L: Lane>($($argument: $type),*) $(-> $result)? {
                loops::$name::<L>($($argument),*)
            })*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::*;

            $(#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
            pub(super) fn $name<L: Lane>($($argument: $type),*) $(-> $result)? {
                loops::$name::<L>($($argument),*)
            })*
        }
    };
}

kernels! {
    /// See [`loops::within`].
    fn within(values: &[u8], low: L::Key, span: L::Key, out: &mut [Word]);
    /// See [`loops::less`].
    fn less(left: &[u8], right: &[u8], out: &mut [Word]);
    /// See [`loops::equal`].
    fn equal(left: &[u8], right: &[u8], out: &mut [Word]);
    /// See [`loops::sum`].
    fn sum(values: &[u8], selected: &[Word]) -> u128;
    /// See [`loops::least`].
    fn least(values: &[u8], selected: &[Word], flip: L::Key) -> L::Key;
}
