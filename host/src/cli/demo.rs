//! `nearside` alone: makes data, runs three queries with and without offload, and shows what happened.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use nearside::{Account, Offload, OffloadExec, tpch};

use super::failure::Failure;
use super::folders;
use super::query::{self, Answer};
use super::session::{self, SessionArguments};
use super::tpch::write_tables;
use super::units::bytes;

const SCALE: f64 = 0.1;

/// Number and what it asks.
const QUERIES: [(u8, &str); 3] = [
    (6, "how much revenue would small discounts have cost? One filter, one sum: 600,000 rows in, one row out"),
    (1, "the pricing summary: a filter and ten aggregates in four groups"),
    (14, "which share of revenue came from promotions? A join: its larger side is filtered on the device"),
];

/// Lines of a program that are shown; `nearside compile` shows all.
const PROGRAM_LINES: usize = 24;

/// Characters of a plan's line that are shown.
const PLAN_LINE_CHARS: usize = 200;

/// Runs the demo.
pub(crate) async fn run() -> Result<(), Failure> {
    let data = tables()?;
    let open = |offload| {
        let arguments = SessionArguments { offload, ..SessionArguments::over(&data) };
        async move { session::open(&arguments).await }
    };
    let (host, near) = (open(Offload::Never).await?.context, open(Offload::Always).await?.context);
    let mut out = io::stdout().lock();
    writeln!(out, "Nearside: TPC-H at scale {SCALE} in {}, an embedded device beside it.", data.display())?;
    for (number, question) in QUERIES {
        show(&mut out, &data, (&host, &near), number, question).await?;
    }
    writeln!(out, "\nAll answers are DataFusion's own. Next: nearside sql --data {}", data.display())?;
    Ok(())
}

/// The data's folder in the cache, made on first use.
fn tables() -> Result<PathBuf, Failure> {
    let cache = folders::cache().unwrap_or_else(|| std::env::temp_dir().join("nearside"));
    let folder = cache.join(format!("tpch-{SCALE}"));
    if !folder.is_dir() {
        eprintln!("making TPC-H data in {} (once)", folder.display());
        // Another name until it is complete: a demo that was stopped leaves nothing that looks like data.
        let unfinished = folder.with_extension(format!("part-{}", std::process::id()));
        write_tables(&unfinished, SCALE, 1)?;
        if let Err(error) = std::fs::rename(&unfinished, &folder) {
            // Another demo was faster.
            std::fs::remove_dir_all(&unfinished)?;
            if !folder.is_dir() {
                return Err(Failure::query(format!("{}: {error}", folder.display())));
            }
        }
    }
    Ok(folder)
}

async fn show(
    out: &mut impl Write,
    data: &Path,
    (host, near): (&SessionContext, &SessionContext),
    number: u8,
    question: &str,
) -> Result<(), Failure> {
    let sql = tpch::query(number);
    let expected = query::run_one(host, sql).await?;
    let answer = query::run_one(near, sql).await?;
    writeln!(out, "\n━━ Query {number}: {question}\n\n{}", sql.trim())?;
    writeln!(out, "\n── plan (lines that end in … are whole in EXPLAIN VERBOSE)")?;
    for line in displayable(answer.plan.as_ref()).indent(false).to_string().lines() {
        writeln!(out, "{}", shortened(line))?;
    }
    if let Some(offload) = first_offload(&answer.plan) {
        show_program(out, offload, &command(data, sql))?;
    }
    writeln!(out, "\n── result\n{}", pretty_format_batches(&answer.batches).map_err(Failure::query)?)?;
    match tpch::difference(&expected.batches, &answer.batches).map_err(Failure::query)? {
        None => writeln!(out, "equal to DataFusion without offload")?,
        Some(difference) => return Err(Failure::query(format!("query {number} differs from DataFusion's answer: {difference}"))),
    }
    show_ledger(out, &nearside::account(&answer.plan), &expected, &answer)
}

