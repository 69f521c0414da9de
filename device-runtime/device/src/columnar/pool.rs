//! Cages that wait for the next execution of their program.
//!
//! Making a cage costs a few page faults for every 4 KiB it uses; a query over a few thousand rows would notice. A cage stays with its program, is
//! zeroed before it waits, and is dropped if it grew, so that what a program finds never depends on what ran before.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearside_engine::Cage;

use super::layout::Layout;
use super::program::Program;
use crate::DeviceError;

/// Most idle cages a program keeps.
const IDLE_CAGES_MAX: usize = 16;

/// The idle cages of one program.
#[derive(Default)]
pub(super) struct CagePool {
    idle: Mutex<Vec<(Arc<Layout>, Cage)>>,
}

impl CagePool {
    /// Drops all idle cages.
    pub(super) fn clear(&self) {
        lock(&self.idle).clear();
    }

    fn take(&self, layout: &Layout) -> Option<Cage> {
        let mut idle = lock(&self.idle);
        let index = idle.iter().position(|(known, _)| known.regions == layout.regions)?;
        Some(idle.swap_remove(index).1)
    }

    fn put(&self, layout: Arc<Layout>, mut cage: Cage) {
        let regions = &layout.regions;
        let grew = regions.iter().enumerate().any(|(index, region)| cage.region(index).len() > region.len as usize);
        if grew || lock(&self.idle).len() >= IDLE_CAGES_MAX {
            return;
        }
        cage.clear();
        lock(&self.idle).push((layout, cage));
    }
}

/// A cage that returns to its program's pool.
pub(super) struct PooledCage {
    program: Arc<Program>,
    layout: Arc<Layout>,
    /// `None` only while it is dropped.
    cage: Option<Cage>,
}

impl PooledCage {
    /// A zeroed cage with the regions of a layout.
    pub(super) fn take(program: &Arc<Program>, layout: &Arc<Layout>) -> Result<Self, DeviceError> {
        let cage = match program.cages.take(layout) {
            Some(cage) => cage,
            None => Cage::new(&layout.regions).map_err(|error| DeviceError::Busy { reason: error.to_string() })?,
        };
        Ok(Self { program: program.clone(), layout: layout.clone(), cage: Some(cage) })
    }
}

impl Deref for PooledCage {
    type Target = Cage;

    fn deref(&self) -> &Cage {
        self.cage.as_ref().expect("there until drop")
    }
}

impl DerefMut for PooledCage {
    fn deref_mut(&mut self) -> &mut Cage {
        self.cage.as_mut().expect("there until drop")
    }
}

impl Drop for PooledCage {
    fn drop(&mut self) {
        if let Some(cage) = self.cage.take() {
            self.program.cages.put(self.layout.clone(), cage);
        }
    }
}

/// What these locks guard is whole at every moment, so a panic of another thread does not matter.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
