//! Hash maps: plain, per-CPU, and those that evict what was not used lately.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::Values;
use super::table::Table;
use super::{EXISTING_ONLY, MapError, NEW_ONLY, Side, read, write};
use crate::shared::Shared;

/// Among how many entries an eviction looks for the one that was used longest ago. The kernel bounds its search, too.
const EVICTION_SCAN_MAX: u32 = 128;

/// A map from keys to slots.
#[derive(Debug)]
pub(super) struct Keyed {
    state: RwLock<State>,
    evicts: bool,
    cpus: u32,
}

#[derive(Debug)]
struct State {
    table: Table,
    /// By CPU: the slot that the next replaced value goes to.
    spare: Vec<u32>,
    /// Counts uses, if it evicts.
    clock: AtomicU64,
    /// By entry, if it evicts: when it was used last.
    used: Vec<AtomicU64>,
    /// Where the next search for something to evict begins.
    hand: u32,
}

impl Keyed {
    /// Values that CPUs share have a slot to spare for each of `cpus`, behind those of the entries.
    pub(super) fn new(table: Table, evicts: bool, cpus: u32) -> Self {
        let spare = (table.limit()..).take(cpus as usize).collect();
        Self { state: RwLock::new(State { table, spare, clock: AtomicU64::new(0), used: Vec::new(), hand: 0 }), evicts, cpus }
    }

    /// The slot of a key; counts as use.
    pub(super) fn lookup(&self, key: &[u8]) -> Option<u32> {
        let state = read(&self.state);
        let entry = state.table.find(key)?;
        state.touch(entry);
        Some(state.table.slot(entry))
    }

    /// Shows the slot of a key to `look`, and keeps it meanwhile. Does not count as use.
    pub(super) fn peek<T>(&self, key: &[u8], look: impl FnOnce(u32) -> T) -> Option<T> {
        let state = read(&self.state);
        state.table.find(key).map(|entry| look(state.table.slot(entry)))
    }

    /// As `peek`, for the entries from `cursor` on: at most `max`. Returns where to go on.
    pub(super) fn walk(&self, cursor: u32, max: usize, mut look: impl FnMut(&[u8], u32)) -> Option<u32> {
        let state = read(&self.state);
        walk(&state.table, cursor, max, |entry| look(state.table.key(entry), state.table.slot(entry)))
    }

    pub(super) fn update(
        &self,
        shared: Shared<'_>,
        values: &Values,
        side: Side,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), MapError> {
        if flags > EXISTING_ONLY {
            return Err(MapError::Invalid);
        }
        let mut state = write(&self.state);
        match state.table.find(key) {
            Some(_) if flags == NEW_ONLY => Err(MapError::Exists),
            Some(entry) => {
                self.replace(&mut state, entry, shared, values, side, value);
                Ok(())
            }
            None if flags == EXISTING_ONLY => Err(MapError::NotFound),
            None => self.insert(&mut state, shared, values, side, key, value),
        }
    }

    /// A value that CPUs share is replaced, not overwritten: a lookup finds the old one or the new one, whole.
    fn replace(&self, state: &mut State, entry: u32, shared: Shared<'_>, values: &Values, side: Side, value: &[u8]) {
        state.touch(entry);
        if values.is_per_cpu() {
            return values.put(shared, state.table.slot(entry), side, value);
        }
        let cpu = if let Side::Program { cpu } = side { cpu as usize } else { 0 };
        let spare = state.spare[cpu];
        values.write(shared, spare, 0, value);
        state.spare[cpu] = state.table.replace_slot(entry, spare);
    }

    fn insert(
        &self,
        state: &mut State,
        shared: Shared<'_>,
        values: &Values,
        side: Side,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), MapError> {
        if self.evicts && state.table.is_full() {
            state.evict();
        }
        let entry = state.table.insert(key).ok_or(MapError::TooBig)?;
        if self.evicts && entry as usize >= state.used.len() {
            state.used.resize_with(entry as usize + 1, AtomicU64::default);
        }
        state.touch(entry);
        let slot = state.table.slot(entry);
        if let (Side::Program { cpu }, true) = (side, values.is_per_cpu()) {
            (0..self.cpus).filter(|other| *other != cpu).for_each(|other| values.zero(shared, slot, other));
        }
        values.put(shared, slot, side, value);
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        let mut state = write(&self.state);
        let entry = state.table.find(key).ok_or(MapError::NotFound)?;
        state.table.remove(entry);
        Ok(())
    }
}

impl State {
    fn touch(&self, entry: u32) {
        if let Some(used) = self.used.get(entry as usize) {
            used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Removes, of those that follow the hand, the entry that was used longest ago. Only when the table is full, so that every number is
    /// an entry's.
    fn evict(&mut self) {
        let end = self.table.end();
        let candidates = (self.hand..end).chain(0..self.hand).take(EVICTION_SCAN_MAX as usize);
        let oldest = candidates.min_by_key(|entry| self.used[*entry as usize].load(Ordering::Relaxed));
        if let Some(oldest) = oldest {
            self.table.remove(oldest);
            self.hand = (oldest + 1) % end;
        }
    }
}

/// Shows up to `max` entries from number `cursor` on to `look`; returns where to go on, if there is more.
pub(super) fn walk(table: &Table, cursor: u32, max: usize, mut look: impl FnMut(u32)) -> Option<u32> {
    let mut left = max;
    for entry in (cursor..table.end()).filter(|entry| table.contains(*entry)) {
        if left == 0 {
            return Some(entry);
        }
        look(entry);
        left -= 1;
    }
    None
}
