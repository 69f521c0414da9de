//! Whole columns at once: which rows compare how, and what the selected ones add up to.
//!
//! A values array is as Arrow has it, `rows × width` bytes; a bitmap is a slice of [`Word`]s, and whoever calls sees to NULLs. What a kernel computes is
//! said by the plain reference beside its tests, a row at a time in 128 bits; how, by `loops`; `dispatch` makes a version of it for each instruction set, and is the
//! one module with `unsafe` in it. Start at [`compare`], [`compare_columns`], [`sum`] and [`extreme`]. Not here: arguments, fuel, cages.

mod dispatch;
mod groups;
mod lanes;
mod loops;
mod products;
#[cfg(test)]
mod tests;

use nearside_programs::ValueType;

pub(super) use dispatch::InstructionSet;
pub(super) use groups::{count_by_group, extreme_by_group, products_by_group, sum_by_group};
pub(super) use loops::Word;

use lanes::{I64, I128, Key, Lane, U8, U16, U32, U64};

/// How two values compare; the numbers are those of the helpers' `op` argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];
}

/// What a column's values are compared with: an interval of integers, and a float's by its comparison key. Empty if `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: i128,
    pub(super) high: i128,
    /// Whether it is the values outside that pass.
    pub(super) is_negated: bool,
}

impl Interval {
    const EMPTY: Self = Self { low: 1, high: 0, is_negated: false };

    /// The values that compare so with `value`.
    pub(super) fn of(comparison: Comparison, value: i128) -> Self {
        let within = |low, high| Self { low, high, is_negated: false };
        match comparison {
            Comparison::Equal => within(value, value),
            Comparison::NotEqual => Self { is_negated: true, ..within(value, value) },
            Comparison::Less => value.checked_sub(1).map_or(Self::EMPTY, |high| within(i128::MIN, high)),
            Comparison::LessOrEqual => within(i128::MIN, value),
            Comparison::Greater => value.checked_add(1).map_or(Self::EMPTY, |low| within(low, i128::MAX)),
            Comparison::GreaterOrEqual => within(value, i128::MAX),
        }
    }

    /// The values from `low` to `high`, either end left out if it is not `included`.
    pub(super) fn between(low: (i128, bool), high: (i128, bool)) -> Self {
        let low = if low.1 { Some(low.0) } else { low.0.checked_add(1) };
        let high = if high.1 { Some(high.0) } else { high.0.checked_sub(1) };
        low.zip(high).map_or(Self::EMPTY, |(low, high)| Self { low, high, is_negated: false })
    }

    /// Whether a value passes.
    pub(super) fn holds(&self, value: i128) -> bool {
        (self.low..=self.high).contains(&value) != self.is_negated
    }
}

/// Which end is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extreme {
    Least,
    Greatest,
}

/// `$body` with `$lane` standing for the lane of a value type; `None` for types that are no fixed number of bytes.
macro_rules! with_lane {
    ($value_type:expr, $lane:ident => $body:expr) => {{
        macro_rules! as_lane {
            ($name:ty) => {{
                type $lane = $name;
                Some($body)
            }};
        }
        match $value_type {
            ValueType::Int8 => as_lane!($crate::columnar::vector::lanes::I8),
            ValueType::Int16 => as_lane!($crate::columnar::vector::lanes::I16),
            ValueType::Int32 | ValueType::Date32 => as_lane!($crate::columnar::vector::lanes::I32),
            ValueType::Int64 => as_lane!($crate::columnar::vector::lanes::I64),
            ValueType::UInt8 => as_lane!($crate::columnar::vector::lanes::U8),
            ValueType::UInt16 => as_lane!($crate::columnar::vector::lanes::U16),
            ValueType::UInt32 => as_lane!($crate::columnar::vector::lanes::U32),
            ValueType::UInt64 => as_lane!($crate::columnar::vector::lanes::U64),
            ValueType::Float32 => as_lane!($crate::columnar::vector::lanes::F32),
            ValueType::Float64 => as_lane!($crate::columnar::vector::lanes::F64),
            ValueType::Decimal128 { .. } => as_lane!($crate::columnar::vector::lanes::I128),
            ValueType::Bool | ValueType::Utf8 | ValueType::Opaque => None,
        }
    }};
}

use with_lane;

/// Keeps of the selected rows those whose values lie in an interval. The bitmap has a word for every 64 rows, zero beyond the last one; words beyond those are
/// left alone.
///
/// `None` if the type is not one of a fixed number of bytes.
pub(super) fn compare(
    set: InstructionSet,
    value_type: ValueType,
    values: &[u8],
    interval: Interval,
    selected: &mut [Word],
) -> Option<()> {
    with_lane!(value_type, L => {
        let (low, high) = (interval.low.max(L::LEAST), interval.high.min(L::GREATEST));
        if low <= high {
            let low = L::key_of(low);
            dispatch::within::<L>(set, values, low, L::key_of(high).wrapping_sub(low), flip(interval.is_negated), selected);
        } else if !interval.is_negated {
            selected[..L::elements(values).len().div_ceil(64)].fill([0; 8]);
        }
    })
}

/// What truths are XORed with: all ones if it is the others that pass.
fn flip(is_negated: bool) -> u64 {
    u64::from(is_negated).wrapping_neg()
}

