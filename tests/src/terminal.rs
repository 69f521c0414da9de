//! A command at a terminal of its own, and somebody who types and reads.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Process, wait_until};

const SIZE: Winsize = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };

/// Which of a command's standard streams are the terminal. The others are empty, or go nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Standard input, output and error.
    All,
    /// Standard error, as in `command > file`.
    Error,
}

/// A running command; killed when it goes out of scope.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts a command.
    ///
    /// # Panics
    /// If there is no terminal to be had, or no such command.
    pub fn start(mut command: Command, streams: Streams) -> Self {
        let pair = openpty(&SIZE, None).expect("a terminal");
        let stream = || Stdio::from(pair.slave.try_clone().expect("a file descriptor"));
        command.env("TERM", "xterm").stderr(stream());
        match streams {
            Streams::All => command.stdin(stream()).stdout(stream()),
            Streams::Error => command.stdin(Stdio::null()).stdout(Stdio::null()),
        };
        let child = command.spawn().expect("the command starts");
        // Only the child has the other end now: when it ends, reading ends. (The command holds copies.)
        drop((command, pair.slave));
        let keyboard = File::from(pair.master);
        let screen = Arc::default();
        let (mut output, shown) = (keyboard.try_clone().expect("a file descriptor"), Arc::clone(&screen));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut piece) {
                lock(&shown).push_str(&String::from_utf8_lossy(&piece[..len]));
            }
        });
        Self { child, keyboard, screen }
    }

    /// Types a line.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn type_line(&mut self, line: &str) {
        self.keyboard.write_all(line.as_bytes()).and_then(|()| self.keyboard.write_all(b"\r")).expect("a listener");
    }

    /// Everything shown so far, control sequences included.
    pub fn screen(&self) -> String {
        lock(&self.screen).clone()
    }

    /// Waits until some text is shown so many times.
    ///
    /// # Panics
    /// If it never is.
    pub fn wait_for(&mut self, text: &str, times: usize) {
        let what = format!("{text:?} is shown {times} times");
        let screen = Arc::clone(&self.screen);
        wait_until(&what, || {
            let enough = lock(&screen).matches(text).count() >= times;
            assert!(
                enough || self.child.try_wait().is_ok_and(|ended| ended.is_none()),
                "it ended before {what}:\n{}",
                self.screen()
            );
            enough
        });
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a running command");
    }

    /// What it is doing.
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Waits for its end: the exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the command ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(screen: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
