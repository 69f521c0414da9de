//! An S3-compatible server on loopback: the device sits beside it, in this process or in a daemon, and the answers are DataFusion's over local files.

use std::process::Command;
use std::sync::LazyLock;

use nearside::tpch;
use nearside_tests::{Daemon, Outcome, S3, Tables, finish, nearside, run};

/// Several row groups of lineitem.
static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.02, 8192));

/// Q1 and Q6 read one table, Q14 two.
const QUERIES: [u8; 3] = [1, 6, 14];

/// A server that has the tables at `s3://lake/tpch/`.
fn server() -> S3 {
    let server = S3::start();
    let folder = server.bucket().join("tpch");
    std::fs::create_dir(&folder).expect("a folder");
    for table in ["lineitem", "part"] {
        let name = format!("{table}.parquet");
        std::fs::copy(TABLES.path().join(&name), folder.join(&name)).expect("a copy");
    }
    server
}

fn expected(number: u8) -> Outcome {
    run(["sql", "--data", &TABLES.text(), "--offload", "never", "--format", "csv", "-c", tpch::query(number)])
}

/// `nearside sql` over tables that a catalogue has given `s3://` URLs.
fn over_s3(server: &S3, device: &str, sql: &str) -> Outcome {
    let table = |name| format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION 's3://lake/tpch/{name}.parquet'; ");
    let sql = format!("{}{}{sql}", table("lineitem"), table("part"));
    let mut command = nearside(["sql", "--device", device, "--offload", "always", "--format", "csv", "-c", &sql]);
    finish(server.configure(&mut command).spawn().expect("nearside runs"))
}

fn daemon(server: &S3, root: &str) -> Daemon {
    let mut command: Command = Daemon::command(root, &[]);
    server.configure(&mut command);
    Daemon::spawn(command)
}

fn assert_equal(what: &str, number: u8, outcome: &Outcome) {
    let expected = expected(number);
    assert_eq!((outcome.code, expected.code), (Some(0), Some(0)), "{what}, query {number}: {}", outcome.stderr);
    assert_eq!(outcome.sorted_lines(), expected.sorted_lines(), "{what}, query {number}");
}

/// The device in this process, tables by plain `CREATE EXTERNAL TABLE`, nothing given back.
#[test]
fn the_embedded_device_sits_beside_a_bucket() {
    let server = server();
    let device = "s3://lake/=embedded";
    let plan = over_s3(&server, device, &format!("EXPLAIN {}", tpch::query(6)));
    assert!(plan.stdout.contains("OffloadExec: device=embedded"), "{plan:?}");
    for number in QUERIES {
        let outcome = over_s3(&server, device, tpch::query(number));
        assert_equal("embedded", number, &outcome);
        assert_eq!(outcome.stderr, "");
    }
}

/// A daemon with the bucket's folder as its root: its files are tables, also of a client that has never heard of S3.
#[test]
fn a_daemon_serves_a_bucket() {
    let server = server();
    let daemon = daemon(&server, "s3://lake/tpch");
    for number in QUERIES {
        let outcome = run(["sql", "--device", &daemon.url, "--offload", "always", "--format", "csv", "-c", tpch::query(number)]);
        assert_equal("daemon", number, &outcome);
        assert_eq!(outcome.stderr, "");
    }
}

/// A daemon and a host that both reach the bucket: the device answers for it while it lives, and the host without it.
#[test]
fn a_dead_daemon_leaves_the_bucket_reachable() {
    let server = server();
    let mut daemon = daemon(&server, "s3://lake/");
    let device = format!("s3://lake/={}", daemon.url);
    let outcome = over_s3(&server, &device, tpch::query(6));
    assert_equal("alive", 6, &outcome);
    assert_eq!(outcome.stderr, "");
    daemon.kill();
    for number in QUERIES {
        let outcome = over_s3(&server, &device, tpch::query(number));
        assert_equal("dead", number, &outcome);
        assert!(outcome.stderr.starts_with("note: device nearside://"), "{}", outcome.stderr);
    }
}

/// What is wrong with a bucket is said in one line that names it.
#[test]
fn mistakes_are_named() {
    let server = server();
    let missing = over_s3(&server, "s3://lake/=embedded", "SELECT * FROM 's3://lake/none/x.parquet'");
    assert_eq!((missing.code, missing.stderr.lines().count()), (Some(1), 1), "{missing:?}");
    assert!(missing.stderr.contains("s3://lake/none/x.parquet"), "{missing:?}");
    for (root, secret) in [("s3://nothing/tpch", None), ("s3://lake/tpch", Some("wrong"))] {
        let mut command = Daemon::command(root, &[]);
        server.configure(&mut command).envs(secret.map(|secret| ("AWS_SECRET_ACCESS_KEY", secret)));
        let outcome = finish(command.spawn().expect("nearsided runs"));
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{outcome:?}");
        assert!(outcome.stderr.starts_with(&format!("nearsided: --root {root}: ")), "{outcome:?}");
    }
}
