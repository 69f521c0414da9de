//! Where packets can be redirected to: devmap, cpumap, xskmap by index, devmap_hash by key. Programs may look; the host decides.

use std::sync::RwLock;

use nearside_programs::isa::Size;

use super::array::index;
use super::layout::Values;
use super::table::Table;
use super::{EXISTING_ONLY, MapError, NEW_ONLY, read, write};
use crate::shared::Shared;

/// Entries that may be empty; an entry's first 4 bytes (interface, queue size, socket) are not 0.
#[derive(Debug)]
pub(super) enum Targets {
    /// So many elements.
    Array(u32),
    Hash(RwLock<Table>),
}

impl Targets {
    /// The first 4 bytes of an entry.
    pub(super) fn get(&self, shared: Shared<'_>, values: &Values, key: u32) -> Option<u32> {
        self.slot(shared, values, &key.to_le_bytes()).map(|slot| shared.load(values.offset(slot, 0), Size::W) as u32)
    }

    /// The slot of an entry.
    pub(super) fn slot(&self, shared: Shared<'_>, values: &Values, key: &[u8]) -> Option<u32> {
        match self {
            Self::Array(entries) => {
                let set = |slot: &u32| shared.load(values.offset(*slot, 0), Size::W) != 0;
                index(key).filter(|slot| slot < entries).filter(set)
            }
            Self::Hash(table) => {
                let table = read(table);
                table.find(key).map(|entry| table.slot(entry))
            }
        }
    }

    pub(super) fn update(
        &self,
        shared: Shared<'_>,
        values: &Values,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), MapError> {
        if flags > EXISTING_ONLY {
            return Err(MapError::Invalid);
        }
        match self {
            Self::Array(entries) => {
                let slot = index(key).filter(|slot| slot < entries).ok_or(MapError::TooBig)?;
                if flags == NEW_ONLY {
                    return Err(MapError::Exists);
                }
                // One word, so that no one sees half of it. A value that begins with 0 empties the element.
                shared.store(values.offset(slot, 0), Size::D, word(value));
                Ok(())
            }
            Self::Hash(table) => update_hash(&mut write(table), shared, values, key, value, flags),
        }
    }

    pub(super) fn delete(&self, shared: Shared<'_>, values: &Values, key: &[u8]) -> Result<(), MapError> {
        match self {
            Self::Array(entries) => {
                let slot = index(key).filter(|slot| slot < entries).ok_or(MapError::Invalid)?;
                shared.store(values.offset(slot, 0), Size::D, 0);
                Ok(())
            }
            Self::Hash(table) => {
                let mut table = write(table);
                let entry = table.find(key).ok_or(MapError::NotFound)?;
                table.remove(entry);
                Ok(())
            }
        }
    }

    pub(super) fn walk(
        &self,
        shared: Shared<'_>,
        values: &Values,
        cursor: u32,
        max: usize,
        mut look: impl FnMut(&[u8], u32),
    ) -> Option<u32> {
        let entries = match self {
            Self::Array(entries) => *entries,
            Self::Hash(table) => {
                let table = read(table);
                return super::keyed::walk(&table, cursor, max, |entry| look(table.key(entry), table.slot(entry)));
            }
        };
        let mut left = max;
        for key in (cursor..entries).filter(|key| self.get(shared, values, *key).is_some()) {
            if left == 0 {
                return Some(key);
            }
            look(&key.to_le_bytes(), key);
            left -= 1;
        }
        None
    }
}

fn update_hash(
    table: &mut Table,
    shared: Shared<'_>,
    values: &Values,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> Result<(), MapError> {
    if word(value) as u32 == 0 {
        return Err(MapError::Invalid);
    }
    let entry = match table.find(key) {
        Some(_) if flags == NEW_ONLY => return Err(MapError::Exists),
        Some(entry) => entry,
        // The kernel does not mind that there is none, whatever the flags.
        None => table.insert(key).ok_or(MapError::TooBig)?,
    };
    shared.store(values.offset(table.slot(entry), 0), Size::D, word(value));
    Ok(())
}

/// Up to 8 bytes; an entry with interface 0 has nothing else.
fn word(value: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..value.len()].copy_from_slice(value);
    let word = u64::from_le_bytes(word);
    if word as u32 == 0 { 0 } else { word }
}
