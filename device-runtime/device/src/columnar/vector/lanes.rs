//! How the values of each type order: as unsigned keys, so that one loop serves every type.
//!
//! The key of a value is its distance from the least value of its type; a float's is that of its total-order key.

use nearside_programs::manifest::{comparison_key, comparison_key_f32, total_order_key, total_order_key_f32};

/// An element type of a values array.
pub(in super::super) trait Lane {
    /// An element as it stands in memory, little-endian.
    type Raw: Copy;
    type Key: Key;
    /// The least value, as an integer; of a float, the least total-order key.
    const LEAST: i128;
    /// The greatest.
    const GREATEST: i128;

    /// The elements of an array of whole elements.
    fn elements(bytes: &[u8]) -> &[Self::Raw];

    fn key(raw: Self::Raw) -> Self::Key;

    /// The key by which an element is compared: a float's is that of its comparison key, the same for both zeros.
    #[inline(always)]
    fn compared(raw: Self::Raw) -> Self::Key {
        Self::key(raw)
    }

    /// The key of a value from [`Self::LEAST`] to [`Self::GREATEST`].
    fn key_of(value: i128) -> Self::Key {
        Self::Key::from_distance(value.wrapping_sub(Self::LEAST) as u128)
    }

    /// The inverse of [`Self::key_of`].
    fn value_of(key: Self::Key) -> i128 {
        (key.distance() as i128).wrapping_add(Self::LEAST)
    }
}

/// An unsigned integer: `u8` to `u64` as they are, or two words.
pub(in super::super) trait Key: Copy {
    /// A sum of up to 64 keys.
    type Partial: Copy + Default;
    const ZERO: Self;
    /// All ones: the greatest.
    const ONES: Self;

    fn from_distance(distance: u128) -> Self;
    fn distance(self) -> u128;
    fn is_less(self, other: Self) -> bool;
    fn is_equal(self, other: Self) -> bool;
    fn wrapping_sub(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;

    /// `a` if the condition holds, else `b`.
    fn choose(condition: bool, a: Self, b: Self) -> Self;

    /// Adds the key where `mask` is all ones, nothing where it is zero.
    fn add(partial: &mut Self::Partial, key: Self, mask: u64);

    /// The sum, modulo 2^64, or modulo 2^128 for keys that wide.
    fn total(partial: Self::Partial) -> u128;
}

/// 128 bits as two words, which processors have vectors of.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wide {
    low: u64,
    high: u64,
}

macro_rules! keys {
    ($($key:ty),*) => { $(
        impl Key for $key {
            type Partial = u64;
            const ZERO: Self = 0;
            const ONES: Self = Self::MAX;

            #[inline(always)]
            fn from_distance(distance: u128) -> Self {
                distance as Self
            }

            #[inline(always)]
            fn distance(self) -> u128 {
                u128::from(self)
            }

            #[inline(always)]
            fn is_less(self, other: Self) -> bool {
                self < other
            }

            #[inline(always)]
            fn is_equal(self, other: Self) -> bool {
                self == other
            }

            #[inline(always)]
            fn wrapping_sub(self, other: Self) -> Self {
                <$key>::wrapping_sub(self, other)
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            fn choose(condition: bool, a: Self, b: Self) -> Self {
                if condition { a } else { b }
            }

            #[inline(always)]
            fn add(partial: &mut u64, key: Self, mask: u64) {
                *partial = partial.wrapping_add(u64::from(key) & mask);
            }

            #[inline(always)]
            fn total(partial: u64) -> u128 {
                u128::from(partial)
            }
        }
    )* };
}

keys!(u8, u16, u32, u64);

impl Key for Wide {
    /// Low 32 bits, next 32 bits, high word: 64 of each fit their word, but for what is beyond 128 bits.
    type Partial = [u64; 3];
    const ZERO: Self = Self { low: 0, high: 0 };
    const ONES: Self = Self { low: u64::MAX, high: u64::MAX };

    #[inline(always)]
    fn from_distance(distance: u128) -> Self {
        Self { low: distance as u64, high: (distance >> 64) as u64 }
    }

    #[inline(always)]
    fn distance(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    #[inline(always)]
    fn is_less(self, other: Self) -> bool {
        (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))
    }

    #[inline(always)]
    fn is_equal(self, other: Self) -> bool {
        (self.low ^ other.low) | (self.high ^ other.high) == 0
    }

    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        let borrow = u64::from(self.low < other.low);
        Self { low: self.low.wrapping_sub(other.low), high: self.high.wrapping_sub(other.high).wrapping_sub(borrow) }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self { low: self.low ^ other.low, high: self.high ^ other.high }
    }

    #[inline(always)]
    fn choose(condition: bool, a: Self, b: Self) -> Self {
        Self { low: if condition { a.low } else { b.low }, high: if condition { a.high } else { b.high } }
    }

    #[inline(always)]
    fn add(partial: &mut [u64; 3], key: Self, mask: u64) {
        partial[0] += key.low & mask & 0xffff_ffff;
        partial[1] += (key.low & mask) >> 32;
        partial[2] = partial[2].wrapping_add(key.high & mask);
    }

    #[inline(always)]
    fn total([low, middle, high]: [u64; 3]) -> u128 {
        u128::from(low).wrapping_add(u128::from(middle) << 32).wrapping_add(u128::from(high) << 64)
    }
}

