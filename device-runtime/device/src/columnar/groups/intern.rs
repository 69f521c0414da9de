//! Long texts by number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Gives equal texts equal numbers, from 0.
#[derive(Default)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    /// End of each text in `bytes`; it begins where the one before ends.
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// Bytes of all texts together.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of a text, a new one if it is new.
    pub(super) fn number(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(number) = self.table.find(hash, |number| get(bytes, ends, *number) == text) {
            return *number;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |number| hasher.hash_one(get(bytes, ends, *number)));
        number
    }

    /// The text of a number that [`Self::number`] gave.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        get(&self.bytes, &self.ends, number)
    }

    /// Forgets all texts.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.table.clear();
    }
}

fn get<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let index = number as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &bytes[start..ends[index]]
}
