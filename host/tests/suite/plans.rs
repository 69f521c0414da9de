//! What is pushed, what stays, and how `EXPLAIN` says so.

use datafusion::prelude::{SessionConfig, SessionContext};

use crate::common;

async fn plan(context: &SessionContext, sql: &str) -> String {
    let (plan, _) = common::run(context, sql).await;
    common::explain(&plan)
}

async fn always() -> SessionContext {
    common::embedded(SessionConfig::new().with_target_partitions(2), "always").await
}

/// `never` leaves plans untouched; without a device nobody is bothered either.
#[tokio::test]
async fn never_changes_nothing() {
    let never = common::embedded(SessionConfig::new(), "never").await;
    let elsewhere = nearside::extend(SessionContext::new()).unwrap();
    common::register(&elsewhere, &format!("file://{}", common::data().display())).await;
    for context in [never, elsewhere] {
        assert!(!plan(&context, "SELECT count(*) FROM orders WHERE o_orderkey > 7").await.contains("OffloadExec"));
    }
}

/// A declined scan says why, in its place.
#[tokio::test]
async fn declined_scans_say_why() {
    let context = common::embedded(SessionConfig::new().with_target_partitions(2), "auto").await;
    let bare = plan(&context, "SELECT * FROM orders").await;
    assert!(bare.contains("OffloadExec: declined, reason=bare scan"), "{bare}");
    common::set(&context, "nearside.devices", "s3://lake/=nearside://dpu1").await;
    let elsewhere = plan(&context, "SELECT count(*) FROM orders WHERE o_orderkey > 7").await;
    assert!(elsewhere.contains("OffloadExec: declined, reason=no device for file://"), "{elsewhere}");
    common::set(&context, "nearside.devices", &format!("file://{}/=embedded", common::data().display())).await;
    common::set(&context, "nearside.deny_devices", "embedded").await;
    let denied = plan(&context, "SELECT count(*) FROM orders WHERE o_orderkey > 7").await;
    assert!(denied.contains("reason=device embedded is denied"), "{denied}");
}

/// What could not be offloaded anyway says why beside the reason for which nothing is.
#[tokio::test]
async fn declined_scans_say_what_stayed() {
    let context = common::embedded(SessionConfig::new().with_target_partitions(2), "auto").await;
    for (sql, reason) in [
        ("SELECT count(*) FROM orders WHERE arrow_cast(o_orderdate, 'Timestamp(s)') > '1970-01-02'", ": type Timestamp"),
        ("SELECT count(*) FROM orders WHERE abs(o_orderkey) > 1", ": function abs"),
        ("SELECT count(*) FROM orders GROUP BY upper(o_orderstatus)", "AggregateExec: function upper"),
    ] {
        let text = plan(&context, sql).await;
        assert!(text.contains("declined, reason=bare scan") && text.contains(", stayed=[") && text.contains(reason), "{text}");
    }
}

/// Conjuncts that no program has stay in a filter above; the others are pushed.
#[tokio::test]
async fn filters_are_split() {
    let sql = "SELECT o_orderkey FROM orders WHERE o_orderkey < 100 AND substr(o_comment, 1, 1) = 'a'";
    let text = plan(&always().await, sql).await;
    assert!(text.contains("filter=[o_orderkey@0 < 100]"), "{text}");
    assert!(text.contains("function substr"), "{text}");
    assert!(text.contains("FilterExec: substr"), "{text}");
}

/// What DataFusion cannot plan apart from the rest, it still plans: `-x` over a range with the smallest integer is an error when there is nothing
/// beside it that keeps DataFusion from looking at ranges.
#[tokio::test]
async fn errors_of_the_rule_are_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("{}/t.parquet", folder.path().display());
    for offload in ["always", "auto"] {
        let context = common::embedded(SessionConfig::new().with_target_partitions(2), offload).await;
        let rows = "(VALUES (-9223372036854775808, 3), (-6, 3), (-6, 4), (-7, 3))";
        common::run(&context, &format!("COPY (SELECT * FROM {rows} AS t(x, k)) TO '{file}'")).await;
        common::set(&context, "nearside.devices", &format!("file://{}/=embedded", folder.path().display())).await;
        let sql = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'");
        common::run(&context, &sql).await;
        let (plan, rows) = common::run(&context, "SELECT x FROM t WHERE (-x) < 7 AND x > -9 AND k IS NOT DISTINCT FROM 3").await;
        let text = common::explain(&plan);
        assert!(
            text.contains("OffloadExec: declined, reason=DataFusion cannot plan it apart: ") && text.contains("verflow"),
            "{text}"
        );
        assert_eq!(common::lines(&rows), ["-6"]);
    }
}

