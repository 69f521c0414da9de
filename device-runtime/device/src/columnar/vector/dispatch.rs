//! The loops once for each instruction set, and which of them a processor may be asked for.

// Elsewhere there is nothing to choose.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls functions made for instructions that not every processor has")
)]

use super::lanes::Lane;
use super::loops::{self, Portable, Word};
use super::products::Factor;

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
    ($($(#[$meta:meta])* fn $name:ident<$bound:ident>($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $($(#[$meta])* pub(super) fn $name<L: $bound>(set: InstructionSet, $($argument: $type),*) $(-> $result)? {
            match set.0 {
                Kind::Baseline => loops::$name::<Portable, L>($($argument),*),
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
            pub(super) fn $name<L: $bound>($($argument: $type),*) $(-> $result)? {
                loops::$name::<fold::Avx2, L>($($argument),*)
            })*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::*;

            $(#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
            pub(super) fn $name<L: $bound>($($argument: $type),*) $(-> $result)? {
                loops::$name::<fold::Avx512, L>($($argument),*)
            })*
        }
    };
}

/// What takes bytes to bits in one or two instructions. For `avx2` and `avx512` below, whose processors have them.
#[cfg(target_arch = "x86_64")]
mod fold {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_movemask_epi8, _mm256_slli_epi16, _mm512_cmple_epu8_mask, _mm512_cmple_epu16_mask,
        _mm512_cmple_epu32_mask, _mm512_cmple_epu64_mask, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
        _mm512_set1_epi64, _mm512_test_epi8_mask,
    };
    use std::mem::transmute_copy;

    use super::super::lanes::Key;
    use super::loops::{Instructions, WORD_ROWS, Word, gather};

    pub(super) struct Avx2;

    impl Instructions for Avx2 {
        #[inline(always)]
        fn fold(truths: &[u8; WORD_ROWS]) -> Word {
            // SAFETY: both types are 64 bytes, and any bytes are vectors.
            let halves: [__m256i; 2] = unsafe { std::mem::transmute(*truths) };
            // SAFETY: only `avx2::*` name this type, and are called where there is AVX2.
            let [low, high] = halves.map(|half| unsafe { _mm256_movemask_epi8(_mm256_slli_epi16::<7>(half)) } as u32);
            (u64::from(high) << 32 | u64::from(low)).to_le_bytes()
        }
    }

    pub(super) struct Avx512;

    impl Instructions for Avx512 {
        #[inline(always)]
        fn fold(truths: &[u8; WORD_ROWS]) -> Word {
            // SAFETY: both types are 64 bytes, and any bytes are a vector.
            let truths: __m512i = unsafe { std::mem::transmute(*truths) };
            // SAFETY: only `avx512::*` name this type, and are called where there is AVX-512 BW.
            unsafe { _mm512_test_epi8_mask(truths, truths) }.to_le_bytes()
        }

        /// Comparisons yield bits here: no detour by bytes.
        #[inline(always)]
        fn at_most<K: Key>(keys: &[K; WORD_ROWS], bound: K) -> Word {
            let (wide, bound) = (bound, bound.distance() as u64);
            // SAFETY: keys of N bytes are integers of that width, 64 of which are as many vectors of 64 bytes; only `avx512::*` name this type, and are
            // called where there are AVX-512 F and BW.
            unsafe {
                match size_of::<K>() {
                    1 => {
                        let bound = _mm512_set1_epi8(bound as i8);
                        _mm512_cmple_epu8_mask(transmute_copy(keys), bound).to_le_bytes()
                    }
                    2 => {
                        let (halves, bound): ([__m512i; 2], _) = (transmute_copy(keys), _mm512_set1_epi16(bound as i16));
                        transmute_copy(&halves.map(|keys| _mm512_cmple_epu16_mask(keys, bound)))
                    }
                    4 => {
                        let (quarters, bound): ([__m512i; 4], _) = (transmute_copy(keys), _mm512_set1_epi32(bound as i32));
                        transmute_copy(&quarters.map(|keys| _mm512_cmple_epu32_mask(keys, bound)))
                    }
                    8 => {
                        let (eighths, bound): ([__m512i; 8], _) = (transmute_copy(keys), _mm512_set1_epi64(bound as i64));
                        let mut word = [0; 8];
                        for (byte, keys) in word.iter_mut().zip(eighths) {
                            *byte = _mm512_cmple_epu64_mask(keys, bound);
                        }
                        word
                    }
                    _ => gather::<Self>(keys.iter().map(|key| !wide.is_less(*key))),
                }
            }
        }
    }
}

kernels! {
    /// See [`loops::within`].
    fn within<Lane>(values: &[u8], low: L::Key, span: L::Key, out: &mut [Word]);
    /// See [`loops::less`].
    fn less<Lane>(left: &[u8], right: &[u8], out: &mut [Word]);
    /// See [`loops::equal`].
    fn equal<Lane>(left: &[u8], right: &[u8], out: &mut [Word]);
    /// See [`loops::sum`].
    fn sum<Lane>(values: &[u8], selected: &[Word]) -> u128;
    /// See [`loops::least`].
    fn least<Lane>(values: &[u8], selected: &[Word], flip: L::Key) -> L::Key;
    /// See [`loops::products`].
    fn products<Factor>(left: &[u8], right: &[u8], selected: &[Word]) -> Option<i128>;
}
