//! Keys to entries: the index of every map whose keys are not numbers.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Entries by key. An entry keeps its number as long as it exists, so that going through them by number misses none; which slot of the
/// map's values it has may change. Grows as it fills.
#[derive(Debug)]
pub(super) struct Table {
    key_len: usize,
    /// Most entries.
    limit: u32,
    /// By entry.
    keys: Vec<u8>,
    /// By entry.
    slots: Vec<u32>,
    /// By entry: whether it exists.
    used: Vec<bool>,
    /// Entries that exist, by the hash of their key.
    index: HashTable<u32>,
    /// Entries that were deleted.
    free: Vec<u32>,
    /// Keyed, so that who chooses the keys does not choose the collisions.
    hasher: RandomState,
}

/// Bytes of an entry besides its key, at most: slot, flag, index, free list, time of its last use, and what growing leaves unused.
pub(super) const ENTRY_LEN: u64 = 64;

impl Table {
    pub(super) fn new(key_len: u32, limit: u32) -> Self {
        Self {
            key_len: key_len as usize,
            limit,
            keys: Vec::new(),
            slots: Vec::new(),
            used: Vec::new(),
            index: HashTable::new(),
            free: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// The entry of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.find(self.hasher.hash_one(key), |&entry| self.key(entry) == key).copied()
    }

    /// Most entries.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn is_full(&self) -> bool {
        self.index.len() >= self.limit as usize
    }

    /// Numbers of entries are below this.
    pub(super) fn end(&self) -> u32 {
        self.used.len() as u32
    }

    pub(super) fn contains(&self, entry: u32) -> bool {
        self.used.get(entry as usize) == Some(&true)
    }

    /// Of an entry that exists or existed.
    pub(super) fn key(&self, entry: u32) -> &[u8] {
        let start = entry as usize * self.key_len;
        &self.keys[start..start + self.key_len]
    }

    pub(super) fn slot(&self, entry: u32) -> u32 {
        self.slots[entry as usize]
    }

    /// Gives an entry another slot; returns the one it had.
    pub(super) fn replace_slot(&mut self, entry: u32, slot: u32) -> u32 {
        std::mem::replace(&mut self.slots[entry as usize], slot)
    }

    /// Adds a key that has no entry; `None` if the table is full. A new entry has the slot of its number, or what a deleted one had.
    pub(super) fn insert(&mut self, key: &[u8]) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let entry = self.free.pop().unwrap_or_else(|| self.grow());
        let start = entry as usize * self.key_len;
        self.keys[start..start + self.key_len].copy_from_slice(key);
        self.used[entry as usize] = true;
        let Self { index, hasher, keys, key_len, .. } = self;
        let hash = |&entry: &u32| hasher.hash_one(&keys[entry as usize * *key_len..][..*key_len]);
        index.insert_unique(hash(&entry), entry, hash);
        Some(entry)
    }

    fn grow(&mut self) -> u32 {
        let entry = self.end();
        self.keys.resize(self.keys.len() + self.key_len, 0);
        self.slots.push(entry);
        self.used.push(false);
        entry
    }

    /// Removes an entry that exists; its slot stays with its number.
    pub(super) fn remove(&mut self, entry: u32) {
        let hash = self.hasher.hash_one(self.key(entry));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == entry) {
            found.remove();
            self.used[entry as usize] = false;
            self.free.push(entry);
        }
    }
}
