//! The host's side: a plan whose offloaded fragments ask a [`NativeDevice`](super::NativeDevice).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures::{StreamExt, TryStreamExt, stream};
use nearside::{FallbackExec, OffloadExec};
use nearside_device::{Device, Event, Input, ObjectSlice, Options, Request, RowGroups};
use nearside_protocol::RemoteDevice;

/// The plan with each offloaded fragment run by `device`, and the count of executions.
pub(crate) fn offload(
    plan: Arc<dyn ExecutionPlan>,
    device: &Arc<RemoteDevice>,
) -> Result<(Arc<dyn ExecutionPlan>, Arc<AtomicU64>)> {
    let executions = Arc::new(AtomicU64::new(0));
    let replace = |node: Arc<dyn ExecutionPlan>| {
        let Some(offload) = node.downcast_ref::<OffloadExec>().filter(|offload| offload.declined_reason().is_none()) else {
            return Ok(Transformed::no(node));
        };
        let native = NativeExec { offload: offload.clone(), device: Arc::clone(device), executions: Arc::clone(&executions) };
        Ok(Transformed::new(Arc::new(native) as Arc<dyn ExecutionPlan>, true, TreeNodeRecursion::Jump))
    };
    let plan = plan.transform_down(replace).data()?;
    Ok((plan, executions))
}

/// Stands where Nearside's own node stood, and sends the same fragment, as text.
#[derive(Clone, Debug)]
struct NativeExec {
    offload: OffloadExec,
    device: Arc<RemoteDevice>,
    executions: Arc<AtomicU64>,
}

impl NativeExec {
    /// Asks on the first poll: dynamic filters have their values then.
    async fn start(self, partition: usize) -> Result<SendableRecordBatchStream> {
        let fragment = self.offload.fragment().map_err(external)?;
        let program = self.device.load(fragment.to_string().into()).await.map_err(external)?;
        let limit = self.offload.fetch().map(|rows| rows as u64);
        let request = Request {
            program,
            input: Input::Objects { schema: Arc::new(Schema::empty()), objects: self.objects(partition)? },
            parameters: Default::default(),
            options: Options { limit, ..Options::default() },
        };
        self.executions.fetch_add(1, Ordering::Relaxed);
        let execution = self.device.execute(request).await.map_err(external)?;
        let schema = self.offload.schema();
        let wanted = Arc::clone(&schema);
        let rows = execution.events.filter_map(move |event| {
            let batch = match event {
                Ok(Event::Batch { batch, .. }) => Some(conform(&batch, &wanted)),
                Ok(Event::MorselsDone(_) | Event::Finished(_)) => None,
                Err(error) => Some(Err(external(error))),
            };
            async { batch }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn objects(&self, partition: usize) -> Result<Vec<ObjectSlice>> {
        let fallback = self.offload.children().first().and_then(|child| child.downcast_ref::<FallbackExec>());
        let config = fallback.and_then(|fallback| scan(fallback.plan()));
        let group = config.as_ref().and_then(|config| config.file_groups.get(partition));
        let group = group.ok_or_else(|| internal_datafusion_err!("a fragment without files"))?;
        Ok(group
            .iter()
            .map(|file| ObjectSlice {
                path: file.path().to_string(),
                size: file.object_meta.size,
                etag: None,
                row_groups: file.range.as_ref().map_or(RowGroups::All, |range| RowGroups::Starting {
                    start: range.start.try_into().unwrap_or(0),
                    end: range.end.try_into().unwrap_or(0),
                }),
            })
            .collect())
    }
}

/// The scan at the bottom.
fn scan(plan: &Arc<dyn ExecutionPlan>) -> Option<FileScanConfig> {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        return source.data_source().downcast_ref::<FileScanConfig>().cloned();
    }
    scan(plan.children().first()?)
}

/// The same rows under the plan's names; text in the plan's layout.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl DisplayAs for NativeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NativeExec: device={}", self.device.url())
    }
}

impl ExecutionPlan for NativeExec {
    fn name(&self) -> &str {
        "NativeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.offload.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = stream::once(self.clone().start(partition)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