/// Writes which of a dictionary's keys, of `width` bytes each, are members of a set of numbers below 64. Of greater ones, anything.
pub(super) fn among(set: InstructionSet, width: usize, keys: &[u8], members: u64, out: &mut [Word]) {
    match width {
        1 => dispatch::among::<U8>(set, keys, members, out),
        2 => dispatch::among::<U16>(set, keys, members, out),
        4 => dispatch::among::<U32>(set, keys, members, out),
        _ => dispatch::among::<U64>(set, keys, members, out),
    }
}

/// As [`compare`], for `left[i] comparison right[i]`; the arrays are of one type and length.
pub(super) fn compare_columns(
    set: InstructionSet,
    value_type: ValueType,
    comparison: Comparison,
    [left, right]: [&[u8]; 2],
    selected: &mut [Word],
) -> Option<()> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let flip = flip(matches!(comparison, NotEqual | GreaterOrEqual | LessOrEqual));
    with_lane!(value_type, L => match comparison {
        Equal | NotEqual => dispatch::equal::<L>(set, left, right, flip, selected),
        Less | GreaterOrEqual => dispatch::less::<L>(set, left, right, flip, selected),
        Greater | LessOrEqual => dispatch::less::<L>(set, right, left, flip, selected),
    })
}

/// The sum of the selected values, modulo 2^64, of decimals modulo 2^128; `None` for types without one.
pub(super) fn sum(set: InstructionSet, value_type: ValueType, values: &[u8], selected: &[Word]) -> Option<i128> {
    if matches!(value_type, ValueType::Float32 | ValueType::Float64) {
        return None;
    }
    let total = with_lane!(value_type, L => {
        // Each key is its value's distance from the least.
        let least = L::LEAST.wrapping_mul(i128::from(count(selected)));
        (dispatch::sum::<L>(set, values, selected) as i128).wrapping_add(least)
    })?;
    Some(match value_type {
        ValueType::Decimal128 { .. } => total,
        ValueType::UInt64 => i128::from(total as u64),
        _ => i128::from(total as i64),
    })
}

/// The sum of the selected rows' products, modulo 2^64, of decimals modulo 2^128. `Some(None)` if a product of decimals does not fit 128 bits, `None` for types
/// other than integers of 64 bits and decimals.
pub(super) fn sum_products(
    set: InstructionSet,
    value_type: ValueType,
    [left, right]: [&[u8]; 2],
    selected: &[Word],
) -> Option<Option<i128>> {
    Some(match value_type {
        ValueType::Int64 => dispatch::products::<I64>(set, left, right, selected).map(|sum| (sum as i64).into()),
        ValueType::UInt64 => dispatch::products::<U64>(set, left, right, selected).map(|sum| (sum as u64).into()),
        ValueType::Decimal128 { .. } => dispatch::products::<I128>(set, left, right, selected),
        _ => return None,
    })
}

/// Writes the selected values to the front of `out`, one after the other; returns how many those were. `None` if the type is not one of a fixed number of bytes.
///
/// Stops where `out` ends.
pub(super) fn gather(value_type: ValueType, values: &[u8], selected: &[Word], out: &mut [u8]) -> Option<usize> {
    with_lane!(value_type, L => {
        let width = size_of::<<L as Lane>::Raw>();
        let mut gathered = 0;
        let mut targets = out.chunks_exact_mut(width);
        for (block, word) in values.chunks(width * 64).zip(selected) {
            let mut word = u64::from_le_bytes(*word);
            while word != 0 {
                let at = word.trailing_zeros() as usize * width;
                let (Some(value), Some(target)) = (block.get(at..at + width), targets.next()) else { break };
                target.copy_from_slice(value);
                gathered += 1;
                word &= word - 1;
            }
        }
        gathered
    })
}

/// The least or greatest of the selected values, of floats their total-order key; `None` if none is selected, and for types without one.
pub(super) fn extreme(
    set: InstructionSet,
    value_type: ValueType,
    values: &[u8],
    selected: &[Word],
    which: Extreme,
) -> Option<i128> {
    if count(selected) == 0 {
        return None;
    }
    with_lane!(value_type, L => {
        type Of<L> = <L as Lane>::Key;
        let flip = match which {
            Extreme::Least => Of::<L>::ZERO,
            Extreme::Greatest => Of::<L>::ONES,
        };
        L::value_of(dispatch::least::<L>(set, values, selected, flip))
    })
}

/// How many rows are selected.
pub(super) fn count(selected: &[Word]) -> u64 {
    dispatch::count(InstructionSet::best(), selected)
}

/// Leaves the rows that other words have, too; returns how many those are.
pub(super) fn intersect(selected: &mut [Word], others: &[Word]) -> u64 {
    dispatch::intersect(InstructionSet::best(), selected, others)
}

/// The other rows of the first `rows`, of which `bitmap` has exactly as many words as they need.
pub(super) fn negate(bitmap: &mut [Word], rows: usize) {
    for word in &mut *bitmap {
        *word = (!u64::from_le_bytes(*word)).to_le_bytes();
    }
    if let (Some(word), rest @ 1..) = (bitmap.last_mut(), rows % 64) {
        *word = (u64::from_le_bytes(*word) & ((1 << rest) - 1)).to_le_bytes();
    }
}
