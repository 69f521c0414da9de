//! Comparisons of columns of fixed width: a bitmap of the rows for which they are true.

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::util::bit_chunk_iterator::BitChunks;
use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::ValueType;
use nearside_programs::manifest::{comparison_key, comparison_key_f32};

use super::super::load;
use super::super::vector::{self, Comparison, InstructionSet, Interval, Word};
use super::{BatchHelpers, combine};

/// See [`nearside_programs::abi::helper::COLUMN_COMPARE`].
pub(super) fn column_compare(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (column, value_type) = call.column(&arguments, 1)?;
    let comparison = comparison(&arguments)?;
    let value = parameter(call, &arguments, 3, value_type)?;
    within(call, (column, value_type), Interval::of(comparison, value), arguments[3], memory, fuel)
}

/// See [`nearside_programs::abi::helper::COLUMN_BETWEEN`].
pub(super) fn column_between(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (column, value_type) = call.column(&arguments, 1)?;
    let flags = arguments[1];
    if flags > 3 {
        return Err(HelperFault::Argument { index: 2, value: flags });
    }
    let low = (parameter(call, &arguments, 3, value_type)?, flags & 1 == 0);
    let high = (parameter(call, &arguments, 4, value_type)?, flags & 2 == 0);
    within(call, (column, value_type), Interval::between(low, high), arguments[4], memory, fuel)
}

/// See [`nearside_programs::abi::helper::COLUMN_COMPARE_COLUMNS`].
pub(super) fn column_compare_columns(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (left, value_type) = call.column(&arguments, 1)?;
    let comparison = comparison(&arguments)?;
    let (right, right_type) = call.column(&arguments, 3)?;
    if !is_comparable(value_type, right_type) {
        return Err(HelperFault::Argument { index: 3, value: arguments[2] });
    }
    call.charge(2, 0, fuel)?;
    let (left, right) = (call.array(left)?, call.array(right)?);
    keep(call, [&*left, &*right], arguments[3], memory, |selected| match value_type {
        ValueType::Bool => {
            let compare = truth_columns(comparison);
            let (left, right) = (words(&*left)?, words(&*right)?);
            let pairs = left.iter_padded().zip(right.iter_padded());
            combine::keep(selected, pairs.map(|(left, right)| compare(left, right)));
            Some(())
        }
        _ => {
            let values = [&left, &right].map(|array| load::native(&**array, value_type));
            vector::compare_columns(InstructionSet::best(), value_type, comparison, values, selected)
        }
    })
}

/// Writes which selected rows of a column lie in an interval.
fn within(
    call: &mut BatchHelpers<'_>,
    (column, value_type): (u32, ValueType),
    interval: Interval,
    bitmap: u64,
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    call.charge(1, 0, fuel)?;
    let array = call.array(column)?;
    keep(call, [&*array], bitmap, memory, |selected| match value_type {
        ValueType::Bool => {
            let [no, yes] = [0, 1].map(|truth| if interval.holds(truth) { u64::MAX } else { 0 });
            combine::keep(selected, words(&*array)?.iter_padded().map(|word| word & yes | !word & no));
            Some(())
        }
        _ => vector::compare(InstructionSet::best(), value_type, load::native(&*array, value_type), interval, selected),
    })
}

/// Writes a bitmap: of the selected rows those that `compare` leaves, without those where one of the arrays is NULL.
fn keep<const COLUMNS: usize>(
    call: &BatchHelpers<'_>,
    arrays: [&dyn Array; COLUMNS],
    address: u64,
    memory: &mut Memory<'_>,
    compare: impl FnOnce(&mut [Word]) -> Option<()>,
) -> Result<u64, HelperFault> {
    let selected = combine::selected_rows(call, address, memory)?;
    compare(selected).ok_or(HelperFault::Missing)?;
    for array in arrays {
        keep_valid(array.nulls(), selected);
    }
    Ok(0)
}

/// Clears the rows that are NULL.
pub(super) fn keep_valid(nulls: Option<&NullBuffer>, words: &mut [Word]) {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return };
    combine::keep(words, nulls.inner().bit_chunks().iter_padded());
}

/// A boolean array by words.
fn words(array: &dyn Array) -> Option<BitChunks<'_>> {
    Some(array.as_boolean_opt()?.values().bit_chunks())
}

/// How 64 pairs of booleans compare, `false` before `true`.
fn truth_columns(comparison: Comparison) -> fn(u64, u64) -> u64 {
    match comparison {
        Comparison::Equal => |left, right| !(left ^ right),
        Comparison::NotEqual => |left, right| left ^ right,
        Comparison::Less => |left, right| !left & right,
        Comparison::LessOrEqual => |left, right| !left | right,
        Comparison::Greater => |left, right| left & !right,
        Comparison::GreaterOrEqual => |left, right| left | !right,
    }
}

fn comparison(arguments: &[u64; 5]) -> Result<Comparison, HelperFault> {
    let value = arguments[1];
    let known = usize::try_from(value).ok().and_then(|op| Comparison::ALL.get(op).copied());
    known.ok_or(HelperFault::Argument { index: 2, value })
}

/// What the slot that argument `index` names holds, floats as their comparison keys.
fn parameter(call: &BatchHelpers<'_>, arguments: &[u64; 5], index: u8, value_type: ValueType) -> Result<i128, HelperFault> {
    let given = arguments[usize::from(index) - 1];
    let slot = u32::try_from(given).ok();
    let fits = |slot: &u32| call.manifest.parameters.get(*slot as usize).is_some_and(|known| is_comparable(value_type, *known));
    let value = slot.filter(fits).and_then(|slot| call.state.predicates.parameters().value(slot));
    let value = value.ok_or(HelperFault::Argument { index, value: given })?;
    Ok(match value_type {
        ValueType::Float32 => comparison_key_f32(value as i32).into(),
        ValueType::Float64 => comparison_key(value as i64).into(),
        _ => value,
    })
}

pub(super) fn is_comparable(left: ValueType, right: ValueType) -> bool {
    match (left, right) {
        (ValueType::Decimal128 { scale: left, .. }, ValueType::Decimal128 { scale: right, .. }) => left == right,
        _ => left == right,
    }
}
