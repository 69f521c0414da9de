//! This program's own processes: a task on the command line, answers as JSON lines on standard output.
//!
//! A child dies with its parent, however that ends.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::tpch::device::DeviceTask;
use crate::tpch::host::HostTask;

/// What a process is for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Plans queries and runs what is not offloaded.
    Host(HostTask),
    /// Sits beside the data.
    Device(DeviceTask),
}

/// A child that runs; stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program again with a task.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let program = std::env::current_exe().context("this program's path")?;
        let mut command = Command::new(program);
        command.arg("--child").arg(serde_json::to_string(task)?).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("starting a process of the bench")?;
        let stdout = process.stdout.take().context("its standard output")?;
        Ok(Self { process, answers: BufReader::new(stdout).lines() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next answer; `None` after the last.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        match self.answers.next() {
            Some(line) => Ok(Some(serde_json::from_str(&line?).context("an answer of a process of the bench")?)),
            None => Ok(None),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it failed; it has said why on standard error.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.process.wait()?;
        anyhow::ensure!(status.success(), "a process of the bench ended with {status}");
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Gives an answer to the parent.
pub(crate) fn answer(answer: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

/// A child's life.
pub(crate) fn work(task: &str) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    match serde_json::from_str(task).context("--child is for this bench itself")? {
        Task::Host(task) => crate::tpch::host::work(&task),
        Task::Device(task) => crate::tpch::device::work(&task),
    }
}
