//! Perf event arrays: a bounded queue of records for each CPU. What does not fit is counted, not kept.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::{MapError, lock};

/// Bytes of records that wait in a CPU's queue, at most; each counts 32 more.
pub const EVENT_QUEUE_LEN: usize = 1 << 20;

/// Most bytes of a record.
pub const EVENT_LEN_MAX: usize = 65_000;

/// What a record takes besides its bytes.
const RECORD_LEN: usize = 32;

/// The queues of a perf event array.
#[derive(Debug)]
pub(super) struct Events {
    /// By CPU; no more than the map has elements.
    queues: Vec<Mutex<Queue>>,
    entries: u32,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Vec<u8>>,
    len: usize,
    lost: u64,
}

impl Events {
    pub(super) fn new(entries: u32, cpus: u32) -> Self {
        let entries = if entries == 0 { cpus } else { entries };
        Self { queues: (0..entries.min(cpus)).map(|_| Mutex::default()).collect(), entries }
    }

    /// Which queue a program on `cpu` may write to, if it asks for `wanted`.
    pub(super) fn queue(&self, wanted: u32, cpu: u32) -> Result<usize, MapError> {
        let index = if wanted == u32::MAX { cpu } else { wanted };
        if index >= self.entries {
            return Err(MapError::TooBig);
        }
        if index as usize >= self.queues.len() {
            return Err(MapError::NotFound);
        }
        if index == cpu { Ok(index as usize) } else { Err(MapError::NotSupported) }
    }

    pub(super) fn push(&self, queue: usize, record: Vec<u8>) -> Result<(), MapError> {
        let mut queue = lock(&self.queues[queue]);
        let len = queue.len + record.len() + RECORD_LEN;
        if len > EVENT_QUEUE_LEN {
            queue.lost += 1;
            return Err(MapError::NoSpace);
        }
        queue.len = len;
        queue.records.push_back(record);
        Ok(())
    }

    /// Takes up to `max` records of a CPU, and how many were lost since the last time.
    pub(super) fn take(&self, cpu: u32, max: usize) -> Option<(Vec<Vec<u8>>, u64)> {
        let mut queue = lock(self.queues.get(cpu as usize)?);
        let count = max.min(queue.records.len());
        let records: Vec<Vec<u8>> = queue.records.drain(..count).collect();
        queue.len -= records.iter().map(|record| record.len() + RECORD_LEN).sum::<usize>();
        Some((records, std::mem::take(&mut queue.lost)))
    }
}
