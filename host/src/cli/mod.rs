//! The command line: arguments to commands, failures to exit codes.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0; 1, a query failed; 2, the command line is wrong.

mod compile;
mod demo;
mod failure;
mod files;
mod folders;
mod output;
mod print;
mod progress;
mod query;
mod scans;
mod session;
mod shell;
mod sql;
mod stores;
mod tpch;
mod units;
mod wire;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use failure::Failure;

/// Near-data computing for queries: SQL whose filters and aggregates run where the data is.
///
/// Without a command: a demo that makes its own data and needs nothing else.
#[derive(Debug, Parser)]
#[command(name = "nearside", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs SQL, or reads it from a terminal.
    Sql(sql::Arguments),
    /// TPC-H: makes the data, runs the queries.
    #[command(subcommand)]
    Tpch(tpch::Command),
    /// Compiles the fragments of a query to ELF objects.
    Compile(compile::CompileArguments),
    /// Prints an object as text.
    Disasm(compile::DisasmArguments),
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let colors = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr).with_ansi(colors).init();
    let result = tokio::runtime::Runtime::new().map_err(Failure::query).and_then(|runtime| runtime.block_on(dispatch(arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// `RUST_LOG`, warnings otherwise. A compiler that logs whole functions at INFO must be asked for by name.
fn log_filter() -> EnvFilter {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
    EnvFilter::new(format!("cranelift_jit=warn,cranelift_codegen=warn,{wanted}"))
}

async fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        None => demo::run().await,
        Some(Command::Sql(arguments)) => sql::run(arguments).await,
        Some(Command::Tpch(command)) => tpch::run(command).await,
        Some(Command::Compile(arguments)) => compile::compile(arguments).await,
        Some(Command::Disasm(arguments)) => compile::disasm(&arguments),
    }
}
