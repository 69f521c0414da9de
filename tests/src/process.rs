//! What a process is doing, as `/proc` tells it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(1);

/// Waits until a condition holds.
///
/// # Panics
/// If it never does: after two minutes, with `what`.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::park_timeout(INTERVAL);
    }
}

/// A process by its number; it may have ended.
#[derive(Clone, Debug)]
pub struct Process {
    folder: PathBuf,
}

impl Process {
    /// The process of that number.
    pub fn new(id: u32) -> Self {
        Self { folder: PathBuf::from(format!("/proc/{id}")) }
    }

    /// Threads that run programs now.
    pub fn workers(&self) -> usize {
        let Ok(tasks) = fs::read_dir(self.folder.join("task")) else { return 0 };
        let names = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim_end() == "nearside-worker").count()
    }

    /// Bytes it has read from files so far, from caches or not. (What comes from a socket by `recv` is not counted.)
    pub fn bytes_read(&self) -> u64 {
        self.number("io", "rchar:")
    }

    /// Reserved address space, bytes: a cage takes more than 4 GiB.
    pub fn address_space(&self) -> u64 {
        self.number("status", "VmSize:") << 10
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        let status = fs::read_to_string(self.folder.join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT"))
    }

    /// A number in one of its files; 0 if it has ended.
    fn number(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}
