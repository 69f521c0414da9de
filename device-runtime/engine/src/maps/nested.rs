//! Maps whose values are maps or programs: by index among the instance's maps, by first slot among the module's entry points.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::array::index;
use super::table::Table;
use super::{EXISTING_ONLY, MapError, NEW_ONLY, read, write};

/// What an empty element holds; no index and no slot is as large.
const EMPTY: u32 = u32::MAX;

/// Elements that hold a number or nothing.
#[derive(Debug)]
pub(super) struct Slots(Vec<AtomicU32>);

impl Slots {
    pub(super) fn new(entries: u32) -> Self {
        Self((0..entries).map(|_| AtomicU32::new(EMPTY)).collect())
    }

    pub(super) fn get(&self, index: u32) -> Option<u32> {
        let held = self.0.get(index as usize)?.load(Ordering::Acquire);
        (held != EMPTY).then_some(held)
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn set(&self, key: &[u8], held: u32, flags: u64) -> Result<(), MapError> {
        if flags != 0 {
            return Err(MapError::Invalid);
        }
        self.element(key)?.store(held, Ordering::Release);
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        match self.element(key)?.swap(EMPTY, Ordering::AcqRel) {
            EMPTY => Err(MapError::NotFound),
            _ => Ok(()),
        }
    }

    fn element(&self, key: &[u8]) -> Result<&AtomicU32, MapError> {
        index(key).and_then(|index| self.0.get(index as usize)).ok_or(MapError::TooBig)
    }
}

/// Array- or hash-of-maps.
#[derive(Debug)]
pub(super) enum Nested {
    Array(Slots),
    /// An entry's slot is the inner map's index.
    Hash(RwLock<Table>),
}

impl Nested {
    /// Index of the inner map.
    pub(super) fn get(&self, key: &[u8]) -> Option<u32> {
        match self {
            Self::Array(slots) => slots.get(index(key)?),
            Self::Hash(table) => {
                let table = read(table);
                table.find(key).map(|entry| table.slot(entry))
            }
        }
    }

    pub(super) fn set(&self, key: &[u8], inner: u32, flags: u64) -> Result<(), MapError> {
        let table = match self {
            Self::Array(slots) => return slots.set(key, inner, flags),
            Self::Hash(_) if flags > EXISTING_ONLY => return Err(MapError::Invalid),
            Self::Hash(table) => table,
        };
        let mut table = write(table);
        let entry = match table.find(key) {
            Some(_) if flags == NEW_ONLY => return Err(MapError::Exists),
            Some(entry) => entry,
            None if flags == EXISTING_ONLY => return Err(MapError::NotFound),
            None => table.insert(key).ok_or(MapError::TooBig)?,
        };
        table.replace_slot(entry, inner);
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        match self {
            Self::Array(slots) => slots.delete(key),
            Self::Hash(table) => {
                let mut table = write(table);
                let entry = table.find(key).ok_or(MapError::NotFound)?;
                table.remove(entry);
                Ok(())
            }
        }
    }

    pub(super) fn walk(&self, cursor: u32, max: usize, mut look: impl FnMut(&[u8], u32)) -> Option<u32> {
        match self {
            Self::Array(slots) => slots.walk(cursor, max, look),
            Self::Hash(table) => {
                let table = read(table);
                super::keyed::walk(&table, cursor, max, |entry| look(table.key(entry), table.slot(entry)))
            }
        }
    }
}

impl Slots {
    /// As [`super::keyed::walk`], over elements that hold something.
    pub(super) fn walk(&self, cursor: u32, max: usize, mut look: impl FnMut(&[u8], u32)) -> Option<u32> {
        let mut left = max;
        for (index, held) in (cursor..self.len()).filter_map(|index| Some((index, self.get(index)?))) {
            if left == 0 {
                return Some(index);
            }
            look(&index.to_le_bytes(), held);
            left -= 1;
        }
        None
    }
}
