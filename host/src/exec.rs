//! The plan node of an offloaded fragment, and of a scan that stays on the host.
//!
//! [`OffloadExec`] keeps the subtree it stands for as its child: the child is the fallback, the statistics, the consumer of dynamic filters, and what lets others
//! slice partitions. Partition *p* yields exactly the rows of partition *p* of the child.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};
use nearside_planner::Fragment;

use crate::explain;
use crate::fallback_exec::FallbackExec;
use crate::metrics::{Account, OffloadMetrics, SharedAccount};
use crate::offload::{Offload, Stayed};
use crate::reason::Reason;
use crate::run::Run;

/// A fragment that a device runs, or a scan of which a device runs nothing.
#[derive(Clone, Debug)]
pub struct OffloadExec {
    decision: Decision,
    child: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    account: SharedAccount,
}

#[derive(Clone, Debug)]
enum Decision {
    /// The child is a [`FallbackExec`].
    Offload(Arc<Offload>),
    /// The child runs.
    Declined(Reason, Vec<Stayed>),
}

impl OffloadExec {
    /// `offload` computes what `plan` does.
    pub(crate) fn new(offload: Offload, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::with_decision(Decision::Offload(Arc::new(offload)), Arc::new(FallbackExec::new(plan)))
    }

    /// `plan` runs on the host, for that reason; `stayed` could not have been offloaded in any case.
    pub(crate) fn declined(reason: Reason, stayed: Vec<Stayed>, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::with_decision(Decision::Declined(reason, stayed), plan)
    }

    fn with_decision(decision: Decision, child: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::clone(child.properties())
            .with_scheduling_type(SchedulingType::Cooperative)
            .with_emission_type(EmissionType::Incremental);
        Self {
            decision,
            child,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            account: SharedAccount::default(),
        }
    }

    /// The same, with instructions counted.
    pub(crate) fn counting(&self) -> Self {
        let decision = match &self.decision {
            Decision::Offload(offload) => {
                Decision::Offload(Arc::new(Offload { count_instructions: true, ..Offload::clone(offload) }))
            }
            declined @ Decision::Declined(..) => declined.clone(),
        };
        Self::with_decision(decision, Arc::clone(&self.child))
    }

    /// Why nothing was offloaded; `None` if something was.
    pub fn declined_reason(&self) -> Option<&Reason> {
        match &self.decision {
            Decision::Offload(_) => None,
            Decision::Declined(reason, _) => Some(reason),
        }
    }

    /// What the executions came to so far.
    pub fn account(&self) -> Account {
        self.account.lock().clone()
    }

    /// The offloaded fragment, with what is known by now of dynamic filters and scalar subqueries: for devices that are no eBPF machines.
    ///
    /// # Errors
    /// Why there is none: it was declined, or no program can be made of what is known by now.
    pub fn fragment(&self) -> std::result::Result<Fragment, Reason> {
        match &self.decision {
            Decision::Offload(offload) => Ok(offload.current_program(&offload.capabilities)?.fragment.clone()),
            Decision::Declined(reason, _) => Err(reason.clone()),
        }
    }

    /// The offloaded program as an ELF object; `None` if nothing was offloaded.
    pub fn object(&self) -> Option<&nearside_programs::Object> {
        match &self.decision {
            Decision::Offload(offload) => Some(&offload.program.object),
            Decision::Declined(..) => None,
        }
    }
}

impl DisplayAs for OffloadExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.decision, format) {
            (Decision::Offload(offload), DisplayFormatType::TreeRender) => explain::tree(offload, f),
            (Decision::Declined(reason, stayed), DisplayFormatType::TreeRender) => explain::declined_tree(reason, stayed, f),
            (Decision::Offload(offload), format) => {
                explain::line(offload, f)?;
                match format {
                    DisplayFormatType::Verbose => explain::disassembly(offload, &self.account.lock().ledger.work, f),
                    _ => Ok(()),
                }
            }
            (Decision::Declined(reason, stayed), _) => explain::declined(reason, stayed, f),
        }
    }
}

impl ExecutionPlan for OffloadExec {
    fn name(&self) -> &str {
        "OffloadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.child]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue) // all are the child's
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(child), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("OffloadExec has one child");
        };
        let decision = match &self.decision {
            Decision::Offload(offload) => match child.downcast_ref::<FallbackExec>() {
                Some(fallback) if offload.stands_for(fallback.plan()) => Decision::Offload(Arc::clone(offload)),
                _ => Decision::Declined(Reason::Replanned, Vec::new()),
            },
            declined @ Decision::Declined(..) => declined.clone(),
        };
        Ok(Arc::new(Self::with_decision(decision, child)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (Decision::Offload(offload), Some(fallback)) = (&self.decision, self.child.downcast_ref::<FallbackExec>()) else {
            return self.child.execute(partition, context);
        };
        let metrics = OffloadMetrics::new(&self.metrics, partition);
        let run = Run::new(Arc::clone(offload), Arc::clone(fallback.plan()), partition, context, metrics, self.account.clone());
        let schema: SchemaRef = self.schema();
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, run.into_stream()))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        match self.decision {
            Decision::Offload(_) => Some(self.metrics.clone_inner()),
            Decision::Declined(..) => None,
        }
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn fetch(&self) -> Option<usize> {
        self.child.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
