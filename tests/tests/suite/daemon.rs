//! Queries against a `nearsided` in another process: the answers are DataFusion's own, and a daemon that dies costs speed, not the answer.

use std::sync::LazyLock;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use nearside::tpch;
use nearside_tests::{Daemon, Tables};

/// Row groups are small, so that a scan has several morsels.
static DATA: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.02, 8192));

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

/// All 22 queries, everything a device takes pushed to another process.
#[tokio::test(flavor = "multi_thread")]
async fn all_queries_are_equal() {
    let daemon = Daemon::start(DATA.path(), &[]);
    let host = session("", "never", &DATA.url()).await;
    let near = session("", "always", &daemon.url).await;
    for number in tpch::QUERIES {
        let sql = tpch::query(number);
        assert_eq!(ask(&near, sql).await, ask(&host, sql).await, "query {number}");
    }
}

/// Over a mapped prefix the host still reads the files itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_costs_no_answer_over_a_mapped_prefix() {
    let mut daemon = Daemon::start(DATA.path(), &[]);
    let near = session(&format!("{}/={}", DATA.url(), daemon.url), "always", &DATA.url()).await;
    let alive = ask(&near, tpch::query(6)).await.expect("an answer");
    daemon.kill();
    assert_eq!(ask(&near, tpch::query(6)).await.expect("an answer without the daemon"), alive);
}

/// What only the daemon has is gone with it: the error names the daemon.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_is_named_over_its_own_files() {
    let mut daemon = Daemon::start(DATA.path(), &[]);
    let near = session("", "always", &daemon.url).await;
    daemon.kill();
    let error = ask(&near, tpch::query(6)).await.expect_err("no data, no answer");
    assert!(error.contains(&daemon.url), "{error}");
}
