//! `nearside-run`: runs one eBPF program, and says what came of it.
//!
//! Without a subcommand a plain program (`plain.rs`): hex in, r0 out, as public conformance runners drive a virtual machine. [`xdp`]: an object's program over the
//! packets of a capture. Results go to standard
//! output, everything else to standard error, an error as one line. Exit codes: 0, 1 (the program or its input failed), 2 (the command line cannot work).
//! No DataFusion, no Arrow, no network.
//! Start at [`main`]. What reads a stranger's files is public, for the fuzzers: [`hex`], [`xdp::Capture`], [`xdp::Contents`].
#![forbid(unsafe_code)]

pub mod hex;
mod plain;
pub mod xdp;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nearside_engine::Backend;

/// Runs eBPF programs in a sandbox.
///
/// Reads a program as hex bytes from standard input, runs it with r1 = address and r2 = length of the memory, and prints r0 in hex.
#[derive(Parser)]
#[command(name = "nearside-run", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plain: plain::Arguments,
    #[command(flatten)]
    engine: EngineArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Runs an XDP program over the packets of a capture; prints a line a packet: index, action, instructions executed.
    Xdp(xdp::Arguments),
}

/// Which engine.
#[derive(Args, Clone, Copy)]
struct EngineArguments {
    /// One instruction at a time.
    #[arg(long, global = true, conflicts_with = "jit")]
    interpreter: bool,
    /// Translate the program to machine code; the default, except that `xdp` interprets unless asked, as instructions are counted so. With this option it
    /// runs both and compares.
    #[arg(long, global = true)]
    jit: bool,
}

impl EngineArguments {
    fn backend(self) -> Backend {
        if self.interpreter { Backend::Interpreter } else { Backend::Jit }
    }
}

/// The command, to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let engine = arguments.engine;
    let done = match &arguments.command {
        Some(Command::Xdp(xdp)) => xdp::run(xdp, engine.jit),
        None => plain::run(&arguments.plain, engine.backend()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nearside-run: {error:#}");
            exit_code(&error)
        }
    }
}

/// The arguments cannot work, whatever the program and its data do: exit code 2, as for what clap refuses.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
