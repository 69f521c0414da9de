//! `MIN` and `MAX` of text: state of variable length, kept outside the cage.

use std::cmp::Ordering;

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::abi::columnar::BITMAP_LEN;

use super::super::bitmap;
use super::BatchHelpers;

/// The least or greatest text of each group.
#[derive(Default)]
pub(in super::super) struct TextExtreme {
    texts: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl TextExtreme {
    /// The text of a group, if it has seen one.
    pub(in super::super) fn text(&self, group: usize) -> Option<&[u8]> {
        self.texts.get(group)?.as_deref()
    }

    /// Bytes of all texts.
    pub(in super::super) fn len(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub(in super::super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn update(&mut self, group: usize, text: &[u8], wanted: Ordering) {
        if self.texts.len() <= group {
            self.texts.resize(group + 1, None);
        }
        match &mut self.texts[group] {
            Some(known) if text.cmp(known) != wanted => {}
            Some(known) => {
                self.bytes = self.bytes - known.len() + text.len();
                known.clear();
                known.extend_from_slice(text);
            }
            empty => {
                self.bytes += text.len();
                *empty = Some(text.to_vec());
            }
        }
    }
}

/// See [`nearside_programs::abi::helper::TEXT_MIN`].
pub(super) fn text_min(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    update(call, &arguments, Ordering::Less, memory, fuel)
}

/// See [`nearside_programs::abi::helper::TEXT_MAX`].
pub(super) fn text_max(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    update(call, &arguments, Ordering::Greater, memory, fuel)
}

fn update(
    call: &mut BatchHelpers<'_>,
    arguments: &[u64; 5],
    wanted: Ordering,
    memory: &Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let [state, _, end, ..] = *arguments;
    let index = usize::try_from(state).ok().filter(|index| *index < call.state.extremes.len());
    let index = index.ok_or(HelperFault::Argument { index: 1, value: state })?;
    let (_, text) = call.text(arguments, 2)?;
    // With keys, only rows that group_ids has mapped have a group.
    let mapped = if call.state.groups.is_keyed() { call.mapped.unwrap_or(call.first) } else { call.batch.rows };
    let rows = usize::try_from(end).ok().filter(|end| (call.first..=mapped).contains(end));
    let rows = rows.ok_or(HelperFault::Argument { index: 3, value: end })?;
    call.charge(1, text.total_bytes(), fuel)?;
    let selection = bitmap::read(memory.read(call.selection.into(), BITMAP_LEN as usize)?, rows);
    let (extreme, ids) = (&mut call.state.extremes[index], call.state.groups.ids());
    text.for_each(selection.set_indices(), |row, value| extreme.update(ids.get(row).map_or(0, |id| *id as usize), value, wanted));
    Ok(0)
}
