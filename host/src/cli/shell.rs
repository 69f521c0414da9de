//! The interactive shell: history, statements over several lines, backslash commands, timing.

use std::io::{self, Write};
use std::path::PathBuf;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::signal;

use super::failure::Failure;
use super::folders;
use super::print::{self, Format};
use super::query;
use super::session::Session;
use super::units::{bytes, rows};

const HELP: &str = "\\d         tables
\\d NAME    columns of a table
\\timing    timing on or off
\\q         end (or Ctrl-D)
Anything else is SQL and ends with a semicolon. EXPLAIN shows what is offloaded; SET nearside.offload = 'always' offloads whatever can be.";

const TABLES: &str =
    "SELECT table_name FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY table_name;";

/// Reads and runs until the end of input.
pub(crate) async fn run(session: &Session, format: Format) -> Result<(), Failure> {
    let mut editor = DefaultEditor::new().map_err(Failure::query)?;
    let history = history_file();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    eprintln!("Nearside {}. \\? for help, \\q to end.", env!("CARGO_PKG_VERSION"));
    let mut shell = Shell { session, format, timing: true };
    let mut pending = String::new();
    loop {
        let prompt = if pending.is_empty() { "nearside> " } else { "      ..> " };
        match editor.readline(prompt) {
            Ok(line) if pending.is_empty() && command(&line).is_some() => {
                editor.add_history_entry(&line).map_err(Failure::query)?;
                if !shell.command(command(&line).unwrap_or_default()).await {
                    break;
                }
            }
            Ok(line) => {
                pending.push_str(&line);
                pending.push('\n');
                if pending.trim_end().ends_with(';') {
                    editor.add_history_entry(pending.trim()).map_err(Failure::query)?;
                    shell.sql(&std::mem::take(&mut pending)).await;
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::query(error)),
        }
    }
    if let Some(path) = &history {
        editor.save_history(path).map_err(|error| Failure::query(format!("history {}: {error}", path.display())))?;
    }
    Ok(())
}

/// The backslash command that a line is, if no statement has begun: other shells have some as words.
fn command(line: &str) -> Option<&str> {
    match line.trim().trim_end_matches(';') {
        "quit" | "exit" => Some("\\q"),
        "help" => Some("\\?"),
        _ => Some(line.trim()).filter(|line| line.starts_with('\\')),
    }
}

struct Shell<'a> {
    session: &'a Session,
    format: Format,
    timing: bool,
}

impl Shell<'_> {
    /// A backslash command; false ends the shell.
    async fn command(&mut self, line: &str) -> bool {
        match line.split_once(char::is_whitespace).map_or((line, ""), |(command, rest)| (command, rest.trim())) {
            ("\\q", _) => return false,
            ("\\d", "") => self.sql(TABLES).await,
            ("\\d", table) => self.sql(&format!("DESCRIBE {};", table.trim_end_matches(';'))).await,
            ("\\timing", _) => {
                self.timing = !self.timing;
                eprintln!("timing is {}", if self.timing { "on" } else { "off" });
            }
            ("\\?" | "\\h", _) => eprintln!("{HELP}"),
            (other, _) => eprintln!("error: no command {other}; \\? lists them"),
        }
        true
    }

    /// Runs statements; a failure is said and ends none but them, Ctrl-C stops the one that runs.
    async fn sql(&self, text: &str) {
        let result = tokio::select! {
            result = self.try_sql(text) => result,
            _ = signal::ctrl_c() => Err(Failure::query("stopped")),
        };
        if let Err(failure) = result {
            failure.report();
        }
    }

    async fn try_sql(&self, text: &str) -> Result<(), Failure> {
        for statement in query::parse(text)? {
            let before = self.session.wire.bytes();
            let answer = query::run(&self.session.context, statement).await?;
            if !answer.schema.fields().is_empty() {
                print::print(&mut io::stdout().lock(), self.format, &answer.schema, &answer.batches)?;
            }
            answer.note_failures();
            if self.timing {
                let moved = match self.session.wire.is_empty() {
                    true => String::new(),
                    false => format!(", {} over the socket", bytes(self.session.wire.bytes() - before)),
                };
                let rows = rows(answer.row_count());
                writeln!(io::stderr().lock(), "{rows} in {:.3} s{moved}", answer.elapsed.as_secs_f64())?;
            }
        }
        Ok(())
    }
}

/// In a folder that is there.
fn history_file() -> Option<PathBuf> {
    let folder = folders::state()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
