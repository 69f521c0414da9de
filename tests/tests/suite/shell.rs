//! The command as people use it: at a terminal, in a pipe, over files with any name.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use nearside_tests::{Daemon, Outcome, Streams, Tables, Terminal, finish, nearside, run};
use nix::sys::signal::Signal;
use serde_json::Value;

/// 74 row groups of lineitem.
static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.1, 8192));

/// A projection, whose morsels are done one by one; nothing of it is left.
const SLOW: &str = "SET nearside.interpreter = true;
    SELECT l_orderkey FROM lineitem WHERE l_quantity * l_extendedprice * (1 - l_discount) < 0";

/// Rows of the result of some SQL as CSV, without the header.
fn rows(arguments: &[&str], sql: &str) -> Vec<String> {
    let outcome = run([&["sql", "--format", "csv", "-c", sql], arguments].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{sql}");
    outcome.stdout.lines().skip(1).map(str::to_owned).collect()
}

fn copy(sql: &str, to: &Path, more: &str) {
    let sql = format!("COPY ({sql}) TO '{}' {more}", to.display().to_string().replace('\'', "''"));
    let outcome = run(["sql", "-c", &sql]);
    assert_eq!(outcome.code, Some(0), "{sql}: {outcome:?}");
}

/// The bar comes after two seconds, moves while the scan runs, and goes; nothing of it in a pipe.
#[test]
fn a_bar_on_a_terminal_only() {
    let daemons = [(); 2].map(|()| Daemon::start(TABLES.path(), &["--workers", "1"]));
    let [mut piped, terminal] = daemons.each_ref().map(|daemon| {
        let mut command = nearside(["sql", "--device", &daemon.url, "--offload", "always"]);
        command.args(["-c", SLOW]);
        command
    });
    let part = bytes_of_slow() / 4;
    // The one in a pipe waits for longer than the one at the terminal.
    let piped = piped.spawn().expect("nearside runs");
    daemons[0].freeze(part);
    let mut terminal = Terminal::start(terminal, Streams::Error);
    daemons[1].freeze(part);
    terminal.wait_for(" left", 1);
    let screen = terminal.screen();
    let percent: Vec<u64> =
        screen.match_indices(" %").filter_map(|(at, _)| screen[..at].rsplit(' ').next()?.parse().ok()).collect();
    assert!(!percent.is_empty() && percent.iter().all(|percent| (1..100).contains(percent)), "{percent:?} in {screen:?}");
    assert!(screen.contains(" rows ") && screen.contains("/s"), "{screen:?}");
    daemons.iter().for_each(|daemon| daemon.signal(Signal::SIGCONT));
    assert_eq!(terminal.end(), Some(0));
    let Outcome { code, stderr, .. } = finish(piped);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

/// What the slow query has a device read.
fn bytes_of_slow() -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger.json").display().to_string();
    let outcome = run(["sql", "--data", &TABLES.text(), "--offload", "always", "--ledger", &ledger, "-c", SLOW]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let ledger: Value = serde_json::from_str(&fs::read_to_string(ledger).expect("a ledger")).expect("JSON");
    let morsels = ledger["work"]["morsels"].as_array().expect("morsels");
    morsels.iter().filter_map(|morsel| morsel["bytes_read"].as_u64()).sum()
}

/// Tables, columns, statements over several lines, timing, a mistake, the end; and the history is there the next time.
#[test]
fn a_session_at_the_shell() {
    let state = tempfile::tempdir().expect("a folder");
    let shell = |xdg: &Path| {
        let mut command = nearside(["sql", "--data", &TABLES.text()]);
        command.env("XDG_STATE_HOME", xdg).env("HOME", state.path());
        Terminal::start(command, Streams::All)
    };
    let mut first = shell(state.path());
    first.wait_for("nearside> ", 1);
    first.type_line("\\d");
    first.wait_for("| partsupp", 1);
    assert!(!first.screen().contains("information_schema"));
    first.type_line("\\d nation");
    first.wait_for("n_regionkey", 1);
    first.type_line("SELECT count(*) + 4200");
    first.wait_for("..> ", 1);
    first.type_line("FROM nation;");
    first.wait_for("4225", 1);
    first.wait_for("1 row in ", 1);
    first.type_line("help");
    first.wait_for("Anything else is SQL", 1);
    first.type_line("SELECT nope FROM nation;");
    first.wait_for("error: ", 1);
    first.type_line("\\nope");
    first.wait_for("\\? lists them", 1);
    first.type_line("quit");
    assert_eq!(first.end(), Some(0));
    let mut second = shell(Path::new(""));
    second.wait_for("nearside> ", 1);
    second.type_line("SELECT 4300 AS");
    second.wait_for("..> ", 1);
    second.type_line("exit;"); // within a statement it is a name
    second.wait_for("| 4300 |", 1);
    second.type_line("exit;");
    assert_eq!(second.end(), Some(0));
    for (folder, statement) in [("nearside", "SELECT count(*) + 4200"), (".local/state/nearside", "SELECT 4300")] {
        let history = fs::read_to_string(state.path().join(folder).join("history")).expect("a history");
        assert!(history.contains(statement), "{history}");
    }
}

/// Quotes, spaces, percent signs and capitals in names; folders of files, of partitions, of folders with a file's name.
#[test]
fn files_and_columns_of_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let nation =
        format!("SELECT n_nationkey AS \"Key\", n_name AS \"Its Name\", n_regionkey FROM '{}/nation.parquet'", TABLES.text());
    for name in ["It's one.parquet", "50%.parquet", "a%20b.parquet", "Orders.parquet", "q?x#y.parquet"] {
        copy(&nation, &path("x.parquet"), "");
        fs::rename(path("x.parquet"), path(name)).expect("a name");
    }
    for region in 0..3 {
        fs::create_dir_all(path("several")).expect("a folder");
        copy(
            &format!("SELECT * FROM ({nation}) WHERE n_regionkey = {region}"),
            &path("several").join(format!("{region}.parquet")),
            "",
        );
    }
    fs::write(path("several/_SUCCESS"), "").expect("a file");
    copy(&nation, &path("by region/"), "STORED AS PARQUET PARTITIONED BY (n_regionkey)");
    fs::create_dir(path("spark.parquet")).expect("a folder");
    fs::copy(path("Orders.parquet"), path("spark.parquet/part-0.parquet")).expect("a copy");
    let data = folder.path().display().to_string();
    let data = ["--data", data.as_str(), "--offload", "always"];
    for (table, count) in
        [("It's one", 25), ("50%", 25), ("a%20b", 25), ("Orders", 25), ("q?x#y", 25), ("several", 15), ("spark", 25)]
    {
        let sql = format!("SELECT count(*), count(\"Its Name\") FROM \"{table}\" WHERE \"Key\" >= 0");
        assert_eq!(rows(&data, &sql), [format!("{count},{count}")], "{table}");
    }
    let by_region = "SELECT n_regionkey, count(*) FROM \"by region\" WHERE \"Key\" > 0 GROUP BY 1 ORDER BY 1";
    assert_eq!(rows(&data, by_region), ["0,4", "1,5", "2,5", "3,5", "4,5"]);
    let partitioned = path("by region").display().to_string();
    assert_eq!(rows(&["--data", &partitioned], by_region), ["0,4", "1,5", "2,5", "3,5", "4,5"]);
    let by_path = format!("SELECT count(*) FROM '{}'", path("It's one.parquet").display().to_string().replace('\'', "''"));
    assert_eq!(rows(&[], &by_path), ["25"]);
    let capitals = run(["sql", "--data", &path("Orders.parquet").display().to_string(), "-c", "SELECT * FROM Orders"]);
    assert!(
        capitals.code == Some(1) && capitals.stderr.contains("there is \"Orders\", whose name must be quoted"),
        "{capitals:?}"
    );
}

/// Statements of an argument, a file and standard input; a comment is one too.
#[test]
fn sql_from_everywhere() {
    let two = "SELECT 1 AS a; SELECT 2 AS b;";
    let expected = "a\n1\nb\n2\n";
    assert_eq!(run(["sql", "--format", "csv", "-c", two]).stdout, expected);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("two statements.sql");
    fs::write(&file, two).expect("a file");
    assert_eq!(run(["sql", "--format", "csv", "-f", &file.display().to_string()]).stdout, expected);
    for arguments in [&["sql", "--format", "csv"][..], &["sql", "--format", "csv", "-f", "-"]] {
        let mut child = nearside(arguments).stdin(Stdio::piped()).spawn().expect("nearside runs");
        child.stdin.take().expect("a pipe").write_all(two.as_bytes()).expect("a reader");
        assert_eq!(finish(child).stdout, expected);
    }
    let comment = run(["sql", "-c", "-- nothing\n"]);
    assert_eq!((comment.code, comment.stdout, comment.stderr), (Some(0), String::new(), String::new()));
    assert_eq!(run(["sql", "--format", "json", "-c", "SELECT 1 AS a WHERE false"]).stdout, "[]\n");
    let nulls = run(["sql", "--format", "json", "-c", "SELECT 1 AS a, CAST(NULL AS INT) AS b, CAST('NaN' AS DOUBLE) AS c"]);
    assert_eq!(nulls.stdout, "[{\"a\":1,\"b\":null,\"c\":null}]\n");
    let shown = run(["sql", "--format", "csv", "-c", "SET nearside.offload = 'never'; SHOW nearside.offload"]);
    assert_eq!(shown.stdout, "name,value\nnearside.offload,never\n");
    let stopped = run(["sql", "--format", "csv", "-c", "SELECT 1 AS a; SELECT nope; SELECT 2 AS b"]);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(1), "a\n1\n"));
}

