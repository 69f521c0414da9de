//! Values of a type, and patterns.

use nearside_programs::{Scalar, ValueType};

use super::random::Random;
use crate::fragment::{DECIMAL_DIGITS_MAX, integer_range};

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "A",
    "ab",
    "abc",
    "aXb",
    "it's",
    "%",
    "_",
    "\\",
    "a%b",
    "50%",
    "a\nb",
    "é",
    "ſ",
    "\u{212a}",
    "\u{1f980}",
    "z",
    // Around the 12 bytes that a string view holds inline, and beyond.
    "abcdefghijk",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijkn",
    "abcdefgh",
];

const PATTERN_PARTS: &[&str] = &["%", "%", "_", "a", "b", "abc", "X", "\\%", "\\_", "\\\\", "\\", "'", "é", "k", "s"];

/// A non-NULL value of small magnitude.
pub(super) fn tame(random: &mut Random, value_type: ValueType) -> Scalar {
    let small = random.below(16) as i128;
    match value_type {
        ValueType::Float32 => Scalar::Float32((small as f32 / 2.0 - 3.0).to_bits()),
        ValueType::Float64 => Scalar::Float64((small as f64 / 2.0 - 3.0).to_bits()),
        ValueType::Decimal128 { precision, scale } => {
            // Multiples of 25 end in halves of what a smaller scale has.
            let value = small * *random.pick(&[37, 25]) - 100;
            Scalar::Decimal { value, precision, scale }
        }
        ValueType::Bool | ValueType::Utf8 | ValueType::Opaque => any(random, value_type),
        _ => Scalar::Int(value_type, small),
    }
}

/// Any non-NULL value, often one at an end of the type.
pub(super) fn any(random: &mut Random, value_type: ValueType) -> Scalar {
    match value_type {
        ValueType::Bool => Scalar::Bool(random.chance(1, 2)),
        ValueType::Float32 => Scalar::Float32(float32(random)),
        ValueType::Float64 => Scalar::Float64(float64(random)),
        ValueType::Decimal128 { precision, scale } => Scalar::Decimal { value: decimal(random, precision), precision, scale },
        ValueType::Utf8 | ValueType::Opaque => Scalar::Utf8(text(random)),
        _ => Scalar::Int(value_type, integer(random, value_type)),
    }
}

fn integer(random: &mut Random, value_type: ValueType) -> i128 {
    let range = integer_range(value_type).unwrap_or(0..=0);
    let (min, max) = (*range.start(), *range.end());
    match random.below(4) {
        0 => *random.pick(&[min, min + 1, 0, max - 1, max]),
        1 => min + (i128::from(random.next()) % (max - min + 1)),
        _ => (random.below(16) as i128 - 4).max(min),
    }
}

/// At the ends of the type and of 64 bits; where the precision is 38, rarely at those of 128 bits, which have a digit more.
///
/// Other types get no value with more digits than they have: a cast that arrow-rs does not check would wrap it, where a program may fail.
fn decimal(random: &mut Random, precision: u8) -> i128 {
    let max = 10_i128.pow(u32::from(precision)) - 1;
    let (narrow_min, narrow_max) = (i128::from(i64::MIN), i128::from(i64::MAX));
    match random.below(12) {
        0 => *random.pick(&[max, -max, max - 1]),
        1 => (*random.pick(&[narrow_max, narrow_min, narrow_max + 1, narrow_min - 1])).clamp(-max, max),
        2 if precision == DECIMAL_DIGITS_MAX && random.chance(1, 6) => *random.pick(&[i128::MAX, i128::MIN]),
        3 => i128::from(random.next()) % (max + 1),
        _ => random.below(max.min(1_000) as usize) as i128 - max.min(300),
    }
}

fn float32(random: &mut Random) -> u32 {
    const SPECIAL: &[u32] = &[
        0,
        0x8000_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0xffc0_0000,
        0x7f80_0001,
        0x7f7f_ffff,
        0xff7f_ffff,
        1,
        0x8000_0001,
    ];
    if random.chance(1, 2) { *random.pick(SPECIAL) } else { (random.below(64) as f32 / 8.0 - 4.0).to_bits() }
}

fn float64(random: &mut Random) -> u64 {
    const SPECIAL: &[u64] = &[
        0,
        1 << 63,
        0x7ff0 << 48,
        0xfff0 << 48,
        0x7ff8 << 48,
        0xfff8 << 48,
        (0x7ff0 << 48) + 1,
        0x7fef_ffff_ffff_ffff,
        0xffef_ffff_ffff_ffff,
        1,
        (1 << 63) + 1,
        0x4340_0000_0000_0000,
        0x3fb9_9999_9999_999a,
    ];
    if random.chance(1, 2) { *random.pick(SPECIAL) } else { (random.below(64) as f64 / 8.0 - 4.0).to_bits() }
}

fn text(random: &mut Random) -> String {
    let text = *random.pick(TEXTS);
    if random.chance(1, 12) { text.repeat(random.between(2, 300)) } else { text.to_owned() }
}

/// A `LIKE` pattern; ASCII alone if case is to be folded.
pub(super) fn pattern(random: &mut Random, case_insensitive: bool) -> String {
    let parts = random.below(5);
    let pattern: String = (0..parts).map(|_| *random.pick(PATTERN_PARTS)).collect();
    if case_insensitive { pattern.replace(|c: char| !c.is_ascii(), "S") } else { pattern }
}
