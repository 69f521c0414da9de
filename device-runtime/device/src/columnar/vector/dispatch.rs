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
            // What counts and finds bits has names of its own; no processor with AVX2 is without.
            let avx2 = has!("avx2") && has!("popcnt") && has!("bmi1") && has!("bmi2");
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
    ($($(#[$meta:meta])* fn $name:ident$(<$lane:ident: $bound:ident>)?($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $($(#[$meta])* pub(super) fn $name$(<$lane: $bound>)?(set: InstructionSet, $($argument: $type),*) $(-> $result)? {
            match set.0 {
                Kind::Baseline => loops::$name::<Portable$(, $lane)?>($($argument),*),
                // SAFETY: there is no such `InstructionSet` where the processor does not have AVX2, POPCNT, BMI1 and BMI2; see `available`.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => unsafe { avx2::$name$(::<$lane>)?($($argument),*) },
                // SAFETY: the same for AVX-512 F, BW, VL and DQ.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => unsafe { avx512::$name$(::<$lane>)?($($argument),*) },
            }
        })*

        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::*;

            $(#[target_feature(enable = "avx2,popcnt,bmi1,bmi2")]
            pub(super) fn $name$(<$lane: $bound>)?($($argument: $type),*) $(-> $result)? {
                loops::$name::<fold::Avx2$(, $lane)?>($($argument),*)
            })*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::*;

            $(#[target_feature(enable = "avx2,popcnt,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq")]
            pub(super) fn $name$(<$lane: $bound>)?($($argument: $type),*) $(-> $result)? {
                loops::$name::<fold::Avx512$(, $lane)?>($($argument),*)
            })*
        }
    };
}

