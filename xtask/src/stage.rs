//! One command of a run: shown as it goes, kept as text, timed.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// A command with a name for people.
pub(crate) struct Stage {
    name: String,
    command: Command,
}

impl Stage {
    /// The same cargo that runs this program.
    pub(crate) fn cargo(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        Self::new(name, command)
    }

    /// Any command.
    pub(crate) fn new(name: &str, mut command: Command) -> Self {
        // What `cargo run` tells this program about its package. Build scripts look at it, as ring's does, and all that depends on them would be built anew.
        for (variable, _) in env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&variable);
            }
        }
        Self { name: name.to_owned(), command }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// It could not be started, or it failed.
    pub(crate) fn run(mut self) -> Result<String> {
        eprintln!("== {}", self.name);
        let start = Instant::now();
        let mut child = self.command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {}", self.name))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut log = String::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            log.push_str(&line);
            log.push('\n');
        }
        let status = child.wait()?;
        eprintln!("== {}: {:.0} s", self.name, start.elapsed().as_secs_f64());
        ensure!(status.success(), "{} failed ({status})", self.name);
        Ok(log)
    }
}