fn first_offload(plan: &Arc<dyn ExecutionPlan>) -> Option<&OffloadExec> {
    match plan.downcast_ref::<OffloadExec>() {
        Some(offload) if offload.object().is_some() => Some(offload),
        _ => plan.children().into_iter().find_map(first_offload),
    }
}

fn show_program(out: &mut impl Write, offload: &OffloadExec, command: &str) -> Result<(), Failure> {
    let Some(object) = offload.object() else { return Ok(()) };
    let text = object.disassemble().with_comments().to_string();
    let lines: Vec<_> = text.lines().collect();
    writeln!(out, "\n── program ({} instruction slots)", object.code.len())?;
    for line in lines.iter().take(PROGRAM_LINES) {
        writeln!(out, "{line}")?;
    }
    if lines.len() > PROGRAM_LINES {
        writeln!(out, "  … {} more lines:\n{command}", lines.len() - PROGRAM_LINES)?;
    }
    Ok(())
}

/// The command line that prints all programs of a query, for a shell. The queries of TPC-H have nothing that a shell replaces.
fn command(data: &Path, sql: &str) -> String {
    let lines = sql.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    format!("nearside compile --target columnar --data \"{}\" -c \"{}\"", data.display(), lines.collect::<Vec<_>>().join(" "))
}

fn show_ledger(out: &mut impl Write, account: &Account, expected: &Answer, answer: &Answer) -> Result<(), Failure> {
    let work = &account.ledger.work;
    let sum = |of: fn(&nearside_device::ledger::Morsel) -> u64| work.morsels.iter().map(of).sum::<u64>();
    let row = |name: &str, value: String| format!("  {name:<34}{value:>16}");
    writeln!(out, "\n── ledger")?;
    writeln!(
        out,
        "{}",
        row(
            "rows in / selected / returned",
            format!("{} / {} / {}", sum(|m| m.rows), sum(|m| m.rows_selected), work.returned_rows)
        )
    )?;
    writeln!(out, "{}", row("bytes of the needed columns", bytes(sum(|m| m.bytes_eligible))))?;
    writeln!(out, "{}", row("  of those pruned by statistics", bytes(sum(|m| m.bytes_pruned))))?;
    writeln!(out, "{}", row("bytes read beside the data", bytes(sum(|m| m.bytes_read))))?;
    writeln!(out, "{}", row("bytes returned", bytes(work.returned_bytes)))?;
    let (without, with) = (scanned(&expected.plan), scanned(&answer.plan) + work.returned_bytes);
    let less = without as f64 / with.max(1) as f64;
    let moved = format!("{} / {}: {less:.0} times less", bytes(without), bytes(with));
    writeln!(out, "{}", row("moved without / with offload", moved))?;
    writeln!(out, "{}", row("time without / with offload", format!("{:.1} / {:.1} ms", ms(expected), ms(answer))))?;
    Ok(())
}

/// Bytes of files that the host itself has read: all that its scans need, if nothing is offloaded.
fn scanned(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let metrics = plan.metrics().filter(|_| plan.is::<DataSourceExec>());
    let here = metrics.and_then(|metrics| metrics.sum_by_name("bytes_scanned")).map_or(0, |value| value.as_usize() as u64);
    here + plan.children().into_iter().map(scanned).sum::<u64>()
}

/// A line of a plan without the end of a predicate that fills the screen; what is offloaded is shown whole.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(PLAN_LINE_CHARS) {
        Some((end, _)) if !line.trim_start().starts_with("OffloadExec") => format!("{} …", &line[..end]),
        _ => line.to_owned(),
    }
}

fn ms(answer: &Answer) -> f64 {
    answer.elapsed.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell takes the command as it is printed.
    #[test]
    fn commands_can_be_pasted() {
        for (number, _) in QUERIES {
            let command = command(Path::new("/a b"), tpch::query(number));
            assert!(command.contains("--data \"/a b\" -c \"select "), "{command}");
            assert!(command.matches('"').count() == 4 && !command.contains(['\n', '$', '`', '\\', '!']), "{command}");
        }
    }
}