/// A reader that has heard enough, as `head` has, is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let sql = "SELECT * FROM lineitem LIMIT 100000";
    let mut child = nearside(["sql", "--data", &TABLES.text(), "--format", "csv", "-c", sql]).spawn().expect("nearside runs");
    drop(child.stdout.take());
    let outcome = finish(child);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

/// Plans are shown as they are, not in a table as wide as their longest line.
#[test]
fn plans_are_lines() {
    let outcome = run(["sql", "--data", &TABLES.text(), "-c", "EXPLAIN SELECT count(*) FROM lineitem WHERE l_quantity < 3"]);
    assert!(
        outcome.stdout.starts_with("── logical_plan\n") && outcome.stdout.contains("OffloadExec: device=embedded"),
        "{outcome:?}"
    );
    assert!(!outcome.stdout.contains('|') && outcome.stdout.lines().all(|line| line == line.trim_end()), "{outcome:?}");
}

/// At the level at which people look for reasons, a compiler does not print its functions, and nothing is coloured in a pipe.
#[test]
fn logs_can_be_read() {
    let mut daemon = {
        let mut command = Daemon::command(TABLES.path(), &[]);
        command.env("RUST_LOG", "info");
        Daemon::spawn(command)
    };
    let sql = "SELECT count(*) FROM lineitem WHERE l_quantity * 2 < 7";
    let mut command = nearside(["sql", "--device", &daemon.url, "--offload", "always", "-c", sql]);
    let outcome = finish(command.env("RUST_LOG", "info").spawn().expect("nearside runs"));
    let logs = [outcome.stderr, daemon.kill()];
    for log in &logs {
        assert!(!log.contains("cranelift") && !log.contains('\u{1b}') && log.lines().count() < 20, "{log}");
    }
    assert!(logs[1].contains("serving"), "{}", logs[1]);
}
