//! One partition of an offloaded fragment, from its first poll to its last row.
//!
//! [`Run`] asks the device, hands out rows as their morsels are done, and after any failure runs the fallback for exactly the morsels that are not. Whatever stops a
//! program is never the user's error: the fallback's outcome stands.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::RecordOutput;
use futures::stream::{self, BoxStream, StreamExt};
use nearside_device::{DeviceError, Event, MorselId, ProgramDigest};

use crate::config::Offload as Policy;
use crate::conform::conform;
use crate::cost::Estimate;
use crate::delivery::Delivery;
use crate::experience::{FragmentKey, Outcome};
use crate::expression::Moment;
use crate::fallback::{files, remaining_plan, scan_config, without_dynamic_filters};
use crate::footers::known_rows;
use crate::metrics::{OffloadMetrics, SharedAccount};
use crate::offload::Offload;
use crate::program::Program;
use crate::reason::{Reason, external, innermost};
use crate::verify;

/// The execution of one partition.
pub(crate) struct Run {
    offload: Arc<Offload>,
    /// The kept subtree.
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
    metrics: OffloadMetrics,
    account: SharedAccount,
    phase: Phase,
    delivery: Delivery,
    ready: VecDeque<RecordBatch>,
    /// Rows that are still wanted.
    left: Option<usize>,
}

enum Phase {
    /// Not polled yet: what dynamic filters say is not known.
    Start,
    Device {
        program: ProgramDigest,
        fragment: FragmentKey,
        events: BoxStream<'static, Result<Event, DeviceError>>,
    },
    /// The fallback for what is missing, and the failure that made it necessary.
    Host {
        rows: SendableRecordBatchStream,
        failure: Option<DeviceError>,
    },
    Done,
}

/// The device failed, and what it alone has could not be read either.
#[derive(Debug, thiserror::Error)]
#[error("{failure}; the files are only on that device, and reading them there failed too: {child}")]
struct OnlyThere {
    failure: DeviceError,
    child: String,
}

impl Run {
    pub(crate) fn new(
        offload: Arc<Offload>,
        plan: Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
        metrics: OffloadMetrics,
        account: SharedAccount,
    ) -> Self {
        let left = offload.shape.fetch;
        let (delivery, ready) = (Delivery::default(), VecDeque::new());
        Self { offload, plan, partition, context, metrics, account, phase: Phase::Start, delivery, ready, left }
    }

