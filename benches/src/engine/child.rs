//! One build that runs, and what is said to it: a line of JSON each way. Its side is `benches/engine/src/serve.rs`.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// The names of all steps.
    Steps,
    /// Makes a step's data and machines.
    Prepare { step: usize, bytes: usize, sandboxes: bool, interpreters: bool },
    /// Runs each machine for a while.
    Round,
    /// Compiles a step's program by every compiler.
    Compile { step: usize },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Steps(Vec<String>),
    Prepared {
        machines: Vec<String>,
        rows: usize,
        row_len: usize,
        answer: (u64, u64),
    },
    /// Nanoseconds a row, by machine.
    Round(Vec<f64>),
    /// Nanoseconds, by machine.
    Compiled(Vec<(String, f64)>),
}

/// A build that runs; stopped when it is dropped.
pub(super) struct Child {
    process: std::process::Child,
    requests: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| program.display().to_string())?;
        let requests = process.stdin.take().context("its standard input")?;
        let replies = BufReader::new(process.stdout.take().context("its standard output")?).lines();
        Ok(Self { process, requests, replies })
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Reply> {
        // If it has ended, it has said why on standard error.
        writeln!(self.requests, "{}", serde_json::to_string(&request)?).context("a build of the bench ended")?;
        let line = self.replies.next().context("a build of the bench ended")??;
        serde_json::from_str(&line).context("what a build of the bench says")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// For a reply to another question.
pub(super) fn unexpected<T>(reply: &Reply) -> Result<T> {
    bail!("a build of the bench says {reply:?}")
}
