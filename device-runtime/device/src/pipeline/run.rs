//! The threads of one execution.
//!
//! The first plans and answers the caller, then all take lanes until none is left. The last to finish sends the ledger. Whoever
//! fails sends the error, and the others stop at their next batch, as they do when nobody listens any more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream;
use nearside_programs::Parameters;
use nearside_programs::manifest::Output;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::lane::{Events, LaneWorker};
use super::plan::{self, Plan};
use super::{Cores, FooterCache, Halt, Memory, nanos_since};
use crate::columnar::{Program, Worker};
use crate::config::Config;
use crate::embedded::Admission;
use crate::error::DeviceError;
use crate::ledger::{self, Ledger, Timing, Work};
use crate::media::Medium;
use crate::request::{MorselId, ObjectSlice, Options};
use crate::{Event, Execution};

/// What all executions of a device share.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) config: Config,
    pub(crate) medium: Medium,
    pub(crate) footers: FooterCache,
    pub(crate) cores: Cores,
    pub(crate) memory: Memory,
}

/// One execution as it was asked for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) environment: Arc<Environment>,
    pub(crate) program: Arc<Program>,
    pub(crate) schema: SchemaRef,
    pub(crate) objects: Vec<ObjectSlice>,
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) options: Options,
    /// Drives requests to an object store.
    pub(crate) runtime: Handle,
    /// Held until the last thread is done.
    pub(crate) _admission: Admission,
}

impl Job {
    pub(super) fn worker(&self) -> Result<Worker, DeviceError> {
        let groups_max = usize::try_from(self.environment.config.groups_max).unwrap_or(usize::MAX);
        Worker::new(Arc::clone(&self.program), &self.schema, Arc::clone(&self.parameters), &self.options, groups_max)
    }

    /// Whether the program's rows are those of its input; an aggregate's are its groups.
    pub(super) fn projects(&self) -> bool {
        matches!(self.program.manifest().output, Output::Project(_))
    }

    /// One worker where the order of rows, or how many are enough, would otherwise depend on time.
    fn thread_count(&self, lanes: usize) -> usize {
        let sequential = self.options.ordered || (self.options.limit.is_some() && self.projects());
        if sequential { 1 } else { self.environment.config.workers.min(lanes).max(1) }
    }
}

/// A planned execution.
pub(super) struct Run {
    pub(super) job: Job,
    pub(super) plan: Plan,
    started: Instant,
    next_lane: AtomicUsize,
    /// Threads at work.
    active: AtomicUsize,
    failed: AtomicBool,
    tally: Mutex<Tally>,
}

/// What a worker adds to the ledger.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) morsels: Vec<ledger::Morsel>,
    pub(super) metadata_bytes: u64,
    pub(super) returned_bytes: u64,
    pub(super) returned_rows: u64,
    pub(super) timing: Timing,
    /// By first slot: executions, and instructions in the block.
    blocks: BTreeMap<u32, (u64, u32)>,
}

/// Starts an execution; returns when it is planned.
///
/// # Errors
/// Whatever the request, the program or an object's metadata is refused for.
pub(crate) async fn start(job: Job) -> Result<Execution, DeviceError> {
    let (answer, planned) = oneshot::channel();
    let started = Instant::now();
    spawn(move || plan_and_run(job, started, answer))?;
    planned.await.map_err(|_| DeviceError::Internal { reason: "planning panicked".into() })?
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), DeviceError> {
    let thread = thread::Builder::new().name("nearside-worker".into()).spawn(work);
    thread.map(drop).map_err(|error| DeviceError::Busy { reason: format!("no thread: {error}") })
}

fn plan_and_run(job: Job, started: Instant, answer: oneshot::Sender<Result<Execution, DeviceError>>) {
    let prepared = job.worker().and_then(|worker| Ok((worker, plan::plan(&job, &|| answer.is_closed())?)));
    let (worker, plan) = match prepared {
        Ok(prepared) => prepared,
        // Nobody to tell is as good as told.
        Err(error) => return drop(answer.send(Err(error))),
    };
    let threads = job.thread_count(plan.lanes.len());
    let (events, receiver) = mpsc::channel(job.environment.config.queued_batches.max(1) * threads);
    let execution = Execution { schema: worker.output_schema(), events: event_stream(receiver) };
    if answer.send(Ok(execution)).is_err() {
        return;
    }
    let tally = Mutex::new(Tally { metadata_bytes: plan.metadata_bytes, ..Tally::default() });
    let (next_lane, active, failed) = (AtomicUsize::new(0), AtomicUsize::new(1), AtomicBool::new(false));
    let run = Arc::new(Run { job, plan, started, next_lane, active, failed, tally });
    run.announce_pruned(&events);
    for _ in 1..threads {
        let (shared, sender) = (Arc::clone(&run), events.clone());
        run.active.fetch_add(1, Ordering::Relaxed);
        if spawn(move || shared.work(None, sender)).is_err() {
            // The threads that are there do the rest.
            run.active.fetch_sub(1, Ordering::Relaxed);
            break;
        }
    }
    run.work(Some(worker), events);
}

