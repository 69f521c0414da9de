//! A worker at its work: takes lanes, runs their morsels, sends what comes of them.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::batch::Batch;
use super::cores::Core;
use super::decode::Fetch;
use super::plan::MorselPlan;
use super::run::{Run, Tally};
use super::size::{batch_bytes, compact_views};
use super::{Halt, morsel};
use crate::Event;
use crate::columnar::Worker;
use crate::error::DeviceError;
use crate::ledger;
use crate::media::Object;
use crate::request::MorselId;

/// Fewer rows than these wait for more of their row group before they are sent.
const GATHER_ROWS: usize = BATCH_ROWS_MAX as usize / 2;

/// A result below that is never pushed back: another way to the rows costs more.
const PUSH_BACK_BYTES: u64 = 16 * 1024;

/// Where events go.
pub(super) type Events = mpsc::Sender<Result<Event, DeviceError>>;

/// One thread of an execution.
pub(super) struct LaneWorker<'r> {
    pub(super) run: &'r Run,
    pub(super) worker: Worker,
    pub(super) tally: Tally,
    /// The worker has seen rows of a lane.
    used: bool,
    core: Option<Core<'r>>,
    events: Events,
    /// What the batches on their way come from.
    morsels: Vec<MorselId>,
    /// Compressed bytes of the lane's columns, and Arrow bytes sent of them.
    eligible: u64,
    returned: u64,
    /// Rows that may still be sent.
    rows_left: Option<u64>,
    /// Rows of a projection that are not yet enough to send.
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
}

impl<'r> LaneWorker<'r> {
    pub(super) fn new(run: &'r Run, worker: Worker, events: Events) -> Self {
        // An aggregate's limit is its caller's business.
        let rows_left = run.job.options.limit.filter(|_| run.job.projects());
        Self {
            run,
            worker,
            tally: Tally::default(),
            used: false,
            core: None,
            events,
            morsels: Vec::new(),
            eligible: 0,
            returned: 0,
            rows_left,
            gathered: Vec::new(),
            gathered_rows: 0,
        }
    }

    /// Runs all morsels of a lane and sends their rows.
    pub(super) fn run_lane(&mut self, lane: &[MorselPlan]) -> Result<(), Halt> {
        if self.rows_left == Some(0) {
            return Err(Halt::Enough);
        }
        self.morsels = lane.iter().map(|morsel| morsel.id).collect();
        (self.eligible, self.returned) = (lane.iter().map(|morsel| morsel.eligible).sum(), 0);
        self.take_core();
        self.renew_worker()?;
        for plan in lane {
            // Between morsels others may have their turn.
            self.without_core(|_| ());
            let mut record = plan.record();
            let result = morsel::run(self, plan, &mut record).and_then(|()| self.send_gathered());
            self.count(Some(&mut record));
            self.tally.morsels.push(record);
            result?;
        }
        let partials = if self.run.job.projects() { None } else { self.worker.finish()? };
        partials.map_or(Ok(()), |partials| self.send_batch(partials))?;
        self.count(None);
        if !self.morsels.is_empty() {
            self.send(Event::MorselsDone(self.morsels.clone()))?;
        }
        self.check_selective()
    }

    /// Projects or aggregates a batch.
    pub(super) fn main(&mut self, batch: &Batch) -> Result<(), Halt> {
        if self.run.job.projects() {
            let batch = self.worker.project(&batch.columns, batch.rows, batch.selected.as_ref())?;
            return self.gather(batch);
        }
        self.filter_and_aggregate(&[], batch).map(|_| ())
    }

    /// Aggregates the rows of a batch that pass some conjuncts, and returns how many those are.
    pub(super) fn filter_and_aggregate(&mut self, conjuncts: &[usize], batch: &Batch) -> Result<u64, Halt> {
        let Batch { columns, rows, selected } = batch;
        let mut full = Vec::new();
        let emit = &mut |partials| full.push(partials);
        let passed = self.worker.filter_and_aggregate(conjuncts, columns, *rows, selected.as_ref(), emit)?;
        for partials in full {
            self.send_batch(partials)?;
            self.check_selective()?;
        }
        Ok(passed)
    }

