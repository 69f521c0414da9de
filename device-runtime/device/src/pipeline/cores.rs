//! What concurrent executions share: the right to compute, and memory.
//!
//! Every worker of every execution has a thread of its own, but only as many compute at a time as the device has workers. A worker
//! that waits (for its consumer, for the network) gives its core away, so a slow consumer of one execution never holds up another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::DeviceError;

/// The right to compute, handed out first come, first served.
#[derive(Debug)]
pub(crate) struct Cores {
    tickets: Mutex<Tickets>,
    freed: Condvar,
}

#[derive(Debug)]
struct Tickets {
    /// The next to be drawn.
    next: u64,
    /// Tickets below this may compute.
    admitted: u64,
}

impl Cores {
    pub(crate) fn new(count: usize) -> Self {
        Self { tickets: Mutex::new(Tickets { next: 0, admitted: count.max(1) as u64 }), freed: Condvar::new() }
    }

    /// Waits for a core.
    pub(super) fn enter(&self) -> Core<'_> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = tickets.next;
        tickets.next += 1;
        while mine >= tickets.admitted {
            tickets = self.freed.wait(tickets).unwrap_or_else(PoisonError::into_inner);
        }
        Core { cores: self }
    }
}

/// A core held; dropping gives it back.
#[derive(Debug)]
pub(super) struct Core<'a> {
    cores: &'a Cores,
}

impl Drop for Core<'_> {
    fn drop(&mut self) {
        self.cores.tickets.lock().unwrap_or_else(PoisonError::into_inner).admitted += 1;
        self.cores.freed.notify_all();
    }
}

/// Bytes that row groups under way may take.
///
/// Never waited for: two executions whose consumers wait for each other would wait for ever. Who gets none is told
/// [`DeviceError::Busy`] and reads elsewhere.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    used: AtomicU64,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes memory for a row group.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it can never be had, [`DeviceError::Busy`] if not now.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation<'_>, DeviceError> {
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        if fits(0).is_none() {
            return Err(DeviceError::Limit { what: "memory for a row group, bytes,".into(), given: bytes, limit: self.limit });
        }
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Reservation { memory: self, bytes }),
            Err(used) => {
                Err(DeviceError::Busy { reason: format!("{used} of {} bytes of row group memory are in use", self.limit) })
            }
        }
    }
}

/// Memory taken; dropping gives it back.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Never more than the given number compute at once, and all come to their turn.
    #[test]
    fn cores_are_shared() {
        let (cores, busy, most, turns) = (Cores::new(2), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _core = cores.enter();
                        most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        turns.fetch_add(1, Ordering::SeqCst);
                        busy.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(turns.into_inner(), 1200);
    }

    /// A reservation beyond the whole is a limit, beyond the rest is busy, and dropping frees.
    #[test]
    fn memory_is_bounded() {
        let memory = Memory::new(100);
        assert!(matches!(memory.reserve(101), Err(DeviceError::Limit { given: 101, limit: 100, .. })));
        assert!(matches!(memory.reserve(u64::MAX), Err(DeviceError::Limit { .. })));
        let held = memory.reserve(60).unwrap();
        assert!(matches!(memory.reserve(41), Err(DeviceError::Busy { .. })));
        drop(held);
        assert!(memory.reserve(100).is_ok());
    }
}
