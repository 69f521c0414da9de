//! The group table: keys of a batch's rows to dense group ids, in order of first appearance.
//!
//! A key is a fixed number of 64-bit words a row: integers and the bits of floats as they are, text of at most 12 bytes inline, longer
//! text by the number the [`Interner`] gave it. Two keys are equal exactly if their words are. NULL is one group; floats group as
//! DataFusion's `HashValue::canonicalize` says: `-0.0` with `0.0`, NaNs by their bits.
//!
//! The table is bounded in groups and in bytes of text; where it is full, [`GroupTable::map`] stops.

mod decode;
mod encode;
mod intern;

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use nearside_programs::ValueType;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;

pub(super) use encode::KeyValues;

use self::encode::DictionaryWords;
use self::intern::Interner;
use super::bitmap;
use crate::DeviceError;

/// Most key columns of a program.
const KEY_COLUMNS_MAX: usize = 31;

/// A key's size is rounded up to one of these numbers of words, so that comparing keys is straight code.
const KEY_WORDS: &[usize] = &[1, 2, 3, 4, 5, 6, 8, 16, 32, 64];

/// Bytes of long texts in a table before it counts as full.
const KEY_TEXT_BYTES_MAX: usize = 64 << 20;

/// One key column: where its words are.
struct KeyColumn {
    value_type: ValueType,
    nullable: bool,
    /// Its first word in a key.
    at: usize,
    dictionary: DictionaryWords,
}

/// The groups of one worker.
pub(super) struct GroupTable {
    columns: Vec<KeyColumn>,
    /// Words of a key, one of [`KEY_WORDS`]. If a column is nullable, word 0 has bit `i` set where column `i` is NULL.
    words: usize,
    /// The groups' keys, in order of their ids.
    keys: Vec<u64>,
    table: HashTable<u32>,
    texts: Interner,
    seeds: [u64; 2],
    /// Group of each row of the last batch.
    ids: Vec<u32>,
    /// The selected rows of a batch, and their keys.
    rows: Vec<u32>,
    encoded: Vec<u64>,
}

/// The rows of a batch that want groups.
pub(super) struct Rows<'a> {
    /// First row to map.
    pub(super) first: usize,
    /// Rows of the batch.
    pub(super) count: usize,
    /// A bitmap, zero below `first` and at and beyond `count`.
    pub(super) selection: &'a [u8],
}

impl GroupTable {
    /// A table for keys of these types.
    ///
    /// # Errors
    /// [`DeviceError::Limit`]: too many key columns. [`DeviceError::BadProgram`]: a key that cannot be compared.
    pub(super) fn new(keys: impl IntoIterator<Item = (ValueType, bool)>) -> Result<Self, DeviceError> {
        let types: Vec<_> = keys.into_iter().collect();
        if types.len() > KEY_COLUMNS_MAX {
            let (given, limit) = (types.len() as u64, KEY_COLUMNS_MAX as u64);
            return Err(DeviceError::Limit { what: "number of group keys".into(), given, limit });
        }
        let mut at = usize::from(types.iter().any(|(_, nullable)| *nullable));
        let mut columns = Vec::with_capacity(types.len());
        for (value_type, nullable) in types {
            let words = encode::words_of(value_type)
                .ok_or_else(|| DeviceError::BadProgram { reason: "an opaque column is a group key".into() })?;
            columns.push(KeyColumn { value_type, nullable, at, dictionary: DictionaryWords::default() });
            at += words;
        }
        let words = KEY_WORDS.iter().copied().find(|words| *words >= at).unwrap_or(at);
        Ok(Self {
            columns,
            words,
            keys: Vec::new(),
            table: HashTable::new(),
            texts: Interner::default(),
            // An odd factor loses nothing.
            seeds: [0, 1].map(|number| DefaultHashBuilder::default().hash_one(number) | 1),
            ids: Vec::new(),
            rows: Vec::new(),
            encoded: Vec::new(),
        })
    }

    /// Groups there are. Without keys there is always one.
    pub(super) fn len(&self) -> usize {
        if self.columns.is_empty() { 1 } else { self.table.len() }
    }

    /// Whether rows are grouped at all.
    pub(super) fn is_keyed(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Group of each row that the last [`Self::map`] has mapped; 0 for rows that are not selected. None without keys, where all rows are of group 0.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Forgets all groups.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.table.clear();
        self.texts.clear();
        for column in &mut self.columns {
            column.dictionary.clear();
        }
    }

