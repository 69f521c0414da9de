//! TPC-H at a small scale, generated once a test binary, and ways to ask it.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use nearside::{OffloadExec, tpch};
use tempfile::TempDir;

/// Small row groups, so that there are several; large tables in three files.
pub(crate) const SCALE: f64 = 0.01;

static DATA: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = tpch::Options { files: 3, row_group_rows: 4096, ..tpch::Options::default() };
    tpch::generate(directory.path(), SCALE, &options).expect("TPC-H tables");
    directory
});

/// Where the tables are.
pub(crate) fn data() -> &'static Path {
    DATA.path()
}

/// A plain context with the tables.
pub(crate) async fn plain(config: SessionConfig) -> SessionContext {
    let context = SessionContext::new_with_config(config);
    register(&context, &format!("file://{}", data().display())).await;
    context
}

/// A context with the tables, an embedded device over them, and a policy.
pub(crate) async fn embedded(config: SessionConfig, offload: &str) -> SessionContext {
    let context = nearside::extend(SessionContext::new_with_config(config)).expect("Nearside");
    set(&context, "nearside.devices", &format!("file://{}/=embedded", data().display())).await;
    set(&context, "nearside.offload", offload).await;
    register(&context, &format!("file://{}", data().display())).await;
    context
}

pub(crate) async fn set(context: &SessionContext, name: &str, value: &str) {
    context.sql(&format!("SET {name} = '{value}'")).await.expect("a setting");
}

pub(crate) async fn register(context: &SessionContext, location: &str) {
    for table in tpch::TABLES {
        let file = data().join(format!("{table}.parquet"));
        let place = if file.exists() { format!("{location}/{table}.parquet") } else { format!("{location}/{table}/") };
        context.register_parquet(table, place, ParquetReadOptions::default()).await.expect("a table");
    }
}

/// Plan and rows of a query.
pub(crate) async fn run(context: &SessionContext, sql: &str) -> (Arc<dyn ExecutionPlan>, Vec<RecordBatch>) {
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let plan = frame.create_physical_plan().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    (plan, rows)
}

/// The rows as text, in the order they came.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
        lines.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    lines
}

/// The rows as text, sorted.
pub(crate) fn sorted_lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = lines(batches);
    lines.sort();
    lines
}

/// A plan as `EXPLAIN` prints it.
pub(crate) fn explain(plan: &Arc<dyn ExecutionPlan>) -> String {
    datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string()
}

/// The sum of a metric of all offloaded fragments.
pub(crate) fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().filter(|_| plan.is::<OffloadExec>()).and_then(|metrics| metrics.sum_by_name(name));
    own.map_or(0, |value| value.as_usize()) + plan.children().into_iter().map(|child| metric(child, name)).sum::<usize>()
}
