//! The device's side.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use futures::stream;
use nearside_device::{
    Description, Device, DeviceError, Event, Execution, Input, MorselId, ObjectSlice, ProgramDigest, Request, RowGroups, Status,
};
use nearside_planner::Fragment;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::plan;

/// DataFusion over the files of a directory.
pub(crate) struct NativeDevice {
    root: PathBuf,
    context: SessionContext,
    fragments: Mutex<HashMap<ProgramDigest, Arc<Fragment>>>,
    plans: Mutex<HashMap<Job, Arc<dyn ExecutionPlan>>>,
}

/// What a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Job {
    fragment: ProgramDigest,
    file: String,
    limit: Option<usize>,
}

impl std::fmt::Debug for NativeDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeDevice").field("root", &self.root).finish_non_exhaustive()
    }
}

impl NativeDevice {
    /// One partition: it has one core.
    pub(crate) fn new(root: &Path, pushdown_filters: bool) -> Self {
        let parquet = "datafusion.execution.parquet.pushdown_filters";
        let config = SessionConfig::new().with_target_partitions(1).set_bool(parquet, pushdown_filters);
        Self {
            root: root.to_owned(),
            context: SessionContext::new_with_config(config),
            fragments: Mutex::default(),
            plans: Mutex::default(),
        }
    }

    async fn plan(&self, job: Job) -> Result<Arc<dyn ExecutionPlan>, DeviceError> {
        if let Some(plan) = locked(&self.plans).get(&job) {
            return reset_plan_states(Arc::clone(plan)).map_err(internal);
        }
        let fragment = locked(&self.fragments).get(&job.fragment).cloned();
        let fragment = fragment.ok_or_else(|| DeviceError::NotLoaded { digest: job.fragment.to_string() })?;
        let plan = plan::plan(&self.context, &fragment, &self.root.join(&job.file), job.limit).await.map_err(internal)?;
        locked(&self.plans).insert(job, Arc::clone(&plan));
        Ok(plan)
    }
}

#[async_trait]
impl Device for NativeDevice {
    async fn describe(&self) -> Result<Description, DeviceError> {
        Ok(Description {
            name: "DataFusion".to_owned(),
            protocol_version: 0,
            columnar_abi: 0,
            helpers: Vec::new(),
            workers: 1,
            groups_max: u64::MAX,
            object_bytes_max: u64::MAX,
        })
    }

    /// Nothing that is counted.
    async fn status(&self) -> Result<Status, DeviceError> {
        Ok(Status::default())
    }

    /// A fragment's text.
    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        let bad = |reason: String| DeviceError::BadProgram { reason };
        let text = std::str::from_utf8(&object).map_err(|error| bad(error.to_string()))?;
        let fragment = text.parse().map_err(|error: nearside_planner::ParseError| bad(error.to_string()))?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = ProgramDigest(format!("{:016x}", hasher.finish()));
        locked(&self.fragments).insert(digest.clone(), Arc::new(fragment));
        Ok(digest)
    }

    async fn activate(&self, _: &ProgramDigest) -> Result<(), DeviceError> {
        Ok(())
    }

    async fn deactivate(&self, _: &ProgramDigest) -> Result<(), DeviceError> {
        Ok(())
    }

    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        locked(&self.fragments).remove(program);
        locked(&self.plans).retain(|job, _| job.fragment != *program);
        Ok(())
    }

    async fn execute(&self, request: Request) -> Result<Execution, DeviceError> {
        let Input::Objects { objects, .. } = request.input;
        let limit = request.options.limit.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        let plan = self.plan(Job { fragment: request.program, file: whole_file(objects)?, limit }).await?;
        let rows = execute_stream(plan, self.context.task_ctx()).map_err(internal)?;
        Ok(Execution { schema: rows.schema(), events: events(rows) })
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        // Reads of whole tables go to `nearsided`, as in every other arm.
        Arc::new(LocalFileSystem::new())
    }
}

/// All rows, as one morsel, which nobody falls back from.
fn events(rows: SendableRecordBatchStream) -> stream::BoxStream<'static, Result<Event, DeviceError>> {
    let morsel = MorselId { object: 0, row_group: 0 };
    let batches = rows.map(move |batch| Ok(Event::Batch { morsels: vec![morsel], batch: batch.map_err(internal)? }));
    batches.chain(stream::once(async { Ok(Event::Finished(Box::default())) })).boxed()
}

/// The benches' hosts have one partition, and their tables one file each.
fn whole_file(objects: Vec<ObjectSlice>) -> Result<String, DeviceError> {
    match <[ObjectSlice; 1]>::try_from(objects) {
        Ok([slice]) if is_whole(&slice) => Ok(slice.path),
        _ => Err(DeviceError::BadRequest { reason: "a part of a file, or several".to_owned() }),
    }
}

fn is_whole(slice: &ObjectSlice) -> bool {
    match slice.row_groups {
        RowGroups::All => true,
        RowGroups::Starting { start, end } => start == 0 && end >= slice.size,
        RowGroups::Only(_) => false,
    }
}

fn internal(error: DataFusionError) -> DeviceError {
    DeviceError::Internal { reason: error.strip_backtrace() }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
