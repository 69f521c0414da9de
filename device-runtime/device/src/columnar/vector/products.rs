//! Products of two values, and of 64 pairs at once.

use super::lanes::{I64, I128, Lane, U64};
use super::loops::{BYTE_ROWS, Instructions, WORD_ROWS, Word, for_each_bit, occupied, single_products};

/// Most bits that a product may have for 64 of them to be added up in 64 bits.
const PRODUCT_BITS_MAX: u32 = 56;

/// A type whose products have no other width: 64-bit integers wrap, decimals fail beyond 128 bits.
pub(in super::super) trait Factor: Lane + Sized {
    /// `None` if it does not fit.
    fn product(left: Self::Raw, right: Self::Raw) -> Option<i128>;

    /// The sum of the selected products of a block, modulo 2^128; `None` if one of them does not fit.
    fn products(left: &[Self::Raw; WORD_ROWS], right: &[Self::Raw; WORD_ROWS], word: u64) -> Option<i128>;

    /// The same of any number of rows of which few are selected: others are hardly looked at.
    #[inline(always)]
    fn few_products<S: Instructions>(left: &[Self::Raw], right: &[Self::Raw], words: &[Word]) -> Option<i128> {
        single_products::<Self>(left, right, words)
    }
}

macro_rules! wrapping {
    ($lane:ty, $number:ty) => {
        impl Factor for $lane {
            #[inline(always)]
            fn product(left: [u8; 8], right: [u8; 8]) -> Option<i128> {
                Some(<$number>::from_le_bytes(left).wrapping_mul(<$number>::from_le_bytes(right)).into())
            }

            #[inline(always)]
            fn products(left: &[[u8; 8]; WORD_ROWS], right: &[[u8; 8]; WORD_ROWS], word: u64) -> Option<i128> {
                Some(i128::from(masked(left, right, word, u64::from_le_bytes)))
            }

            #[inline(always)]
            fn few_products<S: Instructions>(left: &[[u8; 8]], right: &[[u8; 8]], words: &[Word]) -> Option<i128> {
                if S::HAS_WIDE_VECTORS {
                    return Some(i128::from(by_bytes::<S>(left, right, words)));
                }
                single_products::<Self>(left, right, words)
            }
        }
    };
}

wrapping!(I64, i64);
wrapping!(U64, u64);

impl Factor for I128 {
    #[inline(always)]
    fn product(left: [u8; 16], right: [u8; 16]) -> Option<i128> {
        let [left, right] = [left, right].map(i128::from_le_bytes);
        // Two of 64 bits always fit, and take one multiplication.
        match (i64::try_from(left), i64::try_from(right)) {
            (Ok(left), Ok(right)) => Some(i128::from(left) * i128::from(right)),
            _ => left.checked_mul(right),
        }
    }

    #[inline(always)]
    fn products(left: &[[u8; 16]; WORD_ROWS], right: &[[u8; 16]; WORD_ROWS], word: u64) -> Option<i128> {
        let are_short = bits(left).zip(bits(right)).is_some_and(|(left, right)| left + right <= PRODUCT_BITS_MAX);
        if !are_short {
            return single_products::<Self>(left, right, &[word.to_le_bytes()]);
        }
        let sum = masked(left, right, word, |raw| i128::from_le_bytes(raw) as u64);
        Some(i128::from(sum.cast_signed()))
    }
}

/// The sum of the selected products, modulo 2^64.
#[inline(always)]
fn masked<R: Copy>(left: &[R; WORD_ROWS], right: &[R; WORD_ROWS], word: u64, low: impl Fn(R) -> u64) -> u64 {
    let mut sum = 0u64;
    for (row, (left, right)) in left.iter().zip(right).enumerate() {
        let product = low(*left).wrapping_mul(low(*right));
        sum = sum.wrapping_add(product & (word >> row & 1).wrapping_neg());
    }
    sum
}

/// The sum of the selected products, modulo 2^64: of all eight rows of each byte of the bitmap that is not zero.
#[inline(always)]
fn by_bytes<S: Instructions>(left: &[[u8; 8]], right: &[[u8; 8]], words: &[Word]) -> u64 {
    let (left, left_rest) = left.as_chunks::<BYTE_ROWS>();
    let (right, right_rest) = right.as_chunks::<BYTE_ROWS>();
    let (bytes, last) = words.as_flattened().split_at(left.len());
    let mut sums = [0u64; BYTE_ROWS];
    let blocks = left.chunks(WORD_ROWS).zip(right.chunks(WORD_ROWS)).zip(bytes.chunks(WORD_ROWS));
    for ((left, right), bytes) in blocks {
        for_each_bit(occupied::<S>(bytes), |at| {
            if let (Some(left), Some(right), Some(byte)) = (left.get(at), right.get(at), bytes.get(at)) {
                S::add_products(&mut sums, left, right, *byte);
            }
        });
    }
    let mut sum = sums.into_iter().fold(0, u64::wrapping_add);
    for (row, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        let product = u64::from_le_bytes(*left).wrapping_mul(u64::from_le_bytes(*right));
        sum = sum.wrapping_add(product & u64::from(last[0] >> row & 1).wrapping_neg());
    }
    sum
}

/// Bits that the magnitudes of all 64 values need, whether they are selected or not; `None` if some need more than 64.
#[inline(always)]
fn bits(values: &[[u8; 16]; WORD_ROWS]) -> Option<u32> {
    let (mut magnitudes, mut excess) = (0, 0);
    for raw in values {
        let value = i128::from_le_bytes(*raw);
        let (low, high) = (value as i64, (value >> 64) as i64);
        magnitudes |= low ^ low >> 63;
        excess |= high ^ low >> 63;
    }
    (excess == 0).then(|| 64 - magnitudes.leading_zeros())
}
