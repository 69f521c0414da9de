//! `nearside sql`.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use datafusion::prelude::SessionContext;

use super::failure::Failure;
use super::output::NewFile;
use super::print::{self, Format};
use super::session::{self, SessionArguments};
use super::{query, shell};

/// Runs SQL; `SELECT … FROM 'file.parquet'` works on a path or a URL.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    session: SessionArguments,
    /// SQL to run; several statements are separated by semicolons.
    #[arg(short, value_name = "SQL", conflicts_with = "file", allow_hyphen_values = true)]
    command: Option<String>,
    /// File with SQL to run; `-` is standard input.
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How results are written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write the last query's ledger there, as JSON (`nearside-sim --ledger` reads it).
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let text = text(&arguments)?;
    let session = session::open(&arguments.session).await?;
    match text {
        Some(text) => run_text(&session.context, &text, &arguments).await,
        None => shell::run(&session, arguments.format).await,
    }
}

/// What to run; `None`: ask at the terminal.
fn text(arguments: &Arguments) -> Result<Option<String>, Failure> {
    if let Some(command) = &arguments.command {
        return Ok(Some(command.clone()));
    }
    match &arguments.file {
        Some(file) if file.as_os_str() != "-" => {
            fs::read_to_string(file).map(Some).map_err(|error| Failure::usage(format!("-f {}: {error}", file.display())))
        }
        None if io::stdin().is_terminal() => Ok(None),
        _ => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            Ok(Some(text))
        }
    }
}

async fn run_text(context: &SessionContext, text: &str, arguments: &Arguments) -> Result<(), Failure> {
    let ledger = arguments.ledger.as_deref().map(|path| NewFile::create("--ledger", path)).transpose()?;
    for statement in query::parse(text)? {
        let answer = query::run(context, statement).await?;
        // `SET`, `CREATE` and the like have nothing to show.
        if !answer.schema.fields().is_empty() {
            print::print(&mut io::stdout().lock(), arguments.format, &answer.schema, &answer.batches)?;
        }
        answer.note_failures();
        if let Some(file) = &ledger {
            file.write(&serde_json::to_vec_pretty(&nearside::account(&answer.plan).ledger).map_err(Failure::query)?)?;
        }
    }
    Ok(())
}
