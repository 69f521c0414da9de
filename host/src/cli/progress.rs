//! A bar with rate and time left on a terminal, for what takes more than two seconds; nothing in a pipe.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::stats::Precision;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use nearside::OffloadExec;
use tokio::task::JoinHandle;
use tokio::time;

/// Nothing is shown before.
const PATIENCE: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(200);

/// A bar that goes away with this value.
pub(crate) struct Progress(Option<JoinHandle<()>>);

impl Progress {
    /// Watches the scans of a plan that runs.
    pub(crate) fn watch(plan: &Arc<dyn ExecutionPlan>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let plan = Arc::clone(plan);
        Self(Some(tokio::spawn(async move {
            time::sleep(PATIENCE).await;
            let bar = bar(total_rows(&plan));
            loop {
                bar.set_position(done_rows(&plan));
                time::sleep(INTERVAL).await;
            }
        })))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// A bar of rows on standard error; a spinner if nobody knows how many.
pub(crate) fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:40} {percent:>3} %  {human_pos} rows  {per_sec}  {left} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} rows  {per_sec}  {elapsed}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("left", left));
    bar
}

/// Time left; nobody knows it before the first rows.
fn left(state: &ProgressState, out: &mut dyn Write) {
    // The bar has no way to say that it could not be written.
    let _ = match state.pos() {
        0 => write!(out, "?"),
        _ => write!(out, "{:#}", HumanDuration(state.eta())),
    };
}

/// Rows of all scans, if their statistics are exact.
fn total_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    if plan.is::<DataSourceExec>() {
        let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).ok()?;
        return match statistics.num_rows {
            Precision::Exact(rows) | Precision::Inexact(rows) => u64::try_from(rows).ok(),
            Precision::Absent => None,
        };
    }
    plan.children().into_iter().map(total_rows).sum()
}

/// Rows that scans have given out, or devices have been through.
fn done_rows(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let metric =
        |name: &str| plan.metrics().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |value| value.as_usize() as u64);
    let here = if plan.is::<OffloadExec>() {
        metric("rows_in")
    } else if plan.is::<DataSourceExec>() {
        metric("output_rows")
    } else {
        0
    };
    here + plan.children().into_iter().map(done_rows).sum::<u64>()
}
