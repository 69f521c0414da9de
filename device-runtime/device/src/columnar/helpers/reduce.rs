//! Sums, least and greatest values of a column's rows in a bitmap.

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::ValueType;

use super::super::load;
use super::super::vector::{self, Extreme, InstructionSet, Word};
use super::compare::keep_valid;
use super::{BatchHelpers, combine};

/// See [`nearside_programs::abi::helper::COLUMN_SUM`].
pub(super) fn column_sum(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    reduce(call, &arguments, memory, fuel, |value_type, values, selected, so_far| {
        vector::sum(InstructionSet::best(), value_type, values, selected).map(|sum| so_far.wrapping_add(sum))
    })
}

/// See [`nearside_programs::abi::helper::COLUMN_MIN`].
pub(super) fn column_min(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    reduce(call, &arguments, memory, fuel, |value_type, values, selected, so_far| {
        let least = vector::extreme(InstructionSet::best(), value_type, values, selected, Extreme::Least);
        Some(least.map_or(so_far, |least| least.min(so_far)))
    })
}

/// See [`nearside_programs::abi::helper::COLUMN_MAX`].
pub(super) fn column_max(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    reduce(call, &arguments, memory, fuel, |value_type, values, selected, so_far| {
        let greatest = vector::extreme(InstructionSet::best(), value_type, values, selected, Extreme::Greatest);
        Some(greatest.map_or(so_far, |greatest| greatest.max(so_far)))
    })
}

/// See [`nearside_programs::abi::helper::COLUMN_GATHER`].
pub(super) fn column_gather(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (column, value_type) = call.column(&arguments, 1)?;
    call.charge(2, 0, fuel)?;
    let mut selected = *combine::at(arguments[1], memory)?;
    combine::cut(&mut selected, call.batch.rows);
    let array = call.array(column)?;
    let width = u64::from(value_type.byte_width().ok_or(HelperFault::Argument { index: 1, value: arguments[0] })?);
    let target = memory.write(arguments[2], (vector::count(&selected) * width) as usize)?;
    let gathered = vector::gather(value_type, load::native(&*array, value_type), &selected, target);
    gathered.map(|rows| rows as u64).ok_or(HelperFault::Missing)
}

/// Replaces the number at the address in argument 3 by what `step` makes of it and of the column's values in the bitmap; returns how many values those were.
fn reduce(
    call: &mut BatchHelpers<'_>,
    arguments: &[u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
    step: impl FnOnce(ValueType, &[u8], &[Word], i128) -> Option<i128>,
) -> Result<u64, HelperFault> {
    let (column, value_type) = call.column(arguments, 1)?;
    if value_type == ValueType::Bool {
        return Err(HelperFault::Argument { index: 1, value: arguments[0] });
    }
    call.charge(1, 0, fuel)?;
    let mut selected = *combine::at(arguments[1], memory)?;
    combine::cut(&mut selected, call.batch.rows);
    let array = call.array(column)?;
    keep_valid(array.nulls(), &mut selected);
    let width = if matches!(value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 };
    let target = memory.write(arguments[2], width)?;
    let so_far = number(value_type, target);
    let values = load::native(&*array, value_type);
    let next = step(value_type, values, &selected, so_far);
    let next = next.ok_or(HelperFault::Argument { index: 1, value: arguments[0] })?;
    target.copy_from_slice(&next.to_le_bytes()[..width]);
    Ok(vector::count(&selected))
}

/// What an accumulator of 8 or 16 bytes holds.
pub(super) fn number(value_type: ValueType, bytes: &[u8]) -> i128 {
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = i128::from_le_bytes(wide);
    match value_type {
        ValueType::UInt64 | ValueType::Decimal128 { .. } => unsigned,
        _ => i128::from(unsigned as i64),
    }
}
