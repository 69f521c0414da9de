//! Ring buffers: records in the order they were reserved, for one reader, the host.
//!
//! Positions count bytes since the start, headers included, as the kernel counts them; what programs may write is the data alone.
//! A record that reaches the ring's end goes on behind it, in memory that nothing else uses, so that its data is in one piece.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::layout::Values;
use super::lock;
use crate::shared::Shared;

/// Bytes before a record's data. Nothing is stored there, since a program could write to it.
const HEADER_LEN: u64 = 8;

/// A ring buffer.
#[derive(Debug)]
pub(super) struct Ring {
    /// A power of two.
    len: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    consumer: u64,
    producer: u64,
    /// By position, without gaps between consumer and producer.
    records: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    position: u64,
    /// Bytes of data.
    len: u32,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// A program fills it; nothing behind it can be read yet.
    Busy,
    Ready,
    Discarded,
}

/// Bytes of memory a record takes besides its share of the ring, and the least that share can be.
pub(super) const RECORD_LEN: u64 = 32;
pub(super) const RECORD_LEN_MIN: u64 = HEADER_LEN;

impl Ring {
    pub(super) fn new(len: u32) -> Self {
        Self { len: len.into(), state: Mutex::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Room for `len` bytes of data: its position; `None` if there is none now, or never.
    pub(super) fn reserve(&self, len: u64) -> Option<u64> {
        let taken = taken(len).filter(|taken| *taken <= self.len)?;
        let mut state = lock(&self.state);
        let position = state.producer;
        // As in the kernel, the ring is never quite full.
        if position + taken - state.consumer > self.len - 1 {
            return None;
        }
        state.producer += taken;
        state.records.push_back(Record { position, len: len as u32, progress: Progress::Busy });
        Some(position)
    }

    /// Ends what `reserve` began.
    pub(super) fn commit(&self, position: u64, discard: bool) {
        let mut state = lock(&self.state);
        if let Ok(index) = state.records.binary_search_by_key(&position, |record| record.position) {
            state.records[index].progress = if discard { Progress::Discarded } else { Progress::Ready };
        }
    }

    /// Cage address of a record's data.
    pub(super) fn address(&self, values: &Values, position: u64) -> u64 {
        values.address(0, 0) + position % self.len + HEADER_LEN
    }

    /// Fills a record that is busy.
    pub(super) fn fill(&self, shared: Shared<'_>, values: &Values, position: u64, data: &[u8]) {
        shared.write(self.offset(values, position), data);
    }

    fn offset(&self, values: &Values, position: u64) -> usize {
        values.offset(0, 0) + (position % self.len + HEADER_LEN) as usize
    }

    /// Takes up to `max` records from the front, until one is busy.
    pub(super) fn consume(&self, shared: Shared<'_>, values: &Values, max: usize) -> Vec<Vec<u8>> {
        let mut state = lock(&self.state);
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(record) = state.records.pop_front_if(|record| record.progress != Progress::Busy)
        {
            if record.progress == Progress::Ready {
                let mut data = vec![0; record.len as usize];
                shared.read(self.offset(values, record.position), &mut data);
                taken.push(data);
            }
            state.consumer = state.records.front().map_or(state.producer, |next| next.position);
        }
        taken
    }

    /// What `ringbuf_query` tells; 0 for what the kernel does not know either.
    pub(super) fn query(&self, what: u64) -> u64 {
        let state = lock(&self.state);
        match what {
            0 => state.producer - state.consumer,
            1 => self.len,
            2 => state.consumer,
            3 => state.producer,
            _ => 0,
        }
    }
}

/// Bytes of the ring that `len` bytes of data take; `None` beyond what any ring has.
fn taken(len: u64) -> Option<u64> {
    (len <= u64::from(u32::MAX / 4)).then(|| (len + HEADER_LEN).next_multiple_of(8))
}
