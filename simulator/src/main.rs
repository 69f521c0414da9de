//! `nearside-sim`: replays a ledger against device profiles.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use nearside_device::Ledger;
use nearside_sim::{Profile, Report, replay};

/// What would this execution have taken on another device?
///
/// The ledger is JSON as `nearside sql --ledger FILE` writes it; a profile is TOML, see simulator/profiles.
#[derive(Parser)]
#[command(name = "nearside-sim", version)]
struct Arguments {
    /// The ledger of a real execution.
    #[arg(long)]
    ledger: PathBuf,
    /// Device profiles to replay it against.
    #[arg(long = "device", required = true)]
    devices: Vec<PathBuf>,
    /// One JSON object a device instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let ledger = read_ledger(&arguments.ledger)?;
    for device in &arguments.devices {
        let report = replay(&ledger, &Profile::read(device)?);
        if arguments.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print_table(&report);
        }
    }
    Ok(())
}

fn read_ledger(path: &Path) -> Result<Ledger> {
    let text = fs::read_to_string(path).with_context(|| format!("ledger {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("ledger {} is not one that `nearside sql --ledger` writes", path.display()))
}

fn print_table(report: &Report) {
    println!("{} ({} morsels)", report.device, report.morsels);
    println!("  {:<14} {:>14}", "offloaded", report.offloaded.to_string());
    println!("  {:<14} {:>14}", "raw transfer", report.raw_transfer.to_string());
    for resource in &report.resources {
        println!("  {:<14} {:>14}", resource.name, resource.busy.to_string());
    }
}
