//! Every instruction set of this processor computes what the reference says: a row at a time, in 128 bits.

use std::cmp::Ordering;

use nearside_programs::ValueType;

use super::{Comparison, Extreme, InstructionSet, Interval, Word};

const TYPES: [ValueType; 12] = [
    ValueType::Int8,
    ValueType::Int16,
    ValueType::Int32,
    ValueType::Int64,
    ValueType::UInt8,
    ValueType::UInt16,
    ValueType::UInt32,
    ValueType::UInt64,
    ValueType::Float32,
    ValueType::Float64,
    ValueType::Date32,
    ValueType::Decimal128 { precision: 38, scale: 2 },
];

/// Around the words of a bitmap, and the blocks of wider vectors.
const LENGTHS: [usize; 11] = [0, 1, 7, 63, 64, 65, 127, 128, 129, 191, 300];

/// The specification.
mod reference {
    use super::*;

    /// Element `row` of an array: an integer that orders as the type does.
    pub(super) fn value(value_type: ValueType, values: &[u8], row: usize) -> i128 {
        let width = value_type.byte_width().unwrap() as usize;
        let mut bytes = [0; 16];
        bytes[..width].copy_from_slice(&values[row * width..][..width]);
        let unsigned = u128::from_le_bytes(bytes);
        let shift = 128 - 8 * width as u32;
        let signed = (unsigned << shift) as i128 >> shift;
        match value_type {
            ValueType::UInt8 | ValueType::UInt16 | ValueType::UInt32 | ValueType::UInt64 => unsigned as i128,
            // Below the negative numbers' bits, larger is less.
            ValueType::Float32 if signed < 0 => i128::from(i32::MIN) - signed - 1,
            ValueType::Float64 if signed < 0 => i128::from(i64::MIN) - signed - 1,
            _ => signed,
        }
    }

