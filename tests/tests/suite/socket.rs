//! What goes over the socket for a query whose tables are registered, counted at the socket itself.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use nearside::tpch;
use nearside_protocol::RemoteDevice;
use nearside_tests::{Daemon, Tables, run};
use serde_json::Value;

/// What an offloaded aggregate over a table of any size may move.
const BOUND: u64 = 64 << 10;

/// As many row groups as TPC-H's lineitem has at scale 1 with the row groups of `nearside tpch generate`.
const ROW_GROUP_ROWS: usize = 26_000;

fn tables() -> Tables {
    Tables::generate(0.1, ROW_GROUP_ROWS)
}

/// A session whose connection we can look at, its tables registered.
async fn session(daemon: &Daemon) -> (SessionContext, Arc<RemoteDevice>) {
    let device = RemoteDevice::connect(&daemon.url).expect("a URL");
    let own = [(daemon.url.parse().expect("a device"), Arc::clone(&device) as _)];
    let context = nearside::extend_with(SessionContext::new(), own).expect("Nearside");
    for setting in ["nearside.offload = 'always'", "nearside.compress = 'false'"] {
        context.sql(&format!("SET {setting}")).await.expect("a setting");
    }
    for table in tpch::TABLES {
        let url = format!("{}/{table}.parquet", daemon.url);
        context.register_parquet(table, url, ParquetReadOptions::default()).await.expect("a table");
    }
    (context, device)
}

fn moved(device: &RemoteDevice) -> u64 {
    let bytes = device.socket_bytes();
    bytes.sent + bytes.received
}

/// Plans and runs a query: the plan, and the bytes both took.
async fn measure(context: &SessionContext, device: &RemoteDevice, sql: &str) -> (Arc<dyn ExecutionPlan>, u64) {
    let before = moved(device);
    let frame = context.sql(sql).await.expect("a query");
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.expect("a plan");
    collect(Arc::clone(&plan), task).await.expect("an answer");
    (plan, moved(device) - before)
}

/// Q1 and Q6 scan 600,000 rows: less than 64 KiB moves, planning and the first load of the program included.
#[tokio::test(flavor = "multi_thread")]
async fn aggregates_move_little() {
    let tables = tables();
    let daemon = Daemon::start(tables.path(), &[]);
    let (context, device) = session(&daemon).await;
    let registered = moved(&device);
    println!("registering the tables moved {registered} bytes");
    for number in [1, 6, 1, 6] {
        let (plan, bytes) = measure(&context, &device, tpch::query(number)).await;
        let account = nearside::account(&plan);
        println!("query {number}: {bytes} bytes over the socket, {} of them results", account.ledger.work.returned_bytes);
        assert!(account.executions > 0 && account.fallbacks.is_empty(), "query {number}: {account:?}");
        assert!(bytes < BOUND, "query {number} moved {bytes} bytes");
        assert!(bytes > account.ledger.work.returned_bytes, "query {number}: the ledger says more than the socket");
    }
}

/// Socket and ledger agree within framing, where results are most of what moves: 1 % and 64 KiB are left for requests, schemas, padding, marks and HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn socket_and_ledger_agree() {
    let tables = tables();
    let daemon = Daemon::start(tables.path(), &[]);
    let (context, device) = session(&daemon).await;
    let sql = "SELECT l_orderkey, l_partkey, l_extendedprice FROM lineitem WHERE l_quantity < 40";
    measure(&context, &device, sql).await;
    let (plan, bytes) = measure(&context, &device, sql).await;
    let returned = nearside::account(&plan).ledger.work.returned_bytes;
    assert!(returned > 10 << 20, "{returned} bytes are too few to tell");
    let framing = bytes.checked_sub(returned).expect("the ledger says no more than the socket");
    assert!(framing < returned / 100 + BOUND, "{bytes} bytes over the socket, {returned} by the ledger");
}

/// `nearside tpch run` shows the same: what registering moved, and a column for each query.
#[test]
fn the_command_shows_the_socket() {
    let tables = tables();
    let daemon = Daemon::start(tables.path(), &[]);
    let json = tables.path().join("figures.json");
    let json = json.to_str().expect("UTF-8");
    let shown = run(["tpch", "run", "--device", &daemon.url, "--queries", "1,6", "--verify", "--json", json]);
    assert_eq!((shown.code, shown.stdout.lines().count()), (Some(0), 3), "{shown:?}");
    assert!(shown.stderr.contains("registering the tables moved ") && shown.stderr.contains(" over the socket"), "{shown:?}");
    assert!(shown.stdout.lines().next().is_some_and(|header| header.contains("socket")), "{shown:?}");
    let figures: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(json).expect("figures")).expect("JSON");
    for figures in &figures {
        let (socket, returned) = (figures["bytes_socket"].as_u64(), figures["bytes_returned"].as_u64());
        assert!(socket > returned && socket < Some(BOUND) && figures["verified"] == true, "{figures}");
    }
}