/// What yields bits in few instructions: of bytes, or of comparisons. For `avx2` and `avx512` below, whose processors have them.
#[cfg(target_arch = "x86_64")]
mod fold {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_movemask_epi8, _mm256_slli_epi16, _mm512_cmple_epu8_mask, _mm512_cmple_epu16_mask,
        _mm512_cmple_epu32_mask, _mm512_cmple_epu64_mask, _mm512_mask_add_epi64, _mm512_mullo_epi64, _mm512_set1_epi8,
        _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_test_epi8_mask,
    };
    use std::mem::transmute_copy;

    use super::super::lanes::Key;
    use super::loops::{BYTE_ROWS, Instructions, Portable, WORD_ROWS, Word, gather};

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
        const HAS_WIDE_VECTORS: bool = true;

        #[inline(always)]
        fn fold(truths: &[u8; WORD_ROWS]) -> Word {
            // SAFETY: both types are 64 bytes, and any bytes are a vector.
            let truths: __m512i = unsafe { std::mem::transmute(*truths) };
            // SAFETY: only `avx512::*` name this type, and are called where there is AVX-512 BW.
            unsafe { _mm512_test_epi8_mask(truths, truths) }.to_le_bytes()
        }

        /// Comparisons yield bits here: no detour by bytes. The bits of a vector's elements are in their order, from the lowest on.
        #[inline(always)]
        fn at_most<K: Key>(keys: &[K; WORD_ROWS], bound: K) -> Word {
            let last = bound.distance() as u64;
            let mut word = [0; 8];
            match size_of::<K>() {
                1 => {
                    // SAFETY: 64 bytes are a vector.
                    let keys: __m512i = unsafe { transmute_copy(keys) };
                    // SAFETY: only `avx512::*` name this type, and are called where there are AVX-512 F and BW.
                    word = unsafe { _mm512_cmple_epu8_mask(keys, _mm512_set1_epi8(last as i8)) }.to_le_bytes();
                }
                2 => {
                    // SAFETY: 128 bytes are two vectors.
                    let halves: [__m512i; 2] = unsafe { transmute_copy(keys) };
                    for (bits, keys) in word.as_chunks_mut::<4>().0.iter_mut().zip(halves) {
                        // SAFETY: as above.
                        *bits = unsafe { _mm512_cmple_epu16_mask(keys, _mm512_set1_epi16(last as i16)) }.to_le_bytes();
                    }
                }
                4 => {
                    // SAFETY: 256 bytes are four vectors.
                    let quarters: [__m512i; 4] = unsafe { transmute_copy(keys) };
                    for (bits, keys) in word.as_chunks_mut::<2>().0.iter_mut().zip(quarters) {
                        // SAFETY: as above.
                        *bits = unsafe { _mm512_cmple_epu32_mask(keys, _mm512_set1_epi32(last as i32)) }.to_le_bytes();
                    }
                }
                8 => {
                    // SAFETY: 512 bytes are eight vectors.
                    let eighths: [__m512i; 8] = unsafe { transmute_copy(keys) };
                    for (bits, keys) in word.iter_mut().zip(eighths) {
                        // SAFETY: as above.
                        *bits = unsafe { _mm512_cmple_epu64_mask(keys, _mm512_set1_epi64(last as i64)) };
                    }
                }
                _ => word = gather::<Self>(keys.iter().map(|key| !bound.is_less(*key))),
            }
            word
        }

        #[inline(always)]
        fn at_most_of_eight<K: Key>(keys: &[K; BYTE_ROWS], bound: K) -> u8 {
            if size_of::<K>() != size_of::<u64>() {
                return Portable::at_most_of_eight(keys, bound);
            }
            // SAFETY: 64 bytes are a vector.
            let keys: __m512i = unsafe { transmute_copy(keys) };
            // SAFETY: only `avx512::*` name this type, and are called where there is AVX-512 F.
            unsafe { _mm512_cmple_epu64_mask(keys, _mm512_set1_epi64(bound.distance() as i64)) }
        }

        #[inline(always)]
        fn add_products(sums: &mut [u64; BYTE_ROWS], left: &[[u8; 8]; BYTE_ROWS], right: &[[u8; 8]; BYTE_ROWS], bits: u8) {
            // SAFETY: each is 64 bytes, and those are a vector.
            let [before, left, right]: [__m512i; 3] =
                unsafe { [transmute_copy(sums), transmute_copy(left), transmute_copy(right)] };
            // SAFETY: only `avx512::*` name this type, and are called where there are AVX-512 F and DQ.
            let after = unsafe { _mm512_mask_add_epi64(before, bits, before, _mm512_mullo_epi64(left, right)) };
            // SAFETY: a vector is 64 bytes, and any bytes are numbers.
            *sums = unsafe { std::mem::transmute::<__m512i, [u64; BYTE_ROWS]>(after) };
        }
    }
}

kernels! {
    /// See [`loops::within`].
    fn within<L: Lane>(values: &[u8], low: L::Key, span: L::Key, flip: u64, selected: &mut [Word]);
    /// See [`loops::less`].
    fn less<L: Lane>(left: &[u8], right: &[u8], flip: u64, selected: &mut [Word]);
    /// See [`loops::equal`].
    fn equal<L: Lane>(left: &[u8], right: &[u8], flip: u64, selected: &mut [Word]);
    /// See [`loops::among`].
    fn among<L: Lane>(keys: &[u8], members: u64, out: &mut [Word]);
    /// See [`loops::count`].
    fn count(selected: &[Word]) -> u64;
    /// See [`loops::intersect`].
    fn intersect(selected: &mut [Word], others: &[Word]) -> u64;
    /// See [`loops::sum`].
    fn sum<L: Lane>(values: &[u8], selected: &[Word]) -> u128;
    /// See [`loops::least`].
    fn least<L: Lane>(values: &[u8], selected: &[Word], flip: L::Key) -> L::Key;
    /// See [`loops::products`].
    fn products<L: Factor>(left: &[u8], right: &[u8], selected: &[Word]) -> Option<i128>;
}
