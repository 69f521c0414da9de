//! The engine beside others, and beside code that checks nothing, on the same byte code.
//!
//! [`main`] is the whole program, and small: what it measures is built by `build` from `benches/engine`, a workspace of its own, because the peers are nobody else's
//! dependencies. There are two builds of it, for any x86-64 and for this processor; `child` talks to both, `run` drives them in turns, a round each, so that whatever else
//! the machine does disturbs all alike. `report` makes table, JSON and plot; `bounds` says what was promised.

mod bounds;
mod build;
mod child;
mod options;
mod report;
mod run;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

pub use options::{Memory, Options};

/// Runs the bench; `scratch` is a folder for builds that stay.
pub fn main(scratch: &Path) -> ExitCode {
    match run::run(&Options::parse(), scratch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