    /// Gives back what only calls need, until [`Self::restore_scratch`].
    pub(super) fn release_scratch(&mut self) {
        (self.ids, self.rows, self.encoded) = (Vec::new(), Vec::new(), Vec::new());
    }

    /// What calls need: with keys, an id for each row. A new table has none yet.
    pub(super) fn restore_scratch(&mut self) {
        if self.is_keyed() {
            self.ids.resize(BATCH_ROWS_MAX as usize, 0);
        }
    }

    /// Gives the selected rows their groups, adding groups as long as there are fewer than `groups_max`, and returns the end of the rows
    /// mapped: `rows.count`, or the first selected row without room.
    ///
    /// An empty table always has room for the first row, so that every call on one makes progress.
    ///
    /// # Errors
    /// [`DeviceError::Trap`] if a key that was declared never NULL is.
    pub(super) fn map(&mut self, rows: &Rows<'_>, keys: &[KeyValues<'_>], groups_max: usize) -> Result<usize, DeviceError> {
        self.ids[rows.first..rows.count].fill(0);
        if self.texts.len() > KEY_TEXT_BYTES_MAX {
            return Ok(rows.first);
        }
        self.rows.clear();
        let selected = &mut self.rows;
        bitmap::for_each_row(rows.selection, |row| selected.push(row));
        self.encode(keys)?;
        let mapped = self.assign(groups_max.max(1));
        Ok(self.rows.get(mapped).map_or(rows.count, |row| *row as usize))
    }

    /// Writes the keys of `self.rows` to `self.encoded`; forgets the rows behind the one that fills the interner.
    fn encode(&mut self, keys: &[KeyValues<'_>]) -> Result<(), DeviceError> {
        self.encoded.clear();
        self.encoded.resize(self.rows.len() * self.words, 0);
        for (index, (column, values)) in self.columns.iter_mut().zip(keys).enumerate() {
            let mut target = encode::Target { words: &mut self.encoded, stride: self.words, at: column.at };
            let mut texts = encode::TextWords { interner: &mut self.texts, dictionary: &mut column.dictionary };
            let encoded = encode::column(values, column.value_type, &self.rows, &mut texts, &mut target)?;
            self.rows.truncate(encoded);
            encode::nulls(values, column, index, &self.rows, &mut target)?;
        }
        Ok(())
    }

    /// Looks the encoded keys up, or adds them, and returns how many of `self.rows` have a group now.
    fn assign(&mut self, groups_max: usize) -> usize {
        match self.words {
            1 => self.assign_words::<1>(groups_max),
            2 => self.assign_words::<2>(groups_max),
            3 => self.assign_words::<3>(groups_max),
            4 => self.assign_words::<4>(groups_max),
            5 => self.assign_words::<5>(groups_max),
            6 => self.assign_words::<6>(groups_max),
            8 => self.assign_words::<8>(groups_max),
            16 => self.assign_words::<16>(groups_max),
            32 => self.assign_words::<32>(groups_max),
            _ => self.assign_words::<64>(groups_max),
        }
    }

    fn assign_words<const W: usize>(&mut self, groups_max: usize) -> usize {
        let (encoded, _) = self.encoded.as_chunks::<W>();
        for (index, (row, key)) in self.rows.iter().zip(encoded).enumerate() {
            let hash = fold(self.seeds, key);
            let id = match self.table.find(hash, |id| self.keys.as_chunks::<W>().0[*id as usize] == *key) {
                Some(id) => *id,
                None if self.table.len() >= groups_max => return index,
                None => {
                    let id = self.table.len() as u32;
                    self.keys.extend_from_slice(key);
                    let (keys, seeds) = (&self.keys, self.seeds);
                    self.table.insert_unique(hash, id, |id| fold(seeds, &keys.as_chunks::<W>().0[*id as usize]));
                    id
                }
            };
            self.ids[*row as usize] = id;
        }
        self.rows.len()
    }
}

/// Folded multiplication of two words at a time, with seeds that no data knows.
fn fold<const W: usize>(seeds: [u64; 2], key: &[u64; W]) -> u64 {
    let multiply = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let (pairs, rest) = key.as_chunks::<2>();
    let hash = pairs.iter().fold(seeds[0], |hash, [a, b]| multiply(hash ^ a, seeds[1] ^ b));
    rest.iter().fold(hash, |hash, word| multiply(hash ^ word, seeds[1]))
}
