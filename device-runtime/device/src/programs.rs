//! Loaded programs, by digest: as many as there is room for, the one used longest ago goes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::columnar::Program;
use crate::error::DeviceError;
use crate::request::ProgramDigest;

/// The programs of a device.
#[derive(Debug)]
pub(crate) struct Programs {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<ProgramDigest, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    program: Arc<Program>,
    /// Of the object.
    bytes: usize,
    used: u64,
}

impl Programs {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    /// Keeps a program of an object of so many bytes. One that is here stays, with its compiled code.
    pub(crate) fn insert(&self, program: Program, bytes: usize) -> ProgramDigest {
        let digest = program.digest().clone();
        let mut entries = self.lock();
        if entries.touch(&digest).is_none() {
            entries.clock += 1;
            entries.bytes += bytes;
            let used = entries.clock;
            entries.by_digest.insert(digest.clone(), Entry { program: Arc::new(program), bytes, used });
            entries.shrink(self.bytes_max);
        }
        digest
    }

    /// A program, its lease renewed.
    pub(crate) fn get(&self, digest: &ProgramDigest) -> Result<Arc<Program>, DeviceError> {
        self.lock().touch(digest).ok_or_else(|| DeviceError::NotLoaded { digest: digest.to_string() })
    }

    /// Forgets a program; running executions keep it until they end.
    pub(crate) fn remove(&self, digest: &ProgramDigest) -> Result<(), DeviceError> {
        let mut entries = self.lock();
        match entries.by_digest.remove(digest) {
            Some(entry) => {
                entries.bytes -= entry.bytes;
                Ok(())
            }
            None => Err(DeviceError::NotLoaded { digest: digest.to_string() }),
        }
    }

    /// How many there are, and the bytes of their objects.
    pub(crate) fn size(&self) -> (usize, usize) {
        let entries = self.lock();
        (entries.by_digest.len(), entries.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn touch(&mut self, digest: &ProgramDigest) -> Option<Arc<Program>> {
        self.clock += 1;
        let entry = self.by_digest.get_mut(digest)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.program))
    }

    /// The program that came last stays even if it alone is too large.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && self.by_digest.len() > 1 {
            let oldest = self.by_digest.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| digest.clone());
            let Some(entry) = oldest.and_then(|digest| self.by_digest.remove(&digest)) else { return };
            self.bytes -= entry.bytes;
        }
    }
}
