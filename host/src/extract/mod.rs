//! Recognises what a device can take of a plan.
//!
//! A [`Chain`] is a scan with the operators above it that have one input each. [`Climb`] goes up from the scan, and grows a [`Shape`] as
//! long as each operator can be part of a fragment; on the way it splits filters of which only some conjuncts can, and aggregates that DataFusion has fused. Not here: devices,
//! cost, programs.

mod aggregate;
mod climb;
mod scan;

use std::sync::Arc;

use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;

pub(crate) use climb::Climb;
pub(crate) use scan::{file_scan, file_url, parquet_scan, scan_shape};

/// A scan and the operators above it.
pub(crate) struct Chain {
    /// From the scan upwards; never empty.
    pub nodes: Vec<Arc<dyn ExecutionPlan>>,
}

impl Chain {
    /// The chain that begins with this operator, if it is one.
    pub(crate) fn from_top(top: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let mut nodes = Vec::new();
        let mut node = top;
        loop {
            nodes.push(Arc::clone(node));
            if node.is::<DataSourceExec>() {
                nodes.reverse();
                return Some(Self { nodes });
            }
            if !is_link(node) {
                return None;
            }
            node = node.children().into_iter().next()?;
        }
    }

    /// The scan.
    pub(crate) fn scan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.nodes[0]
    }
}

/// An operator that may be between a scan and the top of a fragment.
fn is_link(node: &Arc<dyn ExecutionPlan>) -> bool {
    let reads_rows = |aggregate: &AggregateExec| aggregate.mode().input_mode() == AggregateInputMode::Raw;
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<LocalLimitExec>()
        || node.is::<CooperativeExec>()
        || round_robin(node).is_some()
        || node.downcast_ref::<AggregateExec>().is_some_and(reads_rows)
}

/// The number of partitions that a round-robin repartition makes.
///
/// Which of them gets which batch is a race, so it is never part of a fragment.
pub(crate) fn round_robin(node: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    match node.downcast_ref::<RepartitionExec>()?.partitioning() {
        Partitioning::RoundRobinBatch(partitions) => Some(*partitions),
        _ => None,
    }
}

/// The same operator over another input.
pub(crate) fn over(
    node: &Arc<dyn ExecutionPlan>,
    input: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    use datafusion::physical_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
    Arc::clone(node).replace_children(vec![input], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}
