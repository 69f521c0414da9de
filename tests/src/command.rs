//! The `nearside` command, as people type it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::PATIENCE;

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Standard output's lines in sorted order: a result as a set of rows.
    pub fn sorted_lines(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// `nearside …` in a pipe, with the defaults of an empty environment.
pub fn nearside<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(binary("nearside"));
    command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `nearside …` to its end.
///
/// # Panics
/// If there is no such binary, or it hangs.
pub fn run<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Outcome {
    finish(nearside(arguments).spawn().expect("nearside runs"))
}

/// Waits for the end of a command that runs.
///
/// # Panics
/// If it never ends, after it was killed.
pub fn finish(child: Child) -> Outcome {
    let id = Pid::from_raw(child.id().cast_signed());
    let (send, ended) = mpsc::channel();
    // Its output is read all the while, or it would wait for us.
    thread::spawn(move || send.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("an exit status").into(),
        Err(_) => {
            let _ = kill(id, Signal::SIGKILL);
            panic!("a command hangs");
        }
    }
}

/// A binary of the workspace, beside the running test's own folder: a workspace's tests build them all.
///
/// # Panics
/// If it is not there.
pub fn binary(name: &str) -> PathBuf {
    let binary = profile_folder().join(name);
    let missing =
        || format!("{} is missing: test the whole workspace, or `cargo build --release --workspace` first", binary.display());
    assert!(binary.is_file(), "{}", missing());
    binary
}

/// Where everything is built.
///
/// # Panics
/// As [`binary`].
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("the target folder").to_owned()
}

fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    test.parent().and_then(Path::parent).expect("the profile's folder").to_owned()
}