    /// Sends rows when they are enough for a batch.
    fn gather(&mut self, batch: RecordBatch) -> Result<(), Halt> {
        if batch.num_rows() > 0 {
            self.gathered_rows += batch.num_rows();
            self.gathered.push(compact_views(batch));
        }
        let last = self.rows_left.is_some_and(|left| left <= self.gathered_rows as u64);
        if last || self.gathered_rows >= GATHER_ROWS { self.send_gathered() } else { Ok(()) }
    }

    fn send_gathered(&mut self) -> Result<(), Halt> {
        self.gathered_rows = 0;
        let mut gathered = std::mem::take(&mut self.gathered);
        let batch = match gathered.len() {
            0 => return Ok(()),
            1 => gathered.remove(0),
            _ => concat_batches(&self.worker.output_schema(), &gathered)
                .map_err(|error| DeviceError::Internal { reason: error.to_string() })?,
        };
        self.send_batch(batch)?;
        self.check_selective()
    }

    /// Gives up if the caller would rather read than get so much.
    fn check_selective(&self) -> Result<(), Halt> {
        let (returned, eligible) = (self.returned, self.eligible);
        match self.run.job.options.push_back && returned > eligible.max(PUSH_BACK_BYTES) {
            true => Err(DeviceError::Unselective { returned, eligible }.into()),
            false => Ok(()),
        }
    }

    /// Stops a worker whose work is of no more use.
    pub(super) fn check(&self) -> Result<(), Halt> {
        if self.events.is_closed() || self.run.has_failed() { Err(Halt::Enough) } else { Ok(()) }
    }

    /// A worker whose counts do not depend on lanes it ran before: group tables grow, and what they have grown to stays.
    fn renew_worker(&mut self) -> Result<(), Halt> {
        if std::mem::replace(&mut self.used, true) && !self.run.job.projects() {
            self.worker = self.run.job.worker()?;
        }
        Ok(())
    }

    fn count(&mut self, record: Option<&mut ledger::Morsel>) {
        let counters = self.worker.take_counters();
        self.tally.timing.bytecode_ns += counters.bytecode_ns;
        self.tally.timing.helper_ns += counters.helper_ns;
        self.tally.timing.assemble_ns += counters.assemble_ns;
        self.tally.count_blocks(&self.worker.take_blocks());
        if let Some(record) = record {
            record.calls += counters.calls;
            record.narrow_calls += counters.narrow_calls;
            record.helper_calls += counters.helper_calls;
            record.fuel += counters.fuel;
        }
    }

    fn send_batch(&mut self, batch: RecordBatch) -> Result<(), Halt> {
        let rows = batch.num_rows() as u64;
        let batch = match self.rows_left {
            Some(left) if left < rows => batch.slice(0, left as usize),
            _ => batch,
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.tally.returned_rows += batch.num_rows() as u64;
        let bytes = batch_bytes(&batch);
        self.tally.returned_bytes += bytes;
        self.returned += bytes;
        self.send(Event::Batch { morsels: self.morsels.clone(), batch })?;
        match &mut self.rows_left {
            Some(left) if *left <= rows => Err(Halt::Enough),
            Some(left) => {
                *left -= rows;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn send(&mut self, event: Event) -> Result<(), Halt> {
        match self.events.try_send(Ok(event)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Halt::Enough),
            Err(TrySendError::Full(event)) => {
                self.without_core(|lane| lane.events.blocking_send(event)).map_err(|_| Halt::Enough)
            }
        }
    }

    fn take_core(&mut self) {
        if self.core.is_none() {
            self.core = Some(self.run.job.environment.cores.enter());
        }
    }

    /// Waits without keeping others from computing.
    fn without_core<T>(&mut self, wait: impl FnOnce(&Self) -> T) -> T {
        self.core = None;
        let result = wait(self);
        self.take_core();
        result
    }
}

impl Fetch for LaneWorker<'_> {
    fn fetch(&mut self, object: &Object, ranges: &[Range<u64>]) -> Result<(Vec<Bytes>, u64), DeviceError> {
        if object.is_remote() { self.without_core(|_| object.read(ranges)) } else { object.read(ranges) }
    }
}
