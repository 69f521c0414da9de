//! The binary as a child process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running `nearsided`; killed when dropped.
pub(crate) struct Nearsided {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

pub(crate) fn command(arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearsided"));
    command.args(arguments).env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Nearsided {
    /// Starts one over `root`, on a free port, and waits until it is ready.
    pub(crate) fn start(root: &OsStr, more: &[&str]) -> Self {
        let mut arguments: Vec<&OsStr> = vec!["--root".as_ref(), root, "--listen".as_ref(), "127.0.0.1:0".as_ref()];
        arguments.extend(more.iter().map(|argument| OsStr::new(*argument)));
        let mut child = command(&arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("{line:?}, {errors}");
        };
        Self { url: format!("nearside://{address}"), child, stdout }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end: the exit code, and what else it wrote to standard output. Its clients go on meanwhile.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let wait = move || {
            let mut rest = String::new();
            self.stdout.read_to_string(&mut rest).unwrap();
            (self.child.wait().unwrap().code(), rest)
        };
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}

impl Drop for Nearsided {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one that cannot start.
#[allow(dead_code, reason = "each test binary uses its part")]
pub(crate) fn fail(arguments: &[&str]) -> Output {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    command(&arguments).output().unwrap()
}