/// What is denied by name stays on the host.
#[tokio::test]
async fn deny_lists_are_obeyed() {
    let context = always().await;
    common::set(&context, "nearside.deny_functions", "like, avg").await;
    common::set(&context, "nearside.deny_types", "Date32").await;
    let like = plan(&context, "SELECT count(*) FROM orders WHERE o_comment LIKE '%a%'").await;
    assert!(like.contains("function like is denied"), "{like}");
    let avg = plan(&context, "SELECT avg(o_totalprice) FROM orders").await;
    assert!(avg.contains("function avg is denied"), "{avg}");
    let date = plan(&context, "SELECT count(*) FROM orders WHERE o_orderdate < date '1995-01-01'").await;
    assert!(date.contains("type Date32 is denied"), "{date}");
}

/// Aggregates without a form on devices name themselves.
#[tokio::test]
async fn refused_aggregates_are_named() {
    let context = always().await;
    for (sql, reason) in [
        ("SELECT median(o_orderkey) FROM orders", "no partial form on devices"),
        ("SELECT o_orderstatus, count(*) FROM orders GROUP BY CUBE(o_orderstatus, o_orderdate)", "grouping sets"),
        ("SELECT sum(DISTINCT o_totalprice), sum(o_totalprice), count(DISTINCT o_custkey) FROM orders", "DISTINCT"),
    ] {
        let text = plan(&context, sql).await;
        assert!(text.contains(reason), "{sql}\n{text}");
    }
}

/// Declared order survives: rows of an ordered table leave in its order.
#[tokio::test]
async fn declared_order_is_kept() {
    let context = always().await;
    let location = common::data().join("supplier.parquet");
    let create = format!(
        "CREATE EXTERNAL TABLE ordered STORED AS PARQUET WITH ORDER (s_suppkey ASC) LOCATION 'file://{}'",
        location.display()
    );
    context.sql(&create).await.unwrap().collect().await.unwrap();
    let sql = "SELECT s_suppkey FROM ordered WHERE s_acctbal > 0 ORDER BY s_suppkey";
    let (plan, given) = common::run(&context, sql).await;
    let text = common::explain(&plan);
    assert!(text.contains("ordered=true") && !text.contains("SortExec"), "{text}");
    let keys: Vec<i64> = common::lines(&given).iter().map(|line| line.parse().unwrap()).collect();
    assert!(keys.is_sorted() && !keys.is_empty());
}

/// `EXPLAIN ANALYZE` has the ledger, `VERBOSE` the program with column names and instruction counts.
#[tokio::test]
async fn analyze_shows_the_ledger() {
    let context = always().await;
    let sql = "SELECT sum(l_quantity) FROM lineitem WHERE l_shipdate < date '1994-01-01'";
    let text = common::lines(&common::run(&context, &format!("EXPLAIN ANALYZE {sql}")).await.1).join("\n");
    for metric in [
        "bytes_eligible=",
        "bytes_pruned=",
        "bytes_read=",
        "bytes_decoded=",
        "bytes_returned=",
        "rows_in=",
        "fuel=",
        "device_decode=",
    ] {
        assert!(text.contains(metric), "{metric}\n{text}");
    }
    assert!(text.contains("FallbackExec"), "{text}");
    let verbose = common::lines(&common::run(&context, &format!("EXPLAIN ANALYZE VERBOSE {sql}")).await.1).join("\n");
    for part in ["l_shipdate", "exit", "instructions executed: "] {
        assert!(verbose.contains(part), "{part}\n{verbose}");
    }
}

/// `EXPLAIN VERBOSE` says for each conjunct, and for the output, whether vector helpers or byte code do it.
#[tokio::test]
async fn verbose_shows_who_does_what() {
    let context = always().await;
    let sql = "EXPLAIN VERBOSE SELECT count(*), sum(l_quantity) FROM lineitem \
               WHERE l_shipdate < date '1994-01-01' AND l_orderkey + 1 > l_partkey AND l_comment LIKE '%a%'";
    let explain = || async { common::lines(&common::run(&context, sql).await.1).join("\n") };
    let with = explain().await;
    for part in [
        "select_0 by column_compare: l_shipdate < ",
        "select_1 by byte code: l_orderkey + ",
        "select_2 by text_like: l_comment like ",
        "main by group_count, group_sum: ",
    ] {
        assert!(with.contains(part), "{part}\n{with}");
    }
    common::set(&context, "nearside.vector_helpers", "false").await;
    let without = explain().await;
    for part in ["select_0 by byte code: l_", "select_2 by text_like: l_comment like ", "main by byte code: "] {
        assert!(without.contains(part), "{part}\n{without}");
    }
}