/// Ends after the first error or the ledger.
fn event_stream(receiver: mpsc::Receiver<Result<Event, DeviceError>>) -> stream::BoxStream<'static, Result<Event, DeviceError>> {
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        let event = receiver.recv().await;
        let event = event.unwrap_or_else(|| Err(DeviceError::Internal { reason: "the workers are gone".into() }));
        let last = matches!(event, Err(_) | Ok(Event::Finished(_)));
        Some((event, (!last).then_some(receiver)))
    })
    .boxed()
}

impl Run {
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn announce_pruned(&self, events: &Events) {
        let pruned: Vec<MorselId> = self.plan.pruned.iter().map(|morsel| morsel.id).collect();
        if !pruned.is_empty() {
            // The channel is new, so there is room; a caller that is gone is noticed soon.
            events.try_send(Ok(Event::MorselsDone(pruned))).ok();
        }
    }

    /// The whole life of one thread.
    fn work(&self, worker: Option<Worker>, events: Events) {
        let result = catch_unwind(AssertUnwindSafe(|| self.take_lanes(worker, &events)));
        let result = result.unwrap_or_else(|_| Err(DeviceError::Internal { reason: "a worker panicked".into() }));
        if let Err(error) = result
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            events.blocking_send(Err(error)).ok();
        }
        let last = self.active.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && !self.has_failed() {
            events.blocking_send(Ok(Event::Finished(Box::new(self.ledger())))).ok();
        }
    }

    fn take_lanes(&self, worker: Option<Worker>, events: &Events) -> Result<(), DeviceError> {
        let worker = worker.map_or_else(|| self.job.worker(), Ok)?;
        let mut lane_worker = LaneWorker::new(self, worker, events.clone());
        let mut result = Ok(());
        while let Some(lane) = self.plan.lanes.get(self.next_lane.fetch_add(1, Ordering::Relaxed)) {
            result = lane_worker.run_lane(lane);
            if result.is_err() {
                break;
            }
        }
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(lane_worker.tally);
        match result {
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Enough) | Ok(()) => Ok(()),
        }
    }

    fn ledger(&self) -> Ledger {
        let tally = std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner));
        let mut morsels = tally.morsels;
        morsels.extend(self.plan.pruned.iter().cloned());
        morsels.sort_by_key(|morsel| morsel.id);
        let work = Work {
            morsels,
            metadata_bytes: tally.metadata_bytes,
            returned_bytes: tally.returned_bytes,
            returned_rows: tally.returned_rows,
            blocks: tally.blocks.into_iter().map(|(slot, (executions, instructions))| (slot, executions, instructions)).collect(),
        };
        Ledger { work, timing: Timing { wall_ns: nanos_since(self.started), ..tally.timing } }
    }
}

impl Tally {
    /// Adds what [`Worker::take_blocks`] gave.
    pub(super) fn count_blocks(&mut self, blocks: &[(u32, u64, u32)]) {
        for &(slot, executions, instructions) in blocks {
            self.blocks.entry(slot).or_insert((0, instructions)).0 += executions;
        }
    }

    fn add(&mut self, other: Self) {
        for (slot, (executions, instructions)) in other.blocks {
            self.count_blocks(&[(slot, executions, instructions)]);
        }
        self.morsels.extend(other.morsels);
        self.metadata_bytes += other.metadata_bytes;
        self.returned_bytes += other.returned_bytes;
        self.returned_rows += other.returned_rows;
        self.timing.read_ns += other.timing.read_ns;
        self.timing.decode_ns += other.timing.decode_ns;
        self.timing.bytecode_ns += other.timing.bytecode_ns;
        self.timing.helper_ns += other.timing.helper_ns;
        self.timing.assemble_ns += other.timing.assemble_ns;
    }
}
