//! What `nearside.offload = auto` decides, and what makes it think again.

use datafusion::prelude::{SessionConfig, SessionContext};
use nearside::tpch;
use nearside::{Account, Reason, account};
use nearside_device::DeviceError;

use crate::common;

async fn auto() -> SessionContext {
    common::embedded(SessionConfig::new().with_target_partitions(2), "auto").await
}

/// Plan as text, rows, and what devices did.
async fn ask(context: &SessionContext, sql: &str) -> (String, Vec<String>, Account) {
    let (plan, rows) = common::run(context, sql).await;
    (common::explain(&plan), common::sorted_lines(&rows), account(&plan))
}

/// A filter that everything passes is tried once: the device pushes it back, the host reads what is missing, and the next plan remembers.
#[tokio::test]
async fn unselective_filters_are_tried_once() {
    let (context, never) = (auto().await, common::embedded(SessionConfig::new(), "never").await);
    let sql = "SELECT l_shipinstruct, l_shipmode FROM lineitem WHERE l_quantity * l_quantity >= 0";
    let expected = ask(&never, sql).await.1;
    let (plan, rows) = common::run(&context, sql).await;
    assert!(common::metric(&plan, "push_backs") > 0);
    let (plan, rows, account) = (common::explain(&plan), common::sorted_lines(&rows), account(&plan));
    assert!(plan.contains("OffloadExec: device=embedded"), "{plan}");
    assert_eq!(rows, expected);
    let pushed_back = |reason: &Reason| matches!(reason, Reason::Device(DeviceError::Unselective { .. }));
    assert!(account.fallbacks.iter().any(pushed_back), "{:?}", account.fallbacks);
    let (plan, rows, account) = ask(&context, sql).await;
    assert!(plan.contains("reason=it returned"), "{plan}");
    assert_eq!(rows, expected);
    assert_eq!(account.executions, 0);
    // Another constant is another fragment.
    let (plan, rows, account) = ask(&context, &sql.replace(">= 0", "> 2499")).await;
    assert!(plan.contains("OffloadExec: device=embedded") && account.fallbacks.is_empty(), "{plan}");
    assert!(!rows.is_empty() && rows.len() < expected.len() / 10);
}

/// A scan whose dynamic filter says nothing reads raw, without asking the device.
#[tokio::test]
async fn dynamic_filters_that_say_nothing_are_no_filters() {
    let context = auto().await;
    let sql = "SELECT count(*), min(o_comment) FROM orders JOIN lineitem ON o_orderkey = l_orderkey";
    let (_, rows, account) = ask(&context, sql).await;
    assert_eq!(rows, ask(&common::embedded(SessionConfig::new(), "never").await, sql).await.1);
    let unasked = |reason: &Reason| matches!(reason, Reason::BareScan | Reason::Cost { .. });
    assert!(account.fallbacks.iter().all(unasked), "{:?}", account.fallbacks);
    assert_eq!(account.executions, 0);
}

/// The keys of a join's smaller side are a filter for the scan of the other, whose estimate before the query ran was hopeless; also if they are many, and come
/// with repetitions.
#[tokio::test]
async fn keys_of_joins_are_filters() {
    let (context, never) = (auto().await, common::embedded(SessionConfig::new(), "never").await);
    for (condition, keys_min) in
        [("p_brand = 'Brand#23' AND p_size < 10", 5), ("p_brand IN ('Brand#12', 'Brand#23', 'Brand#31')", 151)]
    {
        let sql = format!("SELECT l_extendedprice FROM lineitem JOIN part ON p_partkey = l_partkey WHERE {condition}");
        let keys = ask(&never, &format!("SELECT p_partkey FROM part WHERE {condition}")).await.1.len();
        assert!(keys >= keys_min, "{keys} keys");
        let (plan, rows, account) = ask(&context, &sql).await;
        assert_eq!(rows, ask(&never, &sql).await.1);
        assert!(account.fallbacks.is_empty(), "{:?}: {plan}", account.fallbacks);
        let rows: u64 = account.ledger.work.morsels.iter().map(|morsel| morsel.rows).sum();
        assert!(rows > 50_000, "the host read lineitem, {rows} rows the device");
    }
    let sql = tpch::query(17);
    let (_, rows, account) = ask(&context, sql).await;
    assert_eq!(rows, ask(&never, sql).await.1);
    assert!(account.fallbacks.is_empty(), "{:?}", account.fallbacks);
}

/// The queries that gain most are offloaded, the first time and later, and give nothing back.
#[tokio::test]
async fn selective_queries_are_offloaded() {
    let context = auto().await;
    for query in [1, 6, 12, 14, 15, 19] {
        for _ in 0..2 {
            let (plan, _, account) = ask(&context, tpch::query(query)).await;
            assert!(plan.contains("OffloadExec: device=embedded"), "query {query}: {plan}");
            assert!(account.executions > 0, "query {query}");
            let failed = |reason: &&Reason| matches!(reason, Reason::Device(_));
            assert_eq!(account.fallbacks.iter().find(failed), None, "query {query}");
        }
    }
}
