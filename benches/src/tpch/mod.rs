//! TPC-H side by side: DataFusion on the host, DataFusion beside the data, Nearside.
//!
//! [`main`] is the whole program. It makes the data, and for each [`Link`] starts a host process and the device processes, each pinned to its
//! core: `run` is that, `child` how processes talk, `network` what is between them. `host` runs the queries of all [`Arm`]s in turn and measures; `native` is
//! the device without eBPF; `report` makes table, JSON and plot. `docs/benchmarks.md` says what is compared and why. Not here: assertions on speed.

mod child;
mod data;
mod device;
mod host;
mod measure;
mod native;
mod network;
mod options;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;

pub use options::{Arm, Link, Options};

/// Runs the bench, or one of its processes.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.child {
        Some(task) => child::work(task),
        None => run::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
