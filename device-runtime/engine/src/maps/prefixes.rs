//! Longest prefix match. A key is 4 bytes of prefix length in bits, little-endian, and the data the prefix is of, first bit first.

use std::collections::BTreeMap;

use super::layout::Values;
use super::table::Table;
use super::{EXISTING_ONLY, MapError, NEW_ONLY};
use crate::shared::Shared;

/// Bytes of the prefix length.
const HEAD: usize = 4;

/// A prefix map. Looks a key up once for each length some prefix has, the longest first.
#[derive(Debug)]
pub(super) struct Prefixes {
    /// By key with the bits behind the prefix zero.
    table: Table,
    /// By entry: the data as given, which is what the host gets to see.
    given: Vec<u8>,
    /// How many prefixes have this length.
    lengths: BTreeMap<u32, u32>,
    /// Slot for the next replaced value.
    spare: u32,
    data_len: usize,
}

impl Prefixes {
    pub(super) fn new(table: Table, key_len: u32) -> Self {
        let spare = table.limit();
        Self { table, given: Vec::new(), lengths: BTreeMap::new(), spare, data_len: key_len as usize - HEAD }
    }

    /// How many keys a lookup looks up, at most.
    pub(super) fn probes(&self) -> usize {
        self.lengths.len()
    }

    /// Slot of the longest prefix of a key that is no longer than the key's own.
    pub(super) fn lookup(&self, key: &[u8]) -> Option<u32> {
        let longest = self.length(key)?;
        let mut probe = key.to_vec();
        self.lengths.range(..=longest).rev().find_map(|(&length, _)| {
            mask(&mut probe, length);
            self.table.find(&probe).map(|entry| self.table.slot(entry))
        })
    }

    pub(super) fn update(
        &mut self,
        shared: Shared<'_>,
        values: &Values,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), MapError> {
        let length = self.length(key).filter(|_| flags <= EXISTING_ONLY).ok_or(MapError::Invalid)?;
        let masked = masked(key, length);
        match self.table.find(&masked) {
            Some(_) if flags == NEW_ONLY => return Err(MapError::Exists),
            Some(entry) => {
                values.write(shared, self.spare, 0, value);
                self.spare = self.table.replace_slot(entry, self.spare);
                self.keep(entry, key);
            }
            None if flags == EXISTING_ONLY => return Err(MapError::NotFound),
            None => {
                let entry = self.table.insert(&masked).ok_or(MapError::NoSpace)?;
                values.write(shared, self.table.slot(entry), 0, value);
                *self.lengths.entry(length).or_default() += 1;
                self.keep(entry, key);
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), MapError> {
        let length = self.length(key).ok_or(MapError::Invalid)?;
        let entry = self.table.find(&masked(key, length)).ok_or(MapError::NotFound)?;
        self.table.remove(entry);
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
        Ok(())
    }

    /// As [`super::keyed::walk`], with keys as given.
    pub(super) fn walk(&self, cursor: u32, max: usize, mut look: impl FnMut(&[u8], u32)) -> Option<u32> {
        super::keyed::walk(&self.table, cursor, max, |entry| {
            let data = &self.given[entry as usize * self.data_len..][..self.data_len];
            look(&[&self.table.key(entry)[..HEAD], data].concat(), self.table.slot(entry));
        })
    }

    fn keep(&mut self, entry: u32, key: &[u8]) {
        let start = entry as usize * self.data_len;
        if self.given.len() < start + self.data_len {
            self.given.resize(start + self.data_len, 0);
        }
        self.given[start..start + self.data_len].copy_from_slice(&key[HEAD..]);
    }

    /// The key's prefix length, if its data has as many bits.
    fn length(&self, key: &[u8]) -> Option<u32> {
        let length = u32::from_le_bytes(key.get(..HEAD)?.try_into().ok()?);
        (length as usize <= 8 * self.data_len).then_some(length)
    }
}

fn masked(key: &[u8], length: u32) -> Vec<u8> {
    let mut masked = key.to_vec();
    mask(&mut masked, length);
    masked
}

/// Makes a key one of a shorter prefix.
fn mask(key: &mut [u8], length: u32) {
    let (head, data) = key.split_at_mut(HEAD);
    head.copy_from_slice(&length.to_le_bytes());
    let whole = length as usize / 8;
    if let Some(byte) = data.get_mut(whole) {
        *byte &= !(0xff >> (length % 8));
        data[whole + 1..].fill(0);
    }
}
