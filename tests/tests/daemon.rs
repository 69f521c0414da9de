//! Queries against a `nearsided` in another process: the answers are DataFusion's own, and a daemon that dies costs speed, not the answer.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use nearside::tpch;
use tempfile::TempDir;

/// Row groups are small, so that a scan has several morsels.
static DATA: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = tpch::Options { row_group_rows: 8192, ..tpch::Options::default() };
    tpch::generate(folder.path(), 0.02, &options).expect("TPC-H tables");
    folder
});

/// A daemon over the data; killed when it goes out of scope.
struct Daemon {
    process: Child,
    url: String,
}

impl Daemon {
    fn start() -> Self {
        let mut process = Command::new(binary())
            .args(["--root", &DATA.path().display().to_string(), "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("nearsided starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("one line");
        let address = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
        Self { process, url: format!("nearside://{address}") }
    }

    /// SIGKILL, and gone.
    fn kill(&mut self) {
        self.process.kill().expect("a running daemon");
        self.process.wait().expect("an exit status");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `nearsided`, beside this test's own folder: a workspace's tests build it.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    let binary = test.parent().and_then(Path::parent).expect("the profile's folder").join("nearsided");
    assert!(
        binary.is_file(),
        "{} is missing: run the whole workspace's tests, or `cargo build --release -p nearsided`",
        binary.display()
    );
    binary
}

async fn session(devices: &str, offload: &str, tables: &str) -> SessionContext {
    let context = nearside::extend(SessionContext::new()).expect("Nearside");
    for (name, value) in [("devices", devices), ("offload", offload)] {
        context.sql(&format!("SET nearside.{name} = '{value}'")).await.expect("a setting");
    }
    for table in tpch::TABLES {
        let url = format!("{tables}/{table}.parquet");
        context.register_parquet(table, url, ParquetReadOptions::default()).await.expect("a table");
    }
    context
}

/// A query's rows as sorted lines.
async fn ask(context: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let table = pretty_format_batches(&batches).map_err(|error| error.to_string())?.to_string();
    let mut lines: Vec<_> = table.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

fn folder_url() -> String {
    format!("file://{}", DATA.path().display())
}

/// All 22 queries, everything a device takes pushed to another process.
#[tokio::test(flavor = "multi_thread")]
async fn all_queries_are_equal() {
    let daemon = Daemon::start();
    let host = session("", "never", &folder_url()).await;
    let near = session("", "always", &daemon.url).await;
    for number in tpch::QUERIES {
        let sql = tpch::query(number);
        assert_eq!(ask(&near, sql).await, ask(&host, sql).await, "query {number}");
    }
}

/// Over a mapped prefix the host still reads the files itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_costs_no_answer_over_a_mapped_prefix() {
    let mut daemon = Daemon::start();
    let near = session(&format!("{}/={}", folder_url(), daemon.url), "always", &folder_url()).await;
    let alive = ask(&near, tpch::query(6)).await.expect("an answer");
    daemon.kill();
    assert_eq!(ask(&near, tpch::query(6)).await.expect("an answer without the daemon"), alive);
}

/// What only the daemon has is gone with it: the error names the daemon.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_is_named_over_its_own_files() {
    let mut daemon = Daemon::start();
    let near = session("", "always", &daemon.url).await;
    daemon.kill();
    let error = ask(&near, tpch::query(6)).await.expect_err("no data, no answer");
    assert!(error.contains(&daemon.url), "{error}");
}
