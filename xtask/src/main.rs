//! The project's own commands: `cargo xtask test` runs everything that must hold, `cargo xtask search` and
//! `cargo xtask fuzz` look for what does not.
//!
//! Start at [`main`]. Nothing here is shipped.
#![forbid(unsafe_code)]

mod aarch64;
mod fuzz;
mod skips;
mod stage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::stage::Stage;

/// Nearside's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, lints, docs, every test and doc test; lists skipped tests and fails on one that tests/skips.toml does not allow.
    Test {
        /// Only the tests: no formatting, lints or docs.
        #[arg(long)]
        quick: bool,
    },
    /// Runs the differential tests on new seeds for a time.
    Search {
        /// How long each of them searches.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// The engine's tests, and TPC-H against the daemon, as aarch64 builds under QEMU's user mode.
    Aarch64 {
        /// Where the tools for it cannot be had, say so and succeed.
        #[arg(long)]
        optional: bool,
    },
    /// Runs the fuzz targets one after the other; needs a nightly toolchain and cargo-fuzz. See docs/fuzzing.md.
    Fuzz {
        /// How long each of them runs.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// Only targets that need neither Arrow nor gRPC.
        #[arg(long)]
        engine: bool,
        /// Where the tools for it cannot be had, say so and succeed.
        #[arg(long)]
        optional: bool,
        /// Then add to what fuzz/kept/ has, which is what the tests of fuzz/cases replay.
        #[arg(long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test { quick } => test(quick),
        Command::Search { seconds } => search(seconds),
        Command::Aarch64 { optional } => aarch64::run(optional),
        Command::Fuzz { seconds, engine, optional, keep } => fuzz::run(fuzz::Choice { seconds, engine, optional, keep }),
    };
    // Not returned: `RUST_BACKTRACE` would hide the one line that says what to do.
    done.map_or_else(
        |error| {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn test(quick: bool) -> Result<()> {
    if !quick {
        Stage::cargo("formatting", &["fmt", "--all", "--check"]).run()?;
        Stage::cargo("lints", &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
        Stage::cargo("docs", &["doc", "--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").run()?;
    }
    // `--show-output`: a test that skips itself says so on its standard output, which a passing test does not show otherwise.
    let log = Stage::cargo("tests", &["test", "--release", "--workspace", "--no-fail-fast", "--", "--show-output"]).run()?;
    skips::check(&log)
}

fn search(seconds: u64) -> Result<()> {
    Stage::cargo("search", &["test", "--release", "--workspace", "differential", "--", "--show-output"])
        .env("NEARSIDE_SEARCH_SECONDS", seconds.to_string())
        .run()?;
    Ok(())
}