    pub(super) fn holds(comparison: Comparison, order: Ordering) -> bool {
        match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    pub(super) fn bitmap(rows: usize, holds: impl Fn(usize) -> bool) -> Vec<Word> {
        let word = |index: usize| {
            let rows = (0..64).map(|bit| index * 64 + bit).enumerate().filter(|(_, row)| *row < rows && holds(*row));
            rows.fold(0u64, |word, (bit, _)| word | 1 << bit).to_le_bytes()
        };
        (0..rows.div_ceil(64)).map(word).collect()
    }

    pub(super) fn is_set(bitmap: &[Word], row: usize) -> bool {
        u64::from_le_bytes(bitmap[row / 64]) >> (row % 64) & 1 == 1
    }
}

/// Pseudo-random numbers, the same every time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bits at the edges of every width, signed and unsigned; infinities and NaNs of both signs; and others.
fn patterns() -> Vec<u128> {
    let edges = [7, 8, 15, 16, 31, 32, 63, 64, 127].map(|bit| 1u128 << bit);
    let floats = [0x7f80_0000, 0x7fc0_0001, 0xff80_0000, 0xffc0_0000, 0x7ff0_0000_0000_0000, 0xfff8_0000_0000_0001_u128];
    let near = edges.into_iter().chain(floats).chain([0, u128::from(u64::MAX) << 64]);
    near.flat_map(|bits: u128| [bits.wrapping_sub(1), bits, bits.wrapping_add(1), !bits]).collect()
}

/// Rows of a type: edges among others.
fn rows(value_type: ValueType, count: usize, random: &mut Random) -> Vec<u8> {
    let width = value_type.byte_width().unwrap() as usize;
    let patterns = patterns();
    let mut values = Vec::with_capacity(count * width);
    for _ in 0..count {
        let any = u128::from(random.next()) << 64 | u128::from(random.next());
        let bits = if any & 7 == 0 { any >> 3 } else { patterns[(any >> 3) as usize % patterns.len()] };
        values.extend_from_slice(&bits.to_le_bytes()[..width]);
    }
    values
}

/// Some values of a type, and what no value of most types is.
fn literals(value_type: ValueType, random: &mut Random) -> Vec<i128> {
    let values = rows(value_type, 20, random);
    let mut literals: Vec<_> = (0..20).map(|row| reference::value(value_type, &values, row)).collect();
    literals.extend([i128::MIN, i128::MIN + 1, -129, -1, 0, 1, 256, 1 << 64, i128::MAX]);
    literals
}

/// What a kernel writes: as many words as the rows take, and not one more.
fn written(rows: usize, kernel: impl FnOnce(&mut [Word]) -> Option<()>) -> Vec<Word> {
    let mut words = vec![[0xa5; 8]; rows.div_ceil(64) + 1];
    kernel(&mut words).unwrap();
    assert_eq!(words.pop(), Some([0xa5; 8]), "{rows} rows");
    words
}

/// Runs a check for every instruction set, type and length.
fn for_each(mut check: impl FnMut(InstructionSet, ValueType, usize, &mut Random)) {
    let mut random = Random(0x5eed);
    for set in InstructionSet::available() {
        for value_type in TYPES {
            LENGTHS.into_iter().for_each(|count| check(set, value_type, count, &mut random));
        }
    }
}

/// A column with a literal, literals outside of the type included.
#[test]
fn comparisons_with_a_literal() {
    for_each(|set, value_type, count, random| {
        let values = rows(value_type, count, random);
        for literal in literals(value_type, random) {
            for comparison in Comparison::ALL {
                let interval = Interval::of(comparison, literal);
                let given = written(count, |out| super::compare(set, value_type, &values, interval, out));
                let value = |row| reference::value(value_type, &values, row);
                let expected = reference::bitmap(count, |row| reference::holds(comparison, value(row).cmp(&literal)));
                assert_eq!(given, expected, "{set:?}: {count} of {value_type}, {comparison:?} {literal}");
            }
        }
    });
}

/// A range, its ends included or not, empty ones too.
#[test]
fn ranges() {
    for_each(|set, value_type, count, random| {
        let values = rows(value_type, count, random);
        let literals = literals(value_type, random);
        for (index, low) in literals.iter().enumerate() {
            let high = &literals[(index * 7 + 3) % literals.len()];
            for (with_low, with_high) in [(false, false), (false, true), (true, false), (true, true)] {
                let interval = Interval::between((*low, with_low), (*high, with_high));
                let given = written(count, |out| super::compare(set, value_type, &values, interval, out));
                let expected = reference::bitmap(count, |row| {
                    let value = reference::value(value_type, &values, row);
                    (if with_low { *low <= value } else { *low < value })
                        && (if with_high { value <= *high } else { value < *high })
                });
                assert_eq!(given, expected, "{set:?}: {count} of {value_type}, {low} {with_low}, {high} {with_high}");
            }
        }
    });
}

/// Two columns.
#[test]
fn comparisons_of_columns() {
    for_each(|set, value_type, count, random| {
        let (left, right) = (rows(value_type, count, random), rows(value_type, count, random));
        for right in [&left, &right] {
            for comparison in Comparison::ALL {
                let given = written(count, |out| super::compare_columns(set, value_type, comparison, [&left, right], out));
                let order = |row| reference::value(value_type, &left, row).cmp(&reference::value(value_type, right, row));
                let expected = reference::bitmap(count, |row| reference::holds(comparison, order(row)));
                assert_eq!(given, expected, "{set:?}: {count} of {value_type}, {comparison:?}");
            }
        }
    });
}

/// Sums wrap as their width says; ends are those of the selected rows alone.
#[test]
fn sums_and_ends() {
    for_each(|set, value_type, count, random| {
        let values = rows(value_type, count, random);
        let noise: Vec<u64> = (0..8).map(|_| random.next()).collect();
        let picks: [&dyn Fn(usize) -> bool; 4] =
            [&|_| false, &|_| true, &|row| row % 3 == 1, &|row| noise[row / 64] >> (row % 64) & 1 == 1];
        for pick in picks {
            let selected = reference::bitmap(count, pick);
            let chosen = (0..count).filter(|row| reference::is_set(&selected, *row));
            let chosen: Vec<i128> = chosen.map(|row| reference::value(value_type, &values, row)).collect();
            let context = format!("{set:?}: {} of {count} of {value_type}", chosen.len());
            assert_eq!(super::count(&selected), chosen.len() as u64, "{context}");
            let end = |which| super::extreme(set, value_type, &values, &selected, which);
            assert_eq!(end(Extreme::Least), chosen.iter().min().copied(), "{context}");
            assert_eq!(end(Extreme::Greatest), chosen.iter().max().copied(), "{context}");
            let sum = chosen.iter().fold(0, |sum: i128, value| sum.wrapping_add(*value));
            let expected = match value_type {
                ValueType::Float32 | ValueType::Float64 => None,
                ValueType::Decimal128 { .. } => Some(sum),
                ValueType::UInt64 => Some(i128::from(sum as u64)),
                _ => Some(i128::from(sum as i64)),
            };
            assert_eq!(super::sum(set, value_type, &values, &selected), expected, "{context}");
        }
    });
}

/// The other rows, and none beyond the last.
#[test]
fn negation() {
    for count in LENGTHS {
        let mut bitmap = reference::bitmap(count, |row| row % 5 == 2);
        super::negate(&mut bitmap, count);
        assert_eq!(bitmap, reference::bitmap(count, |row| row % 5 != 2));
    }
}

/// What is no fixed number of bytes has no loop.
#[test]
fn types_without_a_loop() {
    for value_type in [ValueType::Bool, ValueType::Utf8, ValueType::Opaque] {
        let interval = Interval::of(Comparison::Equal, 0);
        assert_eq!(super::compare(InstructionSet::best(), value_type, &[], interval, &mut []), None);
        assert_eq!(super::sum(InstructionSet::best(), value_type, &[], &[]), None);
    }
}
