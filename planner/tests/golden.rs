//! Golden tests: `golden/*.frag`, each a fragment, rows in and rows out, by the evaluator and by the program in both engines.
//!
//! `UPDATE_GOLDEN=1 cargo test -p nearside-planner --test golden` writes what came out into the files; a failure names the file.

mod device;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use device::{Device, Options};
use nearside_engine::Backend;
use nearside_planner::text::{parse_scalar, write_scalar};
use nearside_planner::{Capabilities, Fragment, compile, evaluate};
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::{Scalar, ValueType};

const ROWS_IN: &str = "--- rows in";
const ROWS_OUT: &str = "--- rows out";

/// Last line where the evaluator knows the rows, and the program gives up.
const HOST_ALONE: &str = "--- the program leaves them to the host\n";

/// Every file is what the evaluator makes of it, the fragment in its canonical text.
#[test]
fn golden() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in files() {
        let given = std::fs::read_to_string(&path).unwrap();
        let made = bless(&given).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        if given == made {
            continue;
        }
        if update {
            std::fs::write(&path, made).unwrap();
        } else {
            wrong.push(format!("{} should be\n{made}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "re-bless with UPDATE_GOLDEN=1:\n{}", wrong.join("\n"));
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The text of the file as it should be: comments and rows in as given, the rest made again.
fn bless(given: &str) -> Result<String, String> {
    let (head, tables) = given.split_once(ROWS_IN).ok_or("no rows in")?;
    let rows_in = tables.split_once(ROWS_OUT).map_or(tables, |(rows, _)| rows);
    let fragment: Fragment = head.parse().map_err(|error| format!("{error}"))?;
    let rows = parse_rows(&fragment, rows_in)?;
    let mut made: String = head.lines().filter(|line| line.starts_with('#')).fold(String::new(), |text, line| text + line + "\n");
    let _ = write!(made, "{}\n{ROWS_IN}\n", fragment.to_string().replace(" | ", "\n| "));
    let names: Vec<&str> = fragment.columns.iter().map(|column| column.name.as_str()).collect();
    write_table(&mut made, &names, &rows);
    let _ = writeln!(made, "{ROWS_OUT}");
    match evaluate(&fragment, &rows) {
        Ok(result) => {
            write_table(&mut made, &output_names(&fragment), &result);
            match run(&fragment, &rows)? {
                Some(given) if given == result => {}
                Some(given) => return Err(format!("the program gives {given:?}, not {result:?}")),
                None => made.push_str(HOST_ALONE),
            }
        }
        Err(error) => {
            let _ = writeln!(made, "error: {error}");
            if let Some(given) = run(&fragment, &rows)? {
                return Err(format!("the program gives {given:?}, not the error"));
            }
        }
    }
    Ok(made)
}

/// What the program says with vector helpers that compare, and without; `None`: that a row is the host's.
fn run(fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<Option<Vec<Vec<Scalar>>>, String> {
    let all = Capabilities::all();
    let (with, without) = (run_with(&all, fragment, rows)?, run_with(&all.without_vector_helpers(), fragment, rows)?);
    if with == without { Ok(with) } else { Err(format!("{with:?} with vector helpers, {without:?} without")) }
}

/// What every version of the program says in both engines.
fn run_with(capabilities: &Capabilities, fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<Option<Vec<Vec<Scalar>>>, String> {
    let compiled = compile(fragment, capabilities).map_err(|refusal| refusal.to_string())?;
    let result = |backend, narrow| {
        Device::new(&compiled, Options { backend, batch_rows: BATCH_ROWS_MAX as usize, groups_max: 64, narrow })
            .run(fragment, rows)
    };
    let first = result(Backend::Interpreter, false);
    for (backend, narrow) in [(Backend::Interpreter, true), (Backend::Jit, false), (Backend::Jit, true)] {
        let other = result(backend, narrow);
        if other != first {
            return Err(format!("{backend:?}, narrow {narrow}: {other:?}, the first gave {first:?}"));
        }
    }
    Ok(first)
}

fn output_names(fragment: &Fragment) -> Vec<&str> {
    use nearside_planner::fragment::Output;
    match &fragment.output {
        Output::Project(outputs) => outputs.iter().map(|output| output.name.as_str()).collect(),
        Output::Aggregate { keys, aggregates } => {
            keys.iter().map(|key| key.name.as_str()).chain(aggregates.iter().map(|aggregate| aggregate.name.as_str())).collect()
        }
    }
}

/// A line a column: `k = 9, 10, null`.
fn write_table(text: &mut String, names: &[&str], rows: &[Vec<Scalar>]) {
    for (index, name) in names.iter().enumerate() {
        let values: Vec<String> = rows.iter().map(|row| write_scalar(&row[index])).collect();
        let line = format!("{name} = {}", values.join(", "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn parse_rows(fragment: &Fragment, table: &str) -> Result<Vec<Vec<Scalar>>, String> {
    let lines: Vec<&str> = table.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut columns = Vec::new();
    for (column, line) in fragment.columns.iter().zip(&lines) {
        let (name, values) = line.split_once('=').ok_or_else(|| format!("{line:?} is not `name = values`"))?;
        if name.trim() != column.name {
            return Err(format!("expected the values of {}, found those of {}", column.name, name.trim()));
        }
        columns.push(parse_values(values, column.value_type)?);
    }
    let count = columns.first().map_or(0, Vec::len);
    if columns.len() != fragment.columns.len() || columns.iter().any(|column| column.len() != count) {
        return Err("columns are missing, or differ in length".into());
    }
    Ok((0..count).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

/// Values apart by commas; those inside quotes are text.
fn parse_values(values: &str, value_type: ValueType) -> Result<Vec<Scalar>, String> {
    let mut quoted = false;
    let parts = values.trim().split(|c| {
        quoted ^= c == '\'';
        c == ',' && !quoted
    });
    let parts: Vec<&str> = parts.collect();
    let parts = if parts == [""] { Vec::new() } else { parts };
    parts.into_iter().map(|value| parse_scalar(value.trim(), value_type).map_err(|error| format!("{value}: {error}"))).collect()
}
