//! Counts, sums, least and greatest values by group: over the rows of a bitmap that `group_ids` has mapped, or over all of them where a program has no keys.
//!
//! The ids are the group table's, not those in the cage, which a program can write to.

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::ValueType;

use super::super::load::{self, Plain};
use super::super::vector::{self, Extreme, InstructionSet};
use super::combine::{self, Bitmap};
use super::compare::{is_comparable, keep_valid};
use super::reduce::number;
use super::{BatchHelpers, NO_COLUMN};

/// See [`nearside_programs::abi::helper::GROUP_COUNT`].
pub(super) fn group_count(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let columns = [counted(call, &arguments, 1)?, counted(call, &arguments, 2)?];
    let end = end(call, &arguments, 4)?;
    call.charge(2, 0, fuel)?;
    let mut selected = *combine::at(arguments[2], memory)?;
    limit(call, end, &mut selected);
    for column in columns.into_iter().flatten() {
        let nulls = call.batch.array(column).map_err(|error| call.internal(error))?.as_ref().logical_nulls();
        keep_valid(nulls.as_ref(), &mut selected);
    }
    let cells = cells(call, arguments[4], 8, memory)?;
    if call.state.groups.is_keyed() {
        vector::count_by_group(&selected, call.state.groups.ids(), cells);
    } else {
        add(ValueType::UInt64, cells, vector::count(&selected).into());
    }
    Ok(0)
}

/// See [`nearside_programs::abi::helper::GROUP_SUM`].
pub(super) fn group_sum(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let Column { array, value_type, selected, cells } = column(call, &arguments, memory, fuel)?;
    let values = load::native(&*array, value_type);
    let added = if call.state.groups.is_keyed() {
        vector::sum_by_group(value_type, values, &selected, call.state.groups.ids(), cells)
    } else {
        vector::sum(InstructionSet::best(), value_type, values, &selected).map(|sum| add(value_type, cells, sum))
    };
    added.map(|()| 0).ok_or(HelperFault::Argument { index: 1, value: arguments[0] })
}

/// See [`nearside_programs::abi::helper::GROUP_SUM_PRODUCTS`].
pub(super) fn group_sum_products(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let ((left, value_type), (right, right_type)) = (call.column(&arguments, 1)?, call.column(&arguments, 2)?);
    let are_decimals = [value_type, right_type].iter().all(|known| matches!(known, ValueType::Decimal128 { .. }));
    if !are_decimals && !is_comparable(value_type, right_type) {
        return Err(HelperFault::Argument { index: 2, value: arguments[1] });
    }
    let end = end(call, &arguments, 4)?;
    call.charge(3, 0, fuel)?;
    let mut selected = *combine::at(arguments[2], memory)?;
    limit(call, end, &mut selected);
    let arrays = [call.array(left)?, call.array(right)?];
    arrays.iter().for_each(|array| keep_valid(array.nulls(), &mut selected));
    let cells = cells(call, arguments[4], width(value_type), memory)?;
    let values = arrays.each_ref().map(|array| load::native(&**array, value_type));
    let fit = if call.state.groups.is_keyed() {
        vector::products_by_group(value_type, values, &selected, call.state.groups.ids(), cells)
    } else {
        let sum = vector::sum_products(InstructionSet::best(), value_type, values, &selected);
        sum.map(|sum| sum.map(|sum| add(value_type, cells, sum)).is_some())
    };
    fit.map(|fit| u64::from(!fit)).ok_or(HelperFault::Argument { index: 1, value: arguments[0] })
}

/// See [`nearside_programs::abi::helper::GROUP_MIN`].
pub(super) fn group_min(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    extreme(call, &arguments, memory, fuel, Extreme::Least)
}

/// See [`nearside_programs::abi::helper::GROUP_MAX`].
pub(super) fn group_max(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    extreme(call, &arguments, memory, fuel, Extreme::Greatest)
}