/// The lane of one type each: its width, its key's type, its bounds, the key of an element, and the one it is compared by if that is another.
macro_rules! lanes {
    ($($lane:ident, $width:literal, $key:ty, $least:expr, $greatest:expr, $to_key:expr $(, $to_compared:expr)?;)*) => { $(
        pub(in super::super) struct $lane;

        impl Lane for $lane {
            type Raw = [u8; $width];
            type Key = $key;
            const LEAST: i128 = $least as i128;
            const GREATEST: i128 = $greatest as i128;

            fn elements(bytes: &[u8]) -> &[[u8; $width]] {
                bytes.as_chunks().0
            }

            #[inline(always)]
            fn key(raw: [u8; $width]) -> $key {
                $to_key(raw)
            }

            $(#[inline(always)]
            fn compared(raw: [u8; $width]) -> $key {
                $to_compared(raw)
            })?
        }
    )* };
}

lanes! {
    I8, 1, u8, i8::MIN, i8::MAX, |raw| u8::from_le_bytes(raw) ^ 1 << 7;
    I16, 2, u16, i16::MIN, i16::MAX, |raw| u16::from_le_bytes(raw) ^ 1 << 15;
    I32, 4, u32, i32::MIN, i32::MAX, |raw| u32::from_le_bytes(raw) ^ 1 << 31;
    I64, 8, u64, i64::MIN, i64::MAX, |raw| u64::from_le_bytes(raw) ^ 1 << 63;
    U8, 1, u8, 0, u8::MAX, u8::from_le_bytes;
    U16, 2, u16, 0, u16::MAX, u16::from_le_bytes;
    U32, 4, u32, 0, u32::MAX, u32::from_le_bytes;
    U64, 8, u64, 0, u64::MAX, u64::from_le_bytes;
    F32, 4, u32, i32::MIN, i32::MAX, |raw| total_order_key_f32(i32::from_le_bytes(raw)) as u32 ^ 1 << 31,
        |raw| comparison_key_f32(i32::from_le_bytes(raw)) as u32 ^ 1 << 31;
    F64, 8, u64, i64::MIN, i64::MAX, |raw| total_order_key(i64::from_le_bytes(raw)) as u64 ^ 1 << 63,
        |raw| comparison_key(i64::from_le_bytes(raw)) as u64 ^ 1 << 63;
    I128, 16, Wide, i128::MIN, i128::MAX, wide;
}

#[inline(always)]
fn wide(raw: [u8; 16]) -> Wide {
    let [a, b, c, d, e, f, g, h, rest @ ..] = raw;
    Wide { low: u64::from_le_bytes([a, b, c, d, e, f, g, h]), high: u64::from_le_bytes(rest) ^ 1 << 63 }
}
