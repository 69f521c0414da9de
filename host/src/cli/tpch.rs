//! `nearside tpch`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::prelude::SessionContext;
use nearside::tpch;
use serde::Serialize;

use super::failure::Failure;
use super::output::NewFile;
use super::session::{self, Session, SessionArguments};
use super::units::bytes;
use super::{progress, query};

/// TPC-H.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Writes the eight tables as Parquet (ZSTD, page index, row groups of at most 256 Ki rows).
    Generate(GenerateArguments),
    /// Runs queries and says what each took and moved.
    Run(RunArguments),
}

/// Where and how much.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArguments {
    /// Scale factor: 1 is about a gigabyte of text.
    #[arg(long, value_name = "N")]
    scale: f64,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Files of each large table: more than one makes a folder a table.
    #[arg(long, value_name = "N", default_value_t = 1)]
    files: u32,
}

/// Which queries, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    session: SessionArguments,
    /// Queries: numbers and ranges, `1,6,12-15`.
    #[arg(long, value_name = "LIST", default_value = "1-22")]
    queries: String,
    /// Run each query without offload too, and fail if the answers differ.
    #[arg(long)]
    verify: bool,
    /// Also write the figures there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate(arguments) => generate(&arguments),
        Command::Run(arguments) => run_queries(&arguments).await,
    }
}

fn generate(arguments: &GenerateArguments) -> Result<(), Failure> {
    write_tables(&arguments.output, arguments.scale, arguments.files)?;
    eprintln!("wrote TPC-H at scale {} to {}", arguments.scale, arguments.output.display());
    Ok(())
}

/// Writes the tables, with a bar on a terminal.
pub(crate) fn write_tables(output: &Path, scale: f64, files: u32) -> Result<(), Failure> {
    // lineitem 6.0, orders 1.5, partsupp 0.8, part 0.2, customer 0.15, supplier 0.01 million rows at scale 1; nation and region.
    let rows = (8_660_000.0 * scale) as u64 + 30;
    let bar = io::stderr().is_terminal().then(|| progress::bar(Some(rows)));
    let advance = |progress: tpch::Progress| {
        if let Some(bar) = &bar {
            bar.inc(progress.rows);
        }
    };
    let options = tpch::Options { files, progress: Some(&advance), ..tpch::Options::default() };
    tpch::generate(output, scale, &options).map_err(|error| match error {
        tpch::GenerateError::Scale(_) | tpch::GenerateError::Io { .. } => Failure::usage(error),
        _ => Failure::query(error),
    })?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    Ok(())
}

/// What one query came to.
#[derive(Debug, Serialize)]
struct Figures {
    query: u8,
    milliseconds: f64,
    rows: usize,
    /// Fragments that devices ran.
    executions: u64,
    /// Compressed bytes of the columns that offloaded scans need.
    bytes_eligible: u64,
    /// Bytes devices read.
    bytes_read: u64,
    /// Arrow bytes devices returned.
    bytes_returned: u64,
    /// Bytes through the sockets of daemons for planning and running the query, both directions, HTTP/2 included.
    bytes_socket: u64,
    /// Partitions of fragments that devices gave back, or were not asked for, because they do not pay.
    push_backs: usize,
    /// Whether the answer without offload is the same; absent if it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

async fn run_queries(arguments: &RunArguments) -> Result<(), Failure> {
    let queries = tpch::parse_queries(&arguments.queries).map_err(|error| Failure::usage(format!("--queries {error}")))?;
    let session = session::open(&arguments.session).await?;
    if !session.wire.is_empty() {
        eprintln!("registering the tables moved {} over the socket", bytes(session.wire.bytes()));
    }
    let plain = SessionArguments { offload: nearside::Offload::Never, ..arguments.session.clone() };
    let plain = if arguments.verify { Some(session::open(&plain).await?.context) } else { None };
    let json = arguments.json.as_deref().map(|path| NewFile::create("--json", path)).transpose()?;
    let mut all = Vec::new();
    let mut out = io::stdout().lock();
    for number in queries {
        let figures = run_query(&session, plain.as_ref(), number).await?;
        if all.is_empty() {
            print_header(&mut out)?;
        }
        print_row(&mut out, &figures)?;
        all.push(figures);
    }
    if let Some(file) = &json {
        file.write(&serde_json::to_vec_pretty(&all).map_err(Failure::query)?)?;
    }
    let different: Vec<_> =
        all.iter().filter(|figures| figures.verified == Some(false)).map(|figures| figures.query.to_string()).collect();
    if different.is_empty() {
        Ok(())
    } else {
        Err(Failure::query(format!("answers differ from DataFusion's in queries {}", different.join(", "))))
    }
}

async fn run_query(session: &Session, plain: Option<&SessionContext>, number: u8) -> Result<Figures, Failure> {
    let named = |failure: Failure| failure.of(format!("query {number}"));
    let before = session.wire.bytes();
    let answer = query::run_one(&session.context, tpch::query(number)).await.map_err(named)?;
    let bytes_socket = session.wire.bytes() - before;
    answer.note_failures();
    let verified = match plain {
        Some(plain) => {
            let expected = query::run_one(plain, tpch::query(number)).await.map_err(named)?;
            let difference = tpch::difference(&expected.batches, &answer.batches).map_err(Failure::query)?;
            if let Some(difference) = &difference {
                eprintln!("query {number}: {difference}");
            }
            Some(difference.is_none())
        }
        None => None,
    };
    let account = nearside::account(&answer.plan);
    let sum = |of: fn(&nearside_device::ledger::Morsel) -> u64| account.ledger.work.morsels.iter().map(of).sum();
    Ok(Figures {
        query: number,
        milliseconds: milliseconds(answer.elapsed),
        rows: answer.row_count(),
        executions: account.executions,
        bytes_eligible: sum(|morsel| morsel.bytes_eligible),
        bytes_read: sum(|morsel| morsel.bytes_read),
        bytes_returned: account.ledger.work.returned_bytes,
        bytes_socket,
        push_backs: account.fallbacks.iter().filter(|reason| reason.is_cost()).count(),
        verified,
    })
}

fn print_header(out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "{:>5} {:>10} {:>8} {:>10} {:>12} {:>12} {:>12} {:>12}  verified",
        "query", "ms", "rows", "executions", "eligible", "read", "returned", "socket"
    )?;
    Ok(())
}

fn print_row(out: &mut impl Write, figures: &Figures) -> Result<(), Failure> {
    let verified = figures.verified.map_or("", |same| if same { "equal" } else { "DIFFERENT" });
    writeln!(
        out,
        "{:>5} {:>10.1} {:>8} {:>10} {:>12} {:>12} {:>12} {:>12}  {verified}",
        figures.query,
        figures.milliseconds,
        figures.rows,
        figures.executions,
        figures.bytes_eligible,
        figures.bytes_read,
        figures.bytes_returned,
        figures.bytes_socket,
    )?;
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
