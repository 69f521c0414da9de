//! One text of SQL, statement by statement.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};

use super::failure::Failure;
use super::progress::Progress;

/// A statement's result.
pub(crate) struct Answer {
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// Its rows.
    pub(crate) batches: Vec<RecordBatch>,
    /// The plan that has run, with its metrics.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// Planning and running.
    pub(crate) elapsed: Duration,
}

impl Answer {
    /// Rows.
    pub(crate) fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The statements of a text.
pub(crate) fn parse(sql: &str) -> Result<VecDeque<Statement>, Failure> {
    Ok(DFParser::parse_sql(sql)?)
}

/// Plans and runs one statement.
pub(crate) async fn run(context: &SessionContext, statement: Statement) -> Result<Answer, Failure> {
    let start = Instant::now();
    let plan = context.state().statement_to_plan(statement).await?;
    let frame = context.execute_logical_plan(plan).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    let progress = Progress::watch(&plan);
    let batches = collect(Arc::clone(&plan), task).await?;
    drop(progress);
    Ok(Answer { schema: plan.schema(), batches, plan, elapsed: start.elapsed() })
}

/// Runs a text of exactly one statement.
pub(crate) async fn run_one(context: &SessionContext, sql: &str) -> Result<Answer, Failure> {
    let mut statements = parse(sql)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => run(context, statement).await,
        _ => Err(Failure::usage("exactly one statement is wanted here")),
    }
}
