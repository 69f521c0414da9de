//! Which devices and programs are left alone for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nearside_device::{DeviceError, ProgramDigest};

/// Traps in a row after which a program is quarantined on a device.
const TRAPS_MAX: u32 = 3;

/// How long it is.
const QUARANTINE: Duration = Duration::from_secs(60);

/// How long a device that could not be reached is not asked again: a query's other partitions do not wait for it as well.
const UNREACHABLE: Duration = Duration::from_secs(2);

/// The memory of one device's failures.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    traps: HashMap<ProgramDigest, Traps>,
    unreachable: Option<(Instant, DeviceError)>,
}

#[derive(Clone, Copy, Debug)]
struct Traps {
    in_a_row: u32,
    last: Instant,
}

impl Health {
    /// Whether this program had better not run there now.
    pub(crate) fn is_quarantined(&self, program: &ProgramDigest, now: Instant) -> bool {
        let mut state = self.state();
        state.traps.retain(|_, traps| now.duration_since(traps.last) < QUARANTINE);
        state.traps.get(program).is_some_and(|traps| traps.in_a_row >= TRAPS_MAX)
    }

    /// The failure that says the device was unreachable a moment ago.
    pub(crate) fn unreachable(&self, now: Instant) -> Option<DeviceError> {
        let state = self.state();
        let (since, error) = state.unreachable.as_ref()?;
        (now.duration_since(*since) < UNREACHABLE).then(|| error.clone())
    }

    /// An execution succeeded.
    pub(crate) fn succeeded(&self, program: &ProgramDigest) {
        let mut state = self.state();
        state.traps.remove(program);
        state.unreachable = None;
    }

    /// An execution failed.
    pub(crate) fn failed(&self, program: &ProgramDigest, error: &DeviceError, now: Instant) {
        let mut state = self.state();
        match error {
            DeviceError::Trap { .. } | DeviceError::BadProgram { .. } => {
                let traps = state.traps.entry(program.clone()).or_insert(Traps { in_a_row: 0, last: now });
                *traps = Traps { in_a_row: traps.in_a_row.saturating_add(1), last: now };
            }
            DeviceError::Unreachable { .. } => state.unreachable = Some((now, error.clone())),
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> DeviceError {
        DeviceError::Trap { reason: "out of fuel".into() }
    }

    /// Three traps in a row, and not a success between; after a minute it may try again.
    #[test]
    fn programs_that_keep_trapping_rest() {
        let (health, program, start) = (Health::default(), ProgramDigest("ab".into()), Instant::now());
        health.failed(&program, &trap(), start);
        health.failed(&program, &trap(), start);
        health.succeeded(&program);
        health.failed(&program, &trap(), start);
        health.failed(&program, &trap(), start);
        assert!(!health.is_quarantined(&program, start));
        health.failed(&program, &trap(), start);
        assert!(health.is_quarantined(&program, start));
        assert!(!health.is_quarantined(&ProgramDigest("cd".into()), start));
        assert!(!health.is_quarantined(&program, start + QUARANTINE));
    }

    /// Being busy is no illness; being unreachable is one of two seconds.
    #[test]
    fn unreachable_devices_are_not_asked_at_once() {
        let (health, program, start) = (Health::default(), ProgramDigest("ab".into()), Instant::now());
        health.failed(&program, &DeviceError::Busy { reason: "full".into() }, start);
        assert_eq!(health.unreachable(start), None);
        let gone = DeviceError::Unreachable { url: "nearside://a:1".into(), reason: "refused".into() };
        health.failed(&program, &gone, start);
        assert_eq!(health.unreachable(start), Some(gone));
        assert_eq!(health.unreachable(start + UNREACHABLE), None);
    }
}
