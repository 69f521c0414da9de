//! `EXPLAIN ANALYZE VERBOSE` counts instructions: the one thing that the optimizer rule, which sees only the inner plan, cannot know.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use crate::exec::OffloadExec;

/// The session's own planner; what it plans for `EXPLAIN ANALYZE VERBOSE` is told to count.
#[derive(Debug)]
pub(crate) struct CountingPlanner {
    inner: Arc<dyn QueryPlanner + Send + Sync>,
}

impl CountingPlanner {
    pub(crate) fn new(inner: Arc<dyn QueryPlanner + Send + Sync>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl QueryPlanner for CountingPlanner {
    async fn create_physical_plan(&self, logical: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.inner.create_physical_plan(logical, session).await?;
        match logical {
            LogicalPlan::Analyze(analyze) if analyze.verbose => counting(plan),
            _ => Ok(plan),
        }
    }
}

fn counting(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let counted = plan.transform_down(|node| match node.downcast_ref::<OffloadExec>() {
        Some(offload) => Ok(Transformed::yes(Arc::new(offload.counting()) as Arc<dyn ExecutionPlan>)),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(counted.data)
}