    /// The rows. Nothing happens before the first poll.
    pub(crate) fn into_stream(self) -> BoxStream<'static, Result<RecordBatch>> {
        if self.offload.options.verify {
            return stream::once(self.verified()).map(|batches| stream::iter(split(batches))).flatten().boxed();
        }
        stream::try_unfold(self, async |mut run| Ok(run.next().await?.map(|batch| (batch, run)))).boxed()
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.next_batch().await?;
        match &batch {
            Some(batch) => drop(batch.record_output(&self.metrics.baseline)),
            None => self.metrics.baseline.done(),
        }
        Ok(batch)
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == Some(0) {
                self.phase = Phase::Done; // stops the device, too
                self.ready.clear();
            }
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(self.wanted(batch)));
            }
            match &mut self.phase {
                Phase::Start => self.start().await?,
                Phase::Device { events, .. } => {
                    let event = events.next().await.unwrap_or_else(|| Err(ended_early(&self.offload.connection.url)));
                    if let Err(failure) = event.and_then(|event| self.take(event)) {
                        self.give_up_device(&failure);
                        self.fall_back(Reason::Device(failure)).await?;
                    }
                }
                Phase::Host { rows, failure } => match rows.next().await {
                    None => self.phase = Phase::Done,
                    Some(Ok(batch)) => {
                        self.metrics.fallback_rows.add(batch.num_rows());
                        self.ready.push_back(batch);
                    }
                    Some(Err(error)) => return Err(blame(&self.offload, failure.take(), error)),
                },
                Phase::Done => return Ok(None),
            }
        }
    }

    /// The part of a batch that is still wanted.
    fn wanted(&mut self, batch: RecordBatch) -> RecordBatch {
        let Some(left) = &mut self.left else { return batch };
        let rows = batch.num_rows().min(*left);
        *left -= rows;
        batch.slice(0, rows)
    }

    async fn start(&mut self) -> Result<()> {
        if files(&self.plan, self.partition)?.is_empty() {
            return self.run_child(None).await; // an aggregate over nothing still has a row
        }
        match self.ask().await {
            Ok(phase) => self.phase = phase,
            Err(reason) => self.fall_back(reason).await?,
        }
        Ok(())
    }

    /// Sends the request.
    async fn ask(&mut self) -> Result<Phase, Reason> {
        let offload = &self.offload;
        let connection = &offload.connection;
        if let Some(error) = connection.health.unreachable(Instant::now()) {
            return Err(error.into());
        }
        let described = connection.capabilities().await;
        let capabilities = described.inspect_err(|error| self.note_failure(&offload.program.digest, error))?;
        let program = offload.current_program(&capabilities)?;
        if connection.health.is_quarantined(&program.digest, Instant::now()) {
            let (program, device) = (program.short_digest().to_owned(), connection.url.clone());
            return Err(Reason::Quarantined { program, device });
        }
        let scan = scan_config(&self.plan).map_err(|error| Reason::BadDevice(error.to_string()))?;
        let fragment = FragmentKey::new(&program, offload.shape.fetch, scan);
        if offload.options.offload == Policy::Auto {
            self.check_pays(&program, scan, fragment)?;
        }
        tracing::debug!(device = %connection.url, partition = self.partition, fragment = %program.fragment, "asks");
        let files = files(&self.plan, self.partition).map_err(|error| Reason::BadDevice(error.to_string()))?;
        let request = offload.request(&program, &scan.object_store_url, files)?;
        self.account.lock().executions += 1;
        let execution = connection.execute(&program.bytes, request).await.map_err(|error| offload.location.named(error));
        let execution = execution.inspect_err(|error| self.note_failure(&program.digest, error))?;
        let location = offload.location.clone();
        let events = execution.events.map(move |event| event.map_err(|error| location.named(error))).boxed();
        Ok(Phase::Device { program: program.digest.clone(), fragment, events })
    }

    /// Whether it pays with what is known by now; if all was known when the plan was made, whether it did since.
    fn check_pays(&self, program: &Program, scan: &FileScanConfig, fragment: FragmentKey) -> Result<(), Reason> {
        let Offload { shape, options, connection, .. } = &*self.offload;
        if !shape.is_late() {
            return connection.experience.of(fragment).map_or(Ok(()), Outcome::pays);
        }
        let late = shape.current_filters(options);
        Estimate { shape, program, plan: &self.plan, scan, late: &late }.pays(Moment::Run, &connection.experience)
    }

    fn take(&mut self, event: Event) -> Result<(), DeviceError> {
        match event {
            Event::Batch { morsels, batch } => self.delivery.batch(morsels, conform(&batch, &self.schema())?),
            Event::MorselsDone(morsels) => {
                let files = files(&self.plan, self.partition).unwrap_or_default();
                self.metrics.advance(known_rows(&morsels, files, &self.context));
                self.ready.extend(self.delivery.complete(morsels)?);
                Ok(())
            }
            Event::Finished(ledger) => {
                self.ready.extend(self.delivery.finish());
                self.metrics.add(&ledger);
                self.account.lock().ledger.merge(&ledger);
                if let Phase::Device { program, fragment, .. } = std::mem::replace(&mut self.phase, Phase::Done) {
                    self.offload.connection.health.succeeded(&program);
                    self.offload.connection.experience.remember(fragment, Outcome::of(&ledger.work));
                }
                Ok(())
            }
        }
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    fn give_up_device(&mut self, failure: &DeviceError) {
        if let Phase::Device { program, fragment, .. } = std::mem::replace(&mut self.phase, Phase::Done) {
            self.note_failure(&program, failure);
            if let DeviceError::Unselective { returned, eligible } = *failure {
                self.offload.connection.experience.remember(fragment, Outcome { returned, spared: eligible });
            }
        }
    }

    fn note_failure(&self, program: &ProgramDigest, failure: &DeviceError) {
        self.offload.connection.health.failed(program, failure, Instant::now());
        if let DeviceError::NotLoaded { .. } | DeviceError::Unreachable { .. } = failure {
            self.offload.connection.forget(program);
        }
    }

    /// Runs the child for what is missing.
    ///
    /// # Errors
    /// A file that is not the one the table was registered with: no answer over it would be one.
    async fn fall_back(&mut self, reason: Reason) -> Result<()> {
        tracing::debug!(device = %self.offload.connection.url, partition = self.partition, %reason, "the host runs what is missing");
        self.metrics.push_backs.add(reason.is_cost().into());
        self.account.lock().fallbacks.push(reason.clone());
        match reason {
            Reason::Device(changed @ DeviceError::Changed { .. }) => Err(external(changed)),
            Reason::Device(failure) if !failure.is_hosts_row() && !matches!(failure, DeviceError::Unselective { .. }) => {
                self.run_child(Some(failure)).await
            }
            _ => self.run_child(None).await,
        }
    }

    async fn run_child(&mut self, failure: Option<DeviceError>) -> Result<()> {
        let done: BTreeSet<MorselId> = self.delivery.abandon().clone();
        let rows = match self.child_rows(&done).await {
            Ok(rows) => rows,
            Err(error) => return Err(blame(&self.offload, failure, error)),
        };
        self.phase = Phase::Host { rows, failure };
        Ok(())
    }

    async fn child_rows(&mut self, done: &BTreeSet<MorselId>) -> Result<SendableRecordBatchStream> {
        let plan = remaining_plan(&self.plan, self.partition, done, &self.context).await?;
        plan.execute(0, Arc::clone(&self.context))
    }

    /// All rows, after comparing them with the child's.
    async fn verified(mut self) -> Result<Vec<RecordBatch>> {
        self.plan = without_dynamic_filters(&self.plan)?;
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        let child = datafusion::physical_plan::common::collect(self.child_rows(&BTreeSet::new()).await?).await?;
        verify::compare(&self.offload, &self.plan, &batches, &child, &self.context).await?;
        Ok(batches)
    }
}

fn split(batches: Result<Vec<RecordBatch>>) -> Vec<Result<RecordBatch>> {
    match batches {
        Ok(batches) => batches.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

fn ended_early(url: &str) -> DeviceError {
    DeviceError::Unreachable { url: url.to_owned(), reason: "the execution ended before it was finished".into() }
}

/// The child's error stands; where the device was the only way to the data, it says so. Of a device that is lost nothing else is to be said.
fn blame(offload: &Offload, failure: Option<DeviceError>, child: DataFusionError) -> DataFusionError {
    match failure {
        Some(failure) if !offload.location.readable_elsewhere() => match failure {
            DeviceError::Unreachable { .. } => external(failure),
            _ => {
                let child = innermost(&child).to_string().replace('\n', " ");
                external(OnlyThere { failure, child })
            }
        },
        _ => child,
    }
}
