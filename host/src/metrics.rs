//! The ledger as DataFusion's metrics, for `EXPLAIN ANALYZE`; and as itself, for programs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use nearside_device::Ledger;
use nearside_device::ledger::Morsel;

use crate::exec::OffloadExec;
use crate::reason::Reason;

/// What the executions of one offloaded fragment came to.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Sum over partitions. Morsels are numbered within their partition.
    pub ledger: Ledger,
    /// Why the host did what was a device's, in the order it happened: what did not pay, and what failed.
    pub fallbacks: Vec<Reason>,
    /// Bytes of all programs and parameters that were sent, and parameter updates: not counted here; see the protocol's socket counters.
    pub executions: u64,
}

impl Account {
    fn merge(&mut self, other: &Self) {
        self.ledger.merge(&other.ledger);
        self.fallbacks.extend(other.fallbacks.iter().cloned());
        self.executions += other.executions;
    }
}

/// The sum of all accounts in a plan that has run.
pub fn account(plan: &Arc<dyn ExecutionPlan>) -> Account {
    let mut sum = Account::default();
    add_accounts(plan, &mut sum);
    sum
}

fn add_accounts(plan: &Arc<dyn ExecutionPlan>, sum: &mut Account) {
    if let Some(offload) = plan.downcast_ref::<OffloadExec>() {
        sum.merge(&offload.account());
    }
    plan.children().into_iter().for_each(|child| add_accounts(child, sum));
}

/// An account that several partitions write.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedAccount(Arc<Mutex<Account>>);

impl SharedAccount {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count of a morsel.
type OfMorsel = fn(&Morsel) -> u64;

/// A measurement of an execution.
type OfTiming = fn(&nearside_device::ledger::Timing) -> u64;

/// The metrics of one partition.
#[derive(Clone)]
pub(crate) struct OffloadMetrics {
    pub baseline: BaselineMetrics,
    /// Executions that did not begin, or ended early, because they do not pay: failures do not count.
    pub push_backs: Count,
    /// Rows of the fragment's result that the host computed instead, for whatever reason.
    pub fallback_rows: Count,
    rows_in: Count,
    /// Of [`Self::rows_in`], those of the execution that runs now.
    rows_ahead: u64,
    counts: Vec<(Count, OfMorsel)>,
    returned_bytes: Count,
    returned_rows: Count,
    metadata_bytes: Count,
    morsels: Count,
    times: Vec<(Time, OfTiming)>,
}

/// Counts by morsel, by the name `EXPLAIN ANALYZE` gives them.
const COUNTS: [(&str, OfMorsel); 8] = [
    ("bytes_eligible", |morsel| morsel.bytes_eligible),
    ("bytes_pruned", |morsel| morsel.bytes_pruned),
    ("bytes_read", |morsel| morsel.bytes_read),
    ("bytes_decoded", |morsel| morsel.bytes_decoded),
    ("rows_considered", |morsel| morsel.rows_considered),
    ("rows_selected", |morsel| morsel.rows_selected),
    ("fuel", |morsel| morsel.fuel),
    ("helper_calls", |morsel| morsel.helper_calls),
];

/// Device time, summed over its workers.
const TIMES: [(&str, OfTiming); 5] = [
    ("device_read", |timing| timing.read_ns),
    ("device_decode", |timing| timing.decode_ns),
    ("device_bytecode", |timing| timing.bytecode_ns),
    ("device_helpers", |timing| timing.helper_ns),
    ("device_assemble", |timing| timing.assemble_ns),
];

impl OffloadMetrics {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            baseline: BaselineMetrics::new(metrics, partition),
            push_backs: counter("push_backs"),
            fallback_rows: counter("fallback_rows"),
            rows_in: counter("rows_in"),
            rows_ahead: 0,
            counts: COUNTS.iter().map(|(name, of)| (counter(name), *of)).collect(),
            returned_bytes: counter("bytes_returned"),
            returned_rows: counter("rows_returned"),
            metadata_bytes: counter("metadata_bytes"),
            morsels: counter("morsels"),
            times: TIMES.iter().map(|(name, of)| (MetricBuilder::new(metrics).subset_time(*name, partition), *of)).collect(),
        }
    }

    /// Rows of morsels that are done, before the ledger says so: for who watches.
    pub(crate) fn advance(&mut self, rows: u64) {
        self.rows_ahead += rows;
        self.rows_in.add(size(rows));
    }

    pub(crate) fn add(&mut self, ledger: &Ledger) {
        let rows: u64 = ledger.work.morsels.iter().map(|morsel| morsel.rows).sum();
        self.rows_in.add(size(rows.saturating_sub(std::mem::take(&mut self.rows_ahead))));
        for (count, of) in &self.counts {
            count.add(size(ledger.work.morsels.iter().map(of).sum()));
        }
        self.returned_bytes.add(size(ledger.work.returned_bytes));
        self.returned_rows.add(size(ledger.work.returned_rows));
        self.metadata_bytes.add(size(ledger.work.metadata_bytes));
        self.morsels.add(ledger.work.morsels.len());
        for (time, of) in &self.times {
            time.add_duration(Duration::from_nanos(of(&ledger.timing)));
        }
    }
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
