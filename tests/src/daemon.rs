//! `nearsided` as a child process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Outcome, Process, binary};

/// A running daemon; killed when it goes out of scope.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// `nearside://127.0.0.1:PORT`.
    pub url: String,
}

impl Daemon {
    /// One over `root`, on a free port; returns when it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(root: impl AsRef<OsStr>, more: &[&str]) -> Self {
        Self::spawn(Self::command(root, more))
    }

    /// What [`Daemon::spawn`] takes: environment variables may be added.
    pub fn command(root: impl AsRef<OsStr>, more: &[&str]) -> Command {
        let mut command = Command::new(binary("nearsided"));
        command.arg("--root").arg(root).args(["--listen", "127.0.0.1:0"]).args(more);
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a daemon; returns when it is ready.
    ///
    /// # Panics
    /// If it does not get so far.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("nearsided starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("one line");
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let outcome = Outcome::from(child.wait_with_output().expect("an end"));
            panic!("nearsided did not start: {outcome:?}");
        };
        Self { url: format!("nearside://{address}"), child }
    }

    /// What it is doing.
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Sends a signal. SIGSTOP has taken effect when this returns.
    ///
    /// # Panics
    /// If it is gone, or does not stop.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a running daemon");
        if signal == Signal::SIGSTOP {
            crate::wait_until("the daemon stands still", || self.process().is_stopped());
        }
    }

    /// Stops it in the middle of a scan: its threads are at work, and have read so many bytes of files since they began.
    ///
    /// # Panics
    /// If it is never caught at that: ask it something that takes longer.
    pub fn freeze(&self, bytes: u64) {
        let process = self.process();
        crate::wait_until("a scan has begun", || process.workers() > 0);
        let begun = process.bytes_read();
        crate::wait_until("it is caught in a scan, having read enough", || {
            if process.workers() == 0 || process.bytes_read() < begun + bytes {
                return false;
            }
            self.signal(Signal::SIGSTOP);
            let caught = process.workers() > 0;
            if !caught {
                // Between two scans of a query.
                self.signal(Signal::SIGCONT);
            }
            caught
        });
    }

    /// SIGKILL, and gone; what it has said on standard error.
    ///
    /// # Panics
    /// If the system does not let us.
    pub fn kill(&mut self) -> String {
        self.child.kill().expect("a running daemon");
        self.child.wait().expect("an exit status");
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).expect("text");
        }
        said
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
