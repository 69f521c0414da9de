//! The daemon's binary: one line on standard output when it is ready, everything else on standard error.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use nearsided::{Config, Daemon, DaemonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Columns come and go by the megabyte: the system's allocator gives their pages back and faults them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is logged unless `RUST_LOG` says otherwise: our own words.
const LOGS: &str = "warn,nearsided=info,nearside_protocol=info,nearside_device=info";

/// Exit code for arguments that cannot work.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    nearside_device::hush_expected_panics();
    let config = Config::parse();
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| LOGS.to_owned());
    // A compiler that logs whole functions at INFO must be asked for by name.
    let filter = EnvFilter::new(format!("cranelift_jit=warn,cranelift_codegen=warn,{wanted}"));
    let colors = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colors).init();
    let error = match run(config) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    eprintln!("nearsided: {error:#}");
    match error.downcast_ref::<DaemonError>() {
        Some(error) if error.is_usage() => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("no threads")?;
    let served = runtime.block_on(serve(config));
    // Reads of a slow medium do not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let root = config.root.clone();
    let daemon = Daemon::bind(config).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {}", daemon.address()).and_then(|()| stdout.flush()).context("standard output")?;
    tracing::info!("serving {root} at {}", daemon.url());
    daemon.serve(stopped(stop)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Resolves at the first signal. A second one ends the process, as it would without us.
async fn stopped((mut terminate, mut interrupt): (Signal, Signal)) {
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{name}: finishing what runs");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("a second signal: stopping now");
        std::process::exit(1);
    });
}
