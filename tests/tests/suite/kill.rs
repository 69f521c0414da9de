//! SIGKILL of the daemon in the middle of a query: the answer is right where the files can be read otherwise, and the error says what happened where not.

use std::sync::LazyLock;

use nearside_tests::{Daemon, Outcome, Tables, finish, nearside, run};

/// 74 row groups of lineitem.
static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.1, 8192));

/// Most bytes that these queries have a device read of lineitem; with the interpreter that takes it long enough to be caught at it.
const QUERIES: [(&str, &str); 3] = [
    (
        "groups",
        "SELECT l_returnflag, count(*), sum(l_extendedprice * (1 - l_discount)) FROM lineitem
         WHERE l_quantity * l_extendedprice * (1 - l_discount) > 30 GROUP BY l_returnflag",
    ),
    (
        "rows",
        "SELECT l_orderkey, l_linenumber, l_extendedprice * (1 - l_discount) FROM lineitem
         WHERE l_quantity * l_extendedprice * (1 - l_discount) > 2500000",
    ),
    (
        "a join",
        "SELECT o_orderpriority, count(*), sum(l_tax) FROM lineitem JOIN orders ON l_orderkey = o_orderkey
         WHERE l_quantity * l_extendedprice * (1 - l_discount) > 1000000 AND o_totalprice * 2 > 1000 GROUP BY o_orderpriority",
    ),
];

/// Bytes read before the daemon is killed: at once, and later and later.
const MOMENTS: [u64; 4] = [0, 200_000, 600_000, 1_200_000];

fn slow(sql: &str) -> String {
    format!("SET nearside.interpreter = true; {sql}")
}

fn arguments<'a>(more: &[&'a str], sql: &'a str) -> Vec<&'a str> {
    [&["sql", "--format", "csv", "-c", sql], more].concat()
}

/// DataFusion's own answer.
fn expected(sql: &str) -> Outcome {
    run(arguments(&["--data", &TABLES.text(), "--offload", "never"], sql))
}

/// Runs a query, and kills the daemon when it has read so much.
fn interrupted(daemon: &mut Daemon, more: &[&str], sql: &str, bytes: u64) -> Outcome {
    let client = nearside(arguments(more, sql)).spawn().expect("nearside runs");
    daemon.freeze(bytes);
    let said = daemon.kill();
    assert!(!said.contains("panicked"), "{said}");
    finish(client)
}

/// The files are the daemon's and ours: whatever it has delivered is completed from them, nothing is lost or given twice.
#[test]
fn over_a_mapped_prefix_the_answer_is_right() {
    for (name, sql) in QUERIES {
        let expected = expected(sql);
        assert!(expected.code == Some(0) && expected.stdout.lines().count() > 1, "{name}: {expected:?}");
        for bytes in MOMENTS {
            let mut daemon = Daemon::start(TABLES.path(), &["--workers", "1"]);
            let url = daemon.url.clone();
            let more = ["--data", &TABLES.text(), "--device", &url, "--offload", "always"];
            let outcome = interrupted(&mut daemon, &more, &slow(sql), bytes);
            assert_eq!(outcome.code, Some(0), "{name} after {bytes} bytes: {}", outcome.stderr);
            assert_eq!(outcome.sorted_lines(), expected.sorted_lines(), "{name} after {bytes} bytes");
            let noted = |line: &str| line.starts_with("note: ") && line.contains(&url);
            assert!(!outcome.stderr.is_empty() && outcome.stderr.lines().all(noted), "{name}: {}", outcome.stderr);
        }
    }
}

/// The files are only the daemon's: no rows, one line, exit code 1.
#[test]
fn over_its_own_files_the_error_names_it() {
    for (name, sql) in QUERIES {
        for bytes in [MOMENTS[0], MOMENTS[3]] {
            let mut daemon = Daemon::start(TABLES.path(), &["--workers", "1"]);
            let url = daemon.url.clone();
            let outcome = interrupted(&mut daemon, &["--device", &url, "--offload", "always"], &slow(sql), bytes);
            assert_failed(name, &outcome, &url);
        }
    }
}

/// The same for a host that only reads the daemon's files.
#[test]
fn a_plain_read_that_breaks_off_names_it() {
    let mut daemon = Daemon::start(TABLES.path(), &[]);
    let url = daemon.url.clone();
    let sql = "SELECT count(DISTINCT l_comment) FROM lineitem, orders WHERE l_orderkey = o_orderkey";
    let client = nearside(arguments(&["--device", &url, "--offload", "never"], sql)).spawn().expect("nearside runs");
    let process = daemon.process();
    nearside_tests::wait_until("columns are read", || process.bytes_read() > TABLES.file_len("lineitem") / 5);
    daemon.kill();
    assert_failed("a read", &finish(client), &url);
}

fn assert_failed(name: &str, outcome: &Outcome, url: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{name}: {}", outcome.stderr);
    let said = outcome.stderr.as_str();
    let is_clear = said.starts_with(&format!("error: device {url}: ")) && said.ends_with("is nearsided running there?\n");
    assert!(is_clear && said.lines().count() == 1 && !said.contains(" error: "), "{name}: {said}");
}
