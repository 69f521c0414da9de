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
const LENGTHS: [usize; 13] = [0, 1, 7, 63, 64, 65, 127, 128, 129, 191, 300, 1024, 2_111];

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

    /// As it is compared: both zeros of a float are 0, and so the numbers below are one nearer to it.
    pub(super) fn compared(value_type: ValueType, values: &[u8], row: usize) -> i128 {
        let value = value(value_type, values, row);
        let is_float = matches!(value_type, ValueType::Float32 | ValueType::Float64);
        if is_float && value < 0 { value + 1 } else { value }
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

/// What a kernel keeps of a selection and of all rows: it changes as many words as those take, and not one more.
fn kept(rows: usize, kernel: impl Fn(&mut [Word]) -> Option<()>) -> Vec<Word> {
    let [some, all] = [|row: usize| row % 7 != 3, |_| true].map(|is_selected| {
        let selection = reference::bitmap(rows, is_selected);
        let mut words = [selection.as_slice(), &[[0xa5; 8]]].concat();
        kernel(&mut words).unwrap();
        assert_eq!(words.pop(), Some([0xa5; 8]), "{rows} rows");
        (selection, words)
    });
    assert_eq!(some.1, reference::bitmap(rows, |row| [&some.0, &all.1].iter().all(|words| reference::is_set(words, row))));
    all.1
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
                let given = kept(count, |selected| super::compare(set, value_type, &values, interval, selected));
                let value = |row| reference::compared(value_type, &values, row);
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
                let given = kept(count, |selected| super::compare(set, value_type, &values, interval, selected));
                let expected = reference::bitmap(count, |row| {
                    let value = reference::compared(value_type, &values, row);
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
                let given = kept(count, |selected| super::compare_columns(set, value_type, comparison, [&left, right], selected));
                let order = |row| reference::compared(value_type, &left, row).cmp(&reference::compared(value_type, right, row));
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
            [&|_| false, &|_| true, &|row| row % 3 == 1, &|row| noise[row / 64 % 8] >> (row % 64) & 1 == 1];
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

/// Selections of rows: none, all, some, and any; and few, which are looked at one by one.
fn selections(count: usize, random: &mut Random) -> Vec<Vec<Word>> {
    let noise: Vec<u64> = (0..8).map(|_| random.next()).collect();
    let picks: [&dyn Fn(usize) -> bool; 6] = [
        &|_| false,
        &|_| true,
        &|row| row % 3 == 1,
        &|row| noise[row / 64 % 8] >> (row % 64) & 1 == 1,
        &|row| row % 23 == 7,
        // Few, and those together.
        &|row| row / 64 % 16 == 3,
    ];
    picks.into_iter().map(|pick| reference::bitmap(count, pick)).collect()
}

fn chosen(count: usize, selected: &[Word]) -> Vec<usize> {
    (0..count).filter(|row| reference::is_set(selected, *row)).collect()
}

/// Two factors: short ones, whose products are added up in 64 bits, among others, so that decimals take every path.
fn factors(value_type: ValueType, count: usize, random: &mut Random) -> Vec<[Vec<u8>; 2]> {
    let width = value_type.byte_width().unwrap() as usize;
    let short = |random: &mut Random, bits: u32| -> Vec<u8> {
        let value = |random: &mut Random| i128::from(random.next() as i64 >> (64 - bits)).to_le_bytes()[..width].to_vec();
        (0..count).flat_map(|_| value(random)).collect()
    };
    let mut factors = vec![
        [short(random, 30), short(random, 20)],
        [short(random, 28), short(random, 29)],
        [short(random, 64), short(random, 64)],
        [rows(value_type, count, random), short(random, 3)],
        [rows(value_type, count, random), rows(value_type, count, random)],
    ];
    // A block of short ones with one that is not.
    let mut mixed = [short(random, 10), short(random, 10)];
    if let Some(value) = mixed[1].chunks_exact_mut(width).nth(count / 2) {
        value.fill(0x55);
    }
    factors.push(mixed);
    factors
}

/// What a product is, and `None` where it does not fit.
fn product(value_type: ValueType, factors: &[Vec<u8>; 2], row: usize) -> Option<i128> {
    let [left, right] = factors.each_ref().map(|values| reference::value(value_type, values, row));
    match value_type {
        ValueType::Decimal128 { .. } => left.checked_mul(right),
        _ => Some(left.wrapping_mul(right)),
    }
}

fn cut(value_type: ValueType, value: i128) -> i128 {
    match value_type {
        ValueType::Decimal128 { .. } => value,
        ValueType::UInt64 => i128::from(value as u64),
        _ => i128::from(value as i64),
    }
}

/// Products are added up as their width says; a selected one that does not fit is noticed.
#[test]
fn sums_of_products() {
    let mut random = Random(0x5eed_0001);
    for set in InstructionSet::available() {
        for value_type in [ValueType::Int64, ValueType::UInt64, ValueType::Decimal128 { precision: 38, scale: 2 }] {
            for count in LENGTHS {
                for factors in factors(value_type, count, &mut random) {
                    for selected in selections(count, &mut random) {
                        let given = super::sum_products(set, value_type, factors.each_ref().map(Vec::as_slice), &selected);
                        let products = chosen(count, &selected).into_iter().map(|row| product(value_type, &factors, row));
                        let expected = products.reduce(|sum, product| Some(sum?.wrapping_add(product?))).unwrap_or(Some(0));
                        let expected = expected.map(|sum| cut(value_type, sum));
                        assert_eq!(given, Some(expected), "{set:?}: {count} of {value_type}");
                    }
                }
            }
        }
    }
    assert_eq!(super::sum_products(InstructionSet::best(), ValueType::Int32, [&[], &[]], &[]), None);
}

/// The selected values, one after the other, and nothing behind them.
#[test]
fn gathering() {
    let mut random = Random(0x5eed_0002);
    for value_type in TYPES {
        let width = value_type.byte_width().unwrap() as usize;
        for count in LENGTHS {
            let values = rows(value_type, count, &mut random);
            for selected in selections(count, &mut random) {
                let chosen = chosen(count, &selected);
                let mut out = vec![0xa5; (count + 1) * width];
                assert_eq!(super::gather(value_type, &values, &selected, &mut out), Some(chosen.len()));
                let expected: Vec<u8> = chosen.iter().flat_map(|row| &values[row * width..][..width]).copied().collect();
                assert_eq!(out[..expected.len()], expected, "{count} of {value_type}");
                assert!(out[expected.len()..].iter().all(|byte| *byte == 0xa5), "{count} of {value_type}");
            }
        }
    }
}

/// Cells of groups, as integers.
fn cells(value_type: ValueType, bytes: &[u8]) -> Vec<i128> {
    let width = if matches!(value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 };
    let cell = |bytes: &[u8]| {
        let mut wide = [if bytes[width - 1] >= 0x80 && value_type != ValueType::UInt64 { 0xff } else { 0 }; 16];
        wide[..width].copy_from_slice(bytes);
        i128::from_le_bytes(wide)
    };
    bytes.chunks_exact(width).map(cell).collect()
}

/// By group, everything is what it is of the group's rows alone.
#[test]
fn groups() {
    const GROUPS: usize = 5;
    let mut random = Random(0x5eed_0003);
    for value_type in TYPES {
        let width = if matches!(value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 };
        for count in LENGTHS {
            let values = rows(value_type, count, &mut random);
            let ids: Vec<u32> = (0..count).map(|_| random.next() as u32 % GROUPS as u32).collect();
            for selected in selections(count, &mut random) {
                let of = |group: usize| {
                    let rows = chosen(count, &selected).into_iter().filter(|row| ids[*row] == group as u32);
                    rows.map(|row| reference::value(value_type, &values, row)).collect::<Vec<_>>()
                };
                let context = format!("{count} of {value_type}");
                let mut counts = vec![0; GROUPS * 8];
                super::count_by_group(&selected, &ids, &mut counts);
                let expected: Vec<i128> = (0..GROUPS).map(|group| of(group).len() as i128).collect();
                assert_eq!(cells(ValueType::Int64, &counts), expected, "{context}");

                let mut sums = vec![0; GROUPS * width];
                let summed = super::sum_by_group(value_type, &values, &selected, &ids, &mut sums);
                let is_float = matches!(value_type, ValueType::Float32 | ValueType::Float64);
                assert_eq!(summed.is_none(), is_float, "{context}");
                let sum = |group| cut(value_type, of(group).into_iter().fold(0, i128::wrapping_add));
                let expected: Vec<i128> = (0..GROUPS).map(|group| if is_float { 0 } else { sum(group) }).collect();
                assert_eq!(cells(value_type, &sums), expected, "{context}");

                for which in [Extreme::Least, Extreme::Greatest] {
                    let start: i128 = 3;
                    let mut ends = start.to_le_bytes()[..width].repeat(GROUPS);
                    super::extreme_by_group(value_type, &values, &selected, &ids, &mut ends, which).unwrap();
                    let end = |values: Vec<i128>| match which {
                        Extreme::Least => values.into_iter().chain([start]).min().unwrap(),
                        Extreme::Greatest => values.into_iter().chain([start]).max().unwrap(),
                    };
                    let expected: Vec<i128> = (0..GROUPS).map(|group| end(of(group))).collect();
                    assert_eq!(cells(value_type, &ends), expected, "{context} {which:?}");
                }
            }
        }
    }
}

/// Products by group; one that does not fit is noticed.
#[test]
fn products_of_groups() {
    const GROUPS: usize = 3;
    let mut random = Random(0x5eed_0004);
    for value_type in [ValueType::Int64, ValueType::UInt64, ValueType::Decimal128 { precision: 38, scale: 2 }] {
        let width = if matches!(value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 };
        for count in LENGTHS {
            let ids: Vec<u32> = (0..count).map(|_| random.next() as u32 % GROUPS as u32).collect();
            for factors in factors(value_type, count, &mut random) {
                for selected in selections(count, &mut random) {
                    let mut sums = vec![0; GROUPS * width];
                    let values = factors.each_ref().map(Vec::as_slice);
                    let fit = super::products_by_group(value_type, values, &selected, &ids, &mut sums).unwrap();
                    let mut expected = [0i128; GROUPS];
                    let rows = chosen(count, &selected);
                    let all_fit = rows.iter().all(|row| product(value_type, &factors, *row).is_some());
                    assert_eq!(fit, all_fit, "{count} of {value_type}");
                    if !all_fit {
                        continue;
                    }
                    for row in rows {
                        let sum = &mut expected[ids[row] as usize];
                        *sum = sum.wrapping_add(product(value_type, &factors, row).unwrap());
                    }
                    assert_eq!(cells(value_type, &sums), expected.map(|sum| cut(value_type, sum)), "{count} of {value_type}");
                }
            }
        }
    }
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

/// Keys of a dictionary, of every width, in sets of members.
#[test]
fn keys_among_members() {
    let mut random = Random(5);
    for (width, rows) in [1, 2, 4, 8].into_iter().flat_map(|width| LENGTHS.map(|rows| (width, rows))) {
        let keys: Vec<u64> = (0..rows).map(|_| random.next() % 64).collect();
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()[..width].to_vec()).collect();
        for members in [0, 1, 1 << 63, u64::MAX, random.next()] {
            let expected = reference::bitmap(rows, |row| members >> keys[row] & 1 == 1);
            for set in InstructionSet::available() {
                let mut words = vec![[0xee; 8]; rows.div_ceil(64)];
                super::among(set, width, &bytes, members, &mut words);
                assert_eq!(words, expected, "{set:?} {width} {rows}");
            }
        }
    }
}
