//! Which rows of a device may be used: those of morsels that it has declared complete.
//!
//! Rows wait until all morsels they come from are done, so that after any failure the host can run exactly the morsels that are not, and no row is lost or
//! given twice.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use nearside_device::{DeviceError, MorselId};

/// The account of one execution.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    done: BTreeSet<MorselId>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    morsels: Vec<MorselId>,
    batch: RecordBatch,
}

impl Delivery {
    /// Rows that come from these morsels; from none an aggregate's row over nothing, which is good when all is.
    ///
    /// # Errors
    /// If one of the morsels was done already, which no honest device does.
    pub(crate) fn batch(&mut self, morsels: Vec<MorselId>, batch: RecordBatch) -> Result<(), DeviceError> {
        if morsels.iter().any(|morsel| self.done.contains(morsel)) {
            return Err(dishonest("rows of morsels that were done"));
        }
        self.waiting.push(Waiting { morsels, batch });
        Ok(())
    }

    /// These morsels are complete: the rows that may be used now.
    ///
    /// # Errors
    /// If rows come from a morsel that is done and one that is not: if the device failed now, the former could not be run again.
    pub(crate) fn complete(&mut self, morsels: Vec<MorselId>) -> Result<Vec<RecordBatch>, DeviceError> {
        let done: BTreeSet<_> = morsels.into_iter().chain(self.done.iter().copied()).collect();
        let split = |waiting: &Waiting| {
            let finished = waiting.morsels.iter().filter(|morsel| done.contains(morsel)).count();
            finished != 0 && finished != waiting.morsels.len()
        };
        if self.waiting.iter().any(split) {
            return Err(dishonest("morsels that share rows are not done together"));
        }
        self.done = done;
        let is_done = |waiting: &Waiting| waiting.morsels.first().is_some_and(|morsel| self.done.contains(morsel));
        let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_done);
        self.waiting = waiting;
        Ok(ready.into_iter().map(|waiting: Waiting| waiting.batch).collect())
    }

    /// The execution has finished: all rows are good.
    pub(crate) fn finish(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.waiting).into_iter().map(|waiting| waiting.batch).collect()
    }

    /// The execution has failed: rows that wait are thrown away. Row groups of that object that are done.
    pub(crate) fn abandon(&mut self) -> &BTreeSet<MorselId> {
        self.waiting.clear();
        &self.done
    }
}

fn dishonest(what: &str) -> DeviceError {
    DeviceError::Internal { reason: format!("it sent {what}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;

    use super::*;

    fn morsel(row_group: u32) -> MorselId {
        MorselId { object: 0, row_group }
    }

    fn rows(value: i32) -> RecordBatch {
        RecordBatch::try_from_iter([("v", Arc::new(Int32Array::from(vec![value])) as _)]).unwrap()
    }

    fn values(batches: Vec<RecordBatch>) -> Vec<i32> {
        use arrow::array::AsArray;
        use arrow::datatypes::Int32Type;
        batches.iter().map(|batch| batch.column(0).as_primitive::<Int32Type>().value(0)).collect()
    }

    /// Rows come out once, when their morsel is done; what was not done is gone after a failure.
    #[test]
    fn rows_wait_for_their_morsels() {
        let mut delivery = Delivery::default();
        delivery.batch(vec![morsel(0)], rows(1)).unwrap();
        delivery.batch(vec![morsel(1)], rows(2)).unwrap();
        delivery.batch(vec![morsel(0)], rows(3)).unwrap();
        assert_eq!(values(delivery.complete(vec![morsel(0), morsel(2)]).unwrap()), [1, 3]);
        let done: Vec<_> = delivery.abandon().iter().copied().collect();
        assert_eq!(done, [morsel(0), morsel(2)]);
        assert!(delivery.finish().is_empty());
    }

    /// A finished execution has nothing left out: a limit ends it in the middle of a morsel.
    #[test]
    fn finishing_releases_everything() {
        let mut delivery = Delivery::default();
        delivery.batch(vec![morsel(0)], rows(1)).unwrap();
        assert_eq!(values(delivery.finish()), [1]);
    }

    /// An aggregate over nothing has a row: good once the execution has finished, whatever was done before.
    #[test]
    fn rows_of_nothing_wait_for_the_end() {
        let mut delivery = Delivery::default();
        delivery.complete(vec![morsel(0)]).unwrap();
        delivery.batch(Vec::new(), rows(1)).unwrap();
        assert!(delivery.complete(vec![morsel(1)]).unwrap().is_empty());
        assert_eq!(values(delivery.finish()), [1]);
    }

    /// Partials of several morsels are done together, or nothing could be run again exactly.
    #[test]
    fn shared_rows_are_done_together() {
        let shared = || {
            let mut delivery = Delivery::default();
            delivery.batch(vec![morsel(0), morsel(1)], rows(1)).unwrap();
            delivery
        };
        assert!(shared().complete(vec![morsel(0)]).is_err());
        assert_eq!(values(shared().complete(vec![morsel(1), morsel(0)]).unwrap()), [1]);
        let mut late = shared();
        late.complete(vec![morsel(0), morsel(1)]).unwrap();
        assert!(late.batch(vec![morsel(1)], rows(2)).is_err());
    }
}