fn extreme(
    call: &mut BatchHelpers<'_>,
    arguments: &[u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
    which: Extreme,
) -> Result<u64, HelperFault> {
    let Column { array, value_type, selected, cells } = column(call, arguments, memory, fuel)?;
    let values = load::native(&*array, value_type);
    if call.state.groups.is_keyed() {
        let replaced = vector::extreme_by_group(value_type, values, &selected, call.state.groups.ids(), cells, which);
        return replaced.map(|()| 0).ok_or(HelperFault::Argument { index: 1, value: arguments[0] });
    }
    if let Some(end) = vector::extreme(InstructionSet::best(), value_type, values, &selected, which) {
        let known = number(value_type, cells);
        let better = if which == Extreme::Least { end.min(known) } else { end.max(known) };
        cells.copy_from_slice(&better.to_le_bytes()[..cells.len()]);
    }
    Ok(0)
}

/// A column of numbers, its rows that count, and the cells of all groups.
struct Column<'a, 'm> {
    array: Plain<'a>,
    value_type: ValueType,
    selected: Bitmap,
    cells: &'m mut [u8],
}

/// What `(column, bitmap, end, cells)` name, charged for.
fn column<'a, 'm>(
    call: &mut BatchHelpers<'a>,
    arguments: &[u64; 5],
    memory: &'m mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<Column<'a, 'm>, HelperFault> {
    let (column, value_type) = call.column(arguments, 1)?;
    if value_type == ValueType::Bool {
        return Err(HelperFault::Argument { index: 1, value: arguments[0] });
    }
    let end = end(call, arguments, 3)?;
    call.charge(2, 0, fuel)?;
    let mut selected = *combine::at(arguments[1], memory)?;
    limit(call, end, &mut selected);
    let array = call.array(column)?;
    keep_valid(array.nulls(), &mut selected);
    let cells = cells(call, arguments[3], width(value_type), memory)?;
    Ok(Column { array, value_type, selected, cells })
}

/// The column, of any type, whose NULLs do not count; `None` for [`NO_COLUMN`].
fn counted(call: &BatchHelpers<'_>, arguments: &[u64; 5], index: u8) -> Result<Option<u32>, HelperFault> {
    let value = arguments[usize::from(index) - 1];
    if value == NO_COLUMN {
        return Ok(None);
    }
    let column = u32::try_from(value).ok().filter(|column| call.entry.named.contains(column));
    column.map(Some).ok_or(HelperFault::Argument { index, value })
}

/// Argument `index`, the end of the rows: none beyond those that have a group.
fn end(call: &BatchHelpers<'_>, arguments: &[u64; 5], index: u8) -> Result<usize, HelperFault> {
    let value = arguments[usize::from(index) - 1];
    let mapped = if call.state.groups.is_keyed() { call.mapped.unwrap_or(call.first) } else { call.batch.rows };
    let end = usize::try_from(value).ok().filter(|end| (call.first..=mapped).contains(end));
    end.ok_or(HelperFault::Argument { index, value })
}

/// Leaves the rows from the call's first to `end`, which is in the batch.
fn limit(call: &BatchHelpers<'_>, end: usize, selected: &mut Bitmap) {
    combine::cut(selected, end);
    super::bitmap::clear_below(call.first, selected.as_flattened_mut());
}

/// The accumulators of all groups there are, at an address.
fn cells<'m>(
    call: &BatchHelpers<'_>,
    address: u64,
    width: usize,
    memory: &'m mut Memory<'_>,
) -> Result<&'m mut [u8], HelperFault> {
    memory.write(address, call.state.groups.len() * width)
}

fn width(value_type: ValueType) -> usize {
    if matches!(value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 }
}

/// Adds to the one cell of a program without keys.
fn add(value_type: ValueType, cell: &mut [u8], value: i128) {
    let sum = number(value_type, cell).wrapping_add(value);
    cell.copy_from_slice(&sum.to_le_bytes()[..cell.len()]);
}
