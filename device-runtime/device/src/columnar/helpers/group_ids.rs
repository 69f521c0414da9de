//! Keys to group ids.

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::ValueType;
use nearside_programs::abi::columnar::BITMAP_LEN;
use nearside_programs::manifest::{Output, OutputColumn, OutputSource};

use super::super::groups::{KeyValues, Rows};
use super::super::text::TextColumn;
use super::BatchHelpers;
use crate::DeviceError;

/// See [`nearside_programs::abi::helper::GROUP_IDS`].
pub(super) fn group_ids(
    call: &mut BatchHelpers<'_>,
    _: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let Output::Aggregate { keys, .. } = &call.manifest.output else {
        return Err(call.failed("group_ids in a program without groups".into()));
    };
    call.charge(keys.len() + 1, text_bytes(call, keys), fuel)?;
    let before = call.state.groups.len();
    let end = match map(call, keys, memory)? {
        Ok(end) => end,
        Err(error) => {
            call.error = Some(error);
            return Err(HelperFault::Missing);
        }
    };
    initialize(call, before, memory)?;
    let (first, rows) = (call.first, call.batch.rows);
    let target = memory.write(u64::from(call.layout.group_ids.address) + first as u64 * 4, (rows - first) * 4)?;
    for (id, out) in call.state.groups.ids()[first..rows].iter().zip(target.chunks_exact_mut(4)) {
        out.copy_from_slice(&id.to_le_bytes());
    }
    call.mapped = Some(end);
    Ok(end as u64)
}

fn text_bytes(call: &BatchHelpers<'_>, keys: &[OutputColumn]) -> u64 {
    let texts = keys.iter().filter_map(|key| match key.source {
        OutputSource::Column(column) if key.value_type == ValueType::Utf8 => call.batch.text(column),
        _ => None,
    });
    texts.map(TextColumn::total_bytes).sum()
}

fn map(
    call: &mut BatchHelpers<'_>,
    keys: &[OutputColumn],
    memory: &Memory<'_>,
) -> Result<Result<usize, DeviceError>, HelperFault> {
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        values.push(match key.source {
            OutputSource::Column(column) => match call.batch.array(column) {
                Ok(array) => KeyValues::Array(array),
                Err(error) => return Ok(Err(error)),
            },
            OutputSource::Computed(index) => {
                let place = call.layout.outputs[index as usize];
                KeyValues::Computed {
                    values: memory.read(place.values.address.into(), place.values.len)?,
                    validity: memory.read(place.validity.address.into(), place.validity.len)?,
                }
            }
        });
    }
    let selection = memory.read(call.layout.selection.address.into(), BITMAP_LEN as usize)?;
    let rows = Rows { first: call.first, count: call.batch.rows, selection };
    Ok(call.state.groups.map(&rows, &values, call.state.groups_max.min(call.capacity)))
}

/// Gives the groups from `before` on their initial accumulators.
fn initialize(call: &BatchHelpers<'_>, before: usize, memory: &mut Memory<'_>) -> Result<(), HelperFault> {
    let added = call.state.groups.len() - before;
    for accumulator in &call.layout.accumulators {
        let width = accumulator.width;
        let start = u64::from(accumulator.address) + (before * width) as u64;
        for element in memory.write(start, added * width)?.chunks_exact_mut(width) {
            element.copy_from_slice(&accumulator.initial.to_le_bytes()[..width]);
        }
    }
    Ok(())
}
