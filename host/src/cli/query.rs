//! One text of SQL, statement by statement.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};
use nearside::Reason;
use nearside_device::DeviceError;

use super::failure::{self, Failure};
use super::files;
use super::progress::Progress;
use super::scans;
use super::session::LeftOut;

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

    /// Says on standard error what went wrong on devices, which costs time and not the answer.
    pub(crate) fn note_failures(&self) {
        let fallbacks = nearside::account(&self.plan).fallbacks;
        let failures: BTreeSet<_> = fallbacks.iter().filter(|reason| is_failure(reason)).map(Reason::to_string).collect();
        for failure in failures {
            eprintln!("note: {failure}; the host did the rest");
        }
    }
}

/// Whether a device could not do its part; a result that is better computed here is no failure.
fn is_failure(reason: &Reason) -> bool {
    match reason {
        Reason::Device(DeviceError::Unselective { .. }) => false,
        Reason::Device(error) => !error.is_hosts_row(),
        // What a quarantine is for has been said, if it was a fault.
        other => matches!(other, Reason::BadDevice(_)),
    }
}

/// The statements of a text.
pub(crate) fn parse(sql: &str) -> Result<VecDeque<Statement>, Failure> {
    Ok(DFParser::parse_sql(sql)?)
}

/// Plans and runs one statement.
pub(crate) async fn run(context: &SessionContext, statement: Statement) -> Result<Answer, Failure> {
    let start = Instant::now();
    let frame = planned(context, statement).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = physical_plan(context, frame).await?;
    let progress = Progress::watch(&plan);
    let batches = collect(Arc::clone(&plan), task).await.map_err(|error| scans::blame(&plan, &error))?;
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

/// The plan that runs, over files that are there and can be read.
async fn physical_plan(context: &SessionContext, frame: DataFrame) -> Result<Arc<dyn ExecutionPlan>, Failure> {
    let urls = files::urls(frame.logical_plan())?;
    let plan = match frame.create_physical_plan().await {
        Ok(plan) => plan,
        Err(error) => return Err(files::blamed(&context.state(), &urls, error).await.into()),
    };
    match scans::has_empty_input(&plan) {
        true => files::gone(&context.state(), &urls).await.map_or(Ok(plan), |error| Err(error.into())),
        false => Ok(plan),
    }
}

/// The plan of a statement; one that only changes the session has done so.
async fn planned(context: &SessionContext, statement: Statement) -> Result<DataFrame, Failure> {
    let created = Created::by(&statement);
    let planned = async {
        let plan = context.state().statement_to_plan(statement).await?;
        context.execute_logical_plan(plan).await
    };
    match planned.await {
        Ok(_) if created.is_nothing(context).await => {
            context.deregister_table(created.name.as_str())?;
            Err(explained(context, created.locations, None).await)
        }
        Ok(frame) => Ok(frame),
        Err(error) => Err(explained(context, created.locations, Some(error)).await),
    }
}

/// The table that a statement makes of files, if it does.
#[derive(Default)]
struct Created {
    name: String,
    locations: Vec<String>,
}

impl Created {
    fn by(statement: &Statement) -> Self {
        match statement {
            Statement::CreateExternalTable(create) => Self { name: create.name.to_string(), locations: create.locations.clone() },
            _ => Self::default(),
        }
    }

    /// Whether it has no columns: DataFusion makes that of empty files.
    async fn is_nothing(&self, context: &SessionContext) -> bool {
        let table = context.table_provider(self.name.as_str());
        !self.locations.is_empty() && table.await.is_ok_and(|table| table.schema().fields().is_empty())
    }
}

/// The failure of a statement that could not be planned: with the file that is to blame, or the tables that there are.
async fn explained(context: &SessionContext, locations: Vec<String>, error: Option<DataFusionError>) -> Failure {
    for location in locations {
        if let Ok(url) = ListingTableUrl::parse(&location) {
            return files::explained(&context.state(), &url, error).await.into();
        }
    }
    let message = error.as_ref().map_or_else(|| "the table has no columns".to_owned(), failure::message);
    match message.strip_prefix("table 'datafusion.public.").and_then(|rest| rest.strip_suffix("' not found")) {
        Some(table) => Failure::query(no_such_table(context, table)),
        None => Failure::Query(message),
    }
}

fn no_such_table(context: &SessionContext, table: &str) -> String {
    let left_out = context.state().config().get_extension::<LeftOut>();
    if let Some(reason) = left_out.as_ref().and_then(|left_out| left_out.reason(table)) {
        return format!("table {table} is left out: {reason}");
    }
    let schema = context.catalog("datafusion").and_then(|catalog| catalog.schema("public"));
    let mut tables = schema.map(|schema| schema.table_names()).unwrap_or_default();
    tables.sort();
    if let Some(other) = tables.iter().find(|other| other.eq_ignore_ascii_case(table)) {
        return format!("there is no table {table}; there is \"{other}\", whose name must be quoted");
    }
    match tables.is_empty() {
        true => format!("there is no table {table}, nor any other: give --data, or name a file, FROM 'orders.parquet'"),
        false => format!("there is no table {table}; there are {}", tables.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What costs time because a device could not do its part is said; what does not pay there, or is a row of the host's, is not.
    #[test]
    fn failures_are_told_from_decisions() {
        let busy = DeviceError::Busy { reason: "1 executions are running".into() };
        let lost = DeviceError::Unreachable { url: "nearside://a:1".into(), reason: "refused".into() };
        assert!([busy, lost].map(Reason::Device).iter().all(is_failure));
        assert!(!is_failure(&Reason::Device(DeviceError::Unselective { returned: 2, eligible: 1 })));
        assert!(!is_failure(&Reason::BareScan));
    }
}
