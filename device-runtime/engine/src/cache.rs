//! Compiled programs by digest and target, made off their callers' way.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use hashbrown::HashMap;
use nearside_programs::manifest::Target;

use crate::module::{Backend, Module};
use crate::verify::{Code, CompileError};

/// What names a program: whatever its code means has to be in the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeKey {
    /// SHA-256 of an object, as `nearside_programs::Object::digest` makes it.
    pub digest: [u8; 32],
    /// Whose helpers and rules it was verified for.
    pub target: Target,
}

/// How much a cache holds and does at a time. All at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Programs; the one asked for longest ago goes first. Whoever has its module keeps it.
    pub programs_max: usize,
    /// Programs that wait to be translated.
    pub queue_max: usize,
    /// Threads that translate.
    pub threads: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { programs_max: 1024, queue_max: 64, threads: 1 }
    }
}

/// Compiled programs, shared by all who ask for them.
///
/// [`Self::module`] verifies a program, which takes time linear in it, and leaves translating to threads of the cache. A caller waits for machine code as
/// long as it likes to; after that, and whenever more programs wait than the queue holds, the program is interpreted, which is slower and otherwise the same. All
/// who ask for a program share one translation. What translation may cost is bounded by [`JIT_SLOTS_MAX`](crate::JIT_SLOTS_MAX),
/// [`JIT_LOOPS_MAX`](crate::JIT_LOOPS_MAX) and [`JIT_TIME_MAX`](crate::JIT_TIME_MAX).
#[derive(Debug)]
pub struct CompileCache {
    programs_max: usize,
    entries: Mutex<Entries>,
    queue: SyncSender<Weak<Slot>>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<CodeKey, Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    used: u64,
}

/// One program, whatever became of it so far.
#[derive(Debug)]
struct Slot {
    interpreted: Module,
    /// `None` until the translation is done, for better or worse.
    translated: Mutex<Option<Module>>,
    done: Condvar,
}

impl CompileCache {
    /// An empty cache and its threads, which end after it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(limits: CacheLimits) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(limits.queue_max.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..limits.threads.max(1) {
            let jobs = jobs.clone();
            thread::Builder::new().name("nearside-compile".to_owned()).spawn(move || translate_all(&jobs))?;
        }
        Ok(Self { programs_max: limits.programs_max.max(1), entries: Mutex::default(), queue })
    }

    /// The module of a program: machine code if there is some, or will be within `patience`; else to be interpreted this time.
    ///
    /// # Errors
    /// The program breaks a rule of the verifier. That is found out at once, and not remembered.
    pub fn module(&self, key: CodeKey, code: Code<'_>, patience: Duration) -> Result<Module, CompileError> {
        let known = lock(&self.entries).touch(&key);
        let slot = match known {
            Some(slot) => slot,
            None => self.insert(key, Module::compile(code, Backend::Interpreter)?),
        };
        Ok(slot.wait(patience))
    }

    /// Forgets a program.
    pub fn remove(&self, key: &CodeKey) {
        lock(&self.entries).by_key.remove(key);
    }

    /// How many programs there are.
    pub fn program_count(&self) -> usize {
        lock(&self.entries).by_key.len()
    }

    /// Keeps a verified program and has it translated, unless another thread was faster.
    fn insert(&self, key: CodeKey, interpreted: Module) -> Arc<Slot> {
        let mut entries = lock(&self.entries);
        if let Some(slot) = entries.touch(&key) {
            return slot;
        }
        let slot = Arc::new(Slot { interpreted, translated: Mutex::new(None), done: Condvar::new() });
        if self.queue.try_send(Arc::downgrade(&slot)).is_ok() {
            let used = entries.clock;
            entries.by_key.insert(key, Entry { slot: slot.clone(), used });
            entries.shrink(self.programs_max);
            return slot;
        }
        // Too many wait already. Nobody will translate this one, so nobody shall wait for it; whoever comes later tries again.
        *lock(&slot.translated) = Some(slot.interpreted.clone());
        slot
    }
}

impl Entries {
    fn touch(&mut self, key: &CodeKey) -> Option<Arc<Slot>> {
        self.clock += 1;
        let entry = self.by_key.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.slot.clone())
    }

    fn shrink(&mut self, programs_max: usize) {
        while self.by_key.len() > programs_max {
            let oldest = self.by_key.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            oldest.map(|key| self.by_key.remove(&key));
        }
    }
}

impl Slot {
    fn wait(&self, patience: Duration) -> Module {
        let translated = lock(&self.translated);
        let waited = self.done.wait_timeout_while(translated, patience, |translated| translated.is_none());
        let (translated, _) = waited.unwrap_or_else(PoisonError::into_inner);
        translated.as_ref().unwrap_or(&self.interpreted).clone()
    }
}

/// What a thread of the cache does until the cache is gone. A program that nobody knows any more is not translated.
fn translate_all(jobs: &Mutex<Receiver<Weak<Slot>>>) {
    loop {
        let job = lock(jobs).recv();
        let Ok(job) = job else { return };
        if let Some(slot) = job.upgrade() {
            let translated = slot.interpreted.translated();
            *lock(&slot.translated) = Some(translated);
            slot.done.notify_all();
        }
    }
}

/// What these locks guard is whole at every moment, so a panic of another thread does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
