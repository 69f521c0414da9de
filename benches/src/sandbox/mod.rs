//! How cheap a sandbox is: how long from an object to its first result, how many a second, what one costs while it waits.
//!
//! An *instance* is a compiled program with its parameters, maps and state; it has a worker's cage only while it is called. `subject` says what an instance can do,
//! `query` and `packet` are the two kinds there are, `measure` measures both alike, `report` says what came of it and what was promised.

mod measure;
mod packet;
mod query;
mod report;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::place::{self, Machine};
use report::Record;

/// How cheap a sandbox is.
#[derive(Clone, Debug, Parser)]
#[command(name = "sandbox")]
pub struct Options {
    /// Instances that live at once.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub live: u32,

    /// Seconds for each figure that is a time.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub seconds: f64,

    /// Folder of the record: table and JSON; without it, it goes to benches/record.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Runs the bench.
pub fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut record = Record::new(Machine::this()?);
    place::pin(place::cores()?.pop().context("no core")?)?;
    record.sandboxes.push(measure::measure(&query::Query::new(query::INTEGERS)?, options)?);
    record.sandboxes.push(measure::measure(&query::Query::new(query::DECIMALS)?, options)?);
    record.sandboxes.push(measure::measure(&packet::Packets::new()?, options)?);
    print!("{record}");
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("record");
    let folder = options.output.clone().unwrap_or_else(own);
    record.write(&folder).with_context(|| format!("writing to {}", folder.display()))
}
