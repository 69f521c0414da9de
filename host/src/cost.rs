//! Whether a fragment is worth offloading: `nearside.offload = auto`.
//!
//! A first model, in bytes alone: what the device returns, as Arrow, against what the host would read, as Parquet. A fragment that neither filters nor
//! aggregates reads raw. One that ran before is judged by what it came to ([`Experience`](crate::experience)). Otherwise rows and selectivities are DataFusion's
//! own statistics, groups are bounded by the keys' ranges and distinct counts, and since such estimates are often far too high, a fragment is given the benefit
//! of the doubt: a device that finds it unselective pushes it back after a row group.
//!
//! What has its value only while the query runs, a join's keys above all, decides how much is left: a fragment with such parts is judged at its first poll.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, StatisticsArgs, StatisticsContext};
use nearside_planner::fragment::Output;

use crate::experience::{Experience, FragmentKey, Outcome};
use crate::expression::Moment;
use crate::program::Program;
use crate::reason::Reason;
use crate::selectivity::{distinct_values, share};
use crate::shape::{Shape, ShapeOutput};

/// Bytes a round trip is worth: request, program, ledger.
const ROUND_TRIP: u64 = 16 * 1024;

/// How many times too high an estimate may be.
const DOUBT: f64 = 4.0;

/// Assumed bytes of a text value whose statistics are silent.
const TEXT: f64 = 24.0;

/// What is known before anything runs.
pub(crate) struct Estimate<'a> {
    /// What is offloaded.
    pub shape: &'a Shape,
    pub program: &'a Program,
    /// The plan that computes the same.
    pub plan: &'a Arc<dyn ExecutionPlan>,
    /// The scan below it.
    pub scan: &'a FileScanConfig,
    /// What dynamic filters say.
    pub late: &'a [Arc<dyn PhysicalExpr>],
}

impl Estimate<'_> {
    /// Whether it pays, known when it is asked; the reason if not.
    pub(crate) fn pays(&self, moment: Moment, experience: &Experience) -> Result<(), Reason> {
        match moment {
            Moment::Plan if !self.shape.may_reduce() => return Err(Reason::BareScan),
            Moment::Plan if self.shape.is_late() => return Ok(()),
            Moment::Run if self.is_bare() => return Err(Reason::BareScan),
            _ => {}
        }
        let key = FragmentKey::new(self.program, self.shape.fetch, self.scan);
        experience.of(key).map_or_else(|| self.may_pay(), Outcome::pays)
    }

    /// Whether the program only hands over columns: dynamic filters may say nothing that it could use.
    fn is_bare(&self) -> bool {
        let fragment = &self.program.fragment;
        fragment.filter.is_empty() && self.shape.fetch.is_none() && matches!(fragment.output, Output::Project(_))
    }

    fn may_pay(&self) -> Result<(), Reason> {
        let (returned, spared) = (self.returned(), self.spared());
        let trip = ROUND_TRIP as f64;
        if returned + trip < spared || (returned < spared * DOUBT && spared > 2.0 * trip) {
            return Ok(());
        }
        Err(Reason::Cost { returned: returned as u64, spared: spared as u64 })
    }

    /// Arrow bytes of the result.
    fn returned(&self) -> f64 {
        let share = share(self.late, &self.scan.statistics());
        let rows = match &self.shape.output {
            ShapeOutput::Project(_) => rows(&statistics(self.plan)) * share,
            ShapeOutput::Aggregate { keys, .. } => {
                let partitions = self.plan.output_partitioning().partition_count() as f64;
                let input = self.plan.children().first().map_or(f64::INFINITY, |input| rows(&statistics(input))) * share;
                self.groups(keys, input) * partitions.min(input.max(1.0))
            }
        };
        let rows = self.shape.fetch.map_or(rows, |fetch| rows.min(fetch as f64));
        rows * self.plan.schema().fields().iter().map(|field| width(field.data_type(), None, 0.0)).sum::<f64>()
    }

    /// Groups of `input` rows by these keys. Keys of which nothing is known make together as many as the root of the rows.
    fn groups(&self, keys: &[ProjectionExpr], input: f64) -> f64 {
        let statistics = self.scan.statistics();
        let distinct = |key: &ProjectionExpr| {
            let column = key.expr.downcast_ref::<Column>()?;
            statistics.column_statistics.get(column.index()).and_then(distinct_values)
        };
        let (known, unknown): (Vec<_>, Vec<_>) = keys.iter().map(distinct).partition(Option::is_some);
        let unknown = if unknown.is_empty() { 1.0 } else { input.sqrt() };
        (known.into_iter().flatten().product::<f64>() * unknown).min(input)
    }

    /// Parquet bytes that the host would read: the files' share of the columns that the fragment uses.
    fn spared(&self) -> f64 {
        let statistics = self.scan.statistics();
        let table_rows = rows(&statistics);
        let widths = widths(&self.shape.table, &statistics, table_rows);
        let used: f64 = self.program.columns.iter().filter_map(|index| widths.get(*index)).sum();
        let files = self.scan.file_groups.iter().flat_map(|group| group.iter());
        let bytes: u64 = files.map(|file| file.effective_size()).sum();
        bytes as f64 * used / widths.iter().sum::<f64>().max(1.0)
    }
}

impl Outcome {
    /// Whether the same would pay again.
    pub(crate) fn pays(self) -> Result<(), Reason> {
        let Self { returned, spared } = self;
        if returned.saturating_add(ROUND_TRIP) < spared { Ok(()) } else { Err(Reason::Experience { returned, spared }) }
    }
}

fn statistics(plan: &Arc<dyn ExecutionPlan>) -> Statistics {
    let computed = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    computed.map_or_else(|_| Statistics::new_unknown(&plan.schema()), Arc::unwrap_or_clone)
}

/// Infinite if nobody knows.
fn rows(statistics: &Statistics) -> f64 {
    statistics.num_rows.get_value().map_or(f64::INFINITY, |rows| *rows as f64)
}

fn widths(table: &Schema, statistics: &Statistics, rows: f64) -> Vec<f64> {
    let columns = table.fields().iter().enumerate();
    columns.map(|(index, field)| width(field.data_type(), statistics.column_statistics.get(index), rows)).collect()
}

/// Bytes of a value.
fn width(data_type: &DataType, statistics: Option<&ColumnStatistics>, rows: f64) -> f64 {
    if let Some(bytes) = data_type.primitive_width() {
        return bytes as f64;
    }
    match statistics.map(|column| &column.byte_size) {
        Some(Precision::Exact(bytes) | Precision::Inexact(bytes)) if rows.is_finite() && rows > 0.0 => *bytes as f64 / rows,
        _ if *data_type == DataType::Boolean => 0.125,
        _ => TEXT,
    }
}
