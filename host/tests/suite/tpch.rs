//! All 22 queries give DataFusion's own answer when everything a device can take goes to an embedded one.

use datafusion::prelude::SessionConfig;
use nearside::tpch as benchmark;

use crate::common;

/// Queries that must have an offloaded fragment.
const OFFLOADED: [u8; 16] = [1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 17, 19, 20, 21];

async fn check(config: &SessionConfig, queries: impl IntoIterator<Item = u8>) {
    let plain = common::plain(config.clone()).await;
    let embedded = common::embedded(config.clone(), "always").await;
    for number in queries {
        let (_, expected) = common::run(&plain, benchmark::query(number)).await;
        let (plan, given) = common::run(&embedded, benchmark::query(number)).await;
        let explain = common::explain(&plan);
        assert_eq!(common::sorted_lines(&given), common::sorted_lines(&expected), "Q{number}\n{explain}");
        let account = nearside::account(&plan);
        assert_eq!(account.fallbacks, [], "Q{number}\n{explain}");
        assert!(account.executions > 0 || !OFFLOADED.contains(&number), "Q{number} has nothing offloaded\n{explain}");
    }
}

/// The straight path: a filter and an ungrouped aggregate.
#[tokio::test]
async fn q6_is_equal() {
    check(&SessionConfig::new().with_target_partitions(2), [6]).await;
}

/// Groups, averages, decimals.
#[tokio::test]
async fn q1_is_equal() {
    check(&SessionConfig::new().with_target_partitions(2), [1]).await;
}

/// All of them, as DataFusion plans them by default.
#[tokio::test]
async fn all_queries_are_equal() {
    check(&SessionConfig::new().with_target_partitions(2), benchmark::QUERIES).await;
}

/// One partition: aggregates are fused, and split again.
#[tokio::test]
async fn all_queries_are_equal_in_one_partition() {
    check(&SessionConfig::new().with_target_partitions(1), benchmark::QUERIES).await;
}

/// Predicates inside of the scan, byte ranges instead of files, batches of odd sizes.
#[tokio::test]
async fn all_queries_are_equal_with_pushed_filters() {
    let mut config = SessionConfig::new().with_target_partitions(4).with_batch_size(1000).with_repartition_file_min_size(1);
    config.options_mut().execution.parquet.pushdown_filters = true;
    check(&config, benchmark::QUERIES).await;
}

/// All queries with some settings, one embedded device against plain DataFusion.
async fn check_with(settings: &[(&str, &str)]) {
    let config = SessionConfig::new().with_target_partitions(2);
    let plain = common::plain(config.clone()).await;
    let embedded = common::embedded(config, "always").await;
    for (name, value) in settings {
        common::set(&embedded, name, value).await;
    }
    for number in benchmark::QUERIES {
        let (_, expected) = common::run(&plain, benchmark::query(number)).await;
        let (plan, given) = common::run(&embedded, benchmark::query(number)).await;
        let explain = common::explain(&plan);
        assert_eq!(common::sorted_lines(&given), common::sorted_lines(&expected), "Q{number} {settings:?}\n{explain}");
        assert_eq!(nearside::account(&plan).fallbacks, [], "Q{number} {settings:?}\n{explain}");
    }
}

/// The interpreter gives the same.
#[tokio::test]
async fn all_queries_are_equal_in_the_interpreter() {
    check_with(&[("nearside.interpreter", "true")]).await;
}

/// Byte code alone gives what vector helpers give, for every query.
#[tokio::test]
async fn all_queries_are_equal_without_vector_helpers() {
    check_with(&[("nearside.vector_helpers", "false")]).await;
}

/// Byte code alone in the interpreter, too.
#[tokio::test]
async fn all_queries_are_equal_without_vector_helpers_in_the_interpreter() {
    check_with(&[("nearside.vector_helpers", "false"), ("nearside.interpreter", "true")]).await;
}

/// `verify` finds nothing, and the policy that people use by default gives the same as well.
#[tokio::test]
async fn auto_and_verify_are_equal() {
    let config = SessionConfig::new().with_target_partitions(2);
    let plain = common::plain(config.clone()).await;
    let auto = common::embedded(config, "auto").await;
    common::set(&auto, "nearside.verify", "true").await;
    for number in benchmark::QUERIES {
        let (_, expected) = common::run(&plain, benchmark::query(number)).await;
        let (plan, given) = common::run(&auto, benchmark::query(number)).await;
        assert_eq!(common::sorted_lines(&given), common::sorted_lines(&expected), "Q{number}\n{}", common::explain(&plan));
    }
}
