//! Aggregation: batches into groups, groups into partials.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatchOptions, StringBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use nearside_engine::REGION_UNIT;
use nearside_programs::ValueType;
use nearside_programs::manifest::{Output, State, StateSource, total_order_key, total_order_key_f32};

use super::Worker;
use super::batch::{Batch, slices};
use super::bitmap;
use super::helpers::TextExtreme;
use super::layout::ACCUMULATORS;
use super::output::{self, Values};
use super::program::Entry;
use super::runner::Arguments;
use super::worker::{check_rows, wrong_end};
use crate::DeviceError;

/// Bytes of text states before the partials are emitted.
const TEXT_STATE_BYTES_MAX: usize = 64 << 20;

/// How much longer accumulators get when they are full.
const GROWTH: usize = 4;

impl Worker {
    /// Adds the selected rows (`None`: all) to their groups. Emits the partials of all groups, and forgets them, whenever there is no room for more.
    ///
    /// # Errors
    /// [`DeviceError::Trap`]; [`DeviceError::Internal`] if a column is missing.
    pub fn aggregate(
        &mut self,
        columns: &[Option<ArrayRef>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
        emit: &mut dyn FnMut(RecordBatch),
    ) -> Result<(), DeviceError> {
        self.filter_and_aggregate(&[], columns, rows, selection, emit).map(|_| ())
    }

    /// As [`Worker::select`], and then [`Worker::aggregate`] over the rows that pass; returns how many those are.
    ///
    /// # Errors
    /// As for both.
    pub fn filter_and_aggregate(
        &mut self,
        conjuncts: &[usize],
        columns: &[Option<ArrayRef>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
        emit: &mut dyn FnMut(RecordBatch),
    ) -> Result<u64, DeviceError> {
        let program = self.runner.program.clone();
        let Some(entry) = &program.main else {
            return Err(DeviceError::Internal { reason: "aggregation without main".into() });
        };
        check_rows(program.manifest(), columns, rows, selection)?;
        let mut passed = 0;
        for slice in slices(rows) {
            let selected = selection.map(|bits| bits.slice(slice.start, slice.len()));
            self.write_selection(selected.as_ref(), slice.len());
            let batch = Batch::new(columns, rows, slice);
            if let Some(both) = program.filter_main.as_ref().filter(|_| conjuncts.iter().copied().eq(0..program.selects.len())) {
                self.runner.begin_select();
                self.call_whole(both, &batch, self.runner.layout.result.address)?;
                passed += self.runner.end_select(batch.rows);
                continue;
            }
            let selected = match conjuncts.is_empty() {
                true => self.runner.selected_rows(),
                false => self.filter(&program, conjuncts, &batch)?,
            };
            if selected > 0 {
                self.aggregate_batch(entry, &batch, emit)?;
            }
            passed += selected;
        }
        Ok(passed)
    }

    /// The partials of all groups, which are then forgotten. Without group keys there is exactly one row, also over no rows; with keys none if there is
    /// no group. `None` for a projection.
    ///
    /// # Errors
    /// [`DeviceError::Trap`] if states are not what the manifest says.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>, DeviceError> {
        let is_aggregate = matches!(self.runner.program.manifest().output, Output::Aggregate { .. });
        if !is_aggregate || self.state.groups.len() == 0 {
            return Ok(None);
        }
        self.take_partials().map(Some)
    }

    /// Forgets all groups. Without keys the one group begins anew.
    pub(super) fn clear_groups(&mut self) {
        self.state.groups.clear();
        self.state.extremes.iter_mut().for_each(TextExtreme::clear);
        if self.state.groups.is_keyed() {
            return;
        }
        for index in 0..self.runner.layout.accumulators.len() {
            let place = self.runner.layout.accumulators[index];
            let initial = place.initial.to_le_bytes();
            self.runner.region_mut(ACCUMULATORS + index)[..place.width].copy_from_slice(&initial[..place.width]);
        }
    }

    fn aggregate_batch(
        &mut self,
        entry: &Entry,
        batch: &Batch<'_>,
        emit: &mut dyn FnMut(RecordBatch),
    ) -> Result<(), DeviceError> {
        let version = self.runner.load(entry, batch)?;
        let mut first = 0;
        while first < batch.rows {
            bitmap::clear_below(first, self.runner.selection_mut());
            let capacity = self.capacity();
            let arguments = Arguments { version, first, capacity, selection: self.runner.layout.selection.address };
            let returned = self.runner.call(entry, batch, &mut self.state, &arguments)?;
            let end = match returned.mapped {
                _ if !self.state.groups.is_keyed() => batch.rows,
                Some(mapped) => mapped,
                None => return Err(DeviceError::Trap { reason: "it aggregates groups, but did not call group_ids".into() }),
            };
            if returned.end != end as u64 {
                return Err(wrong_end(returned.end, end));
            }
            let texts: usize = self.state.extremes.iter().map(TextExtreme::len).sum();
            if end < batch.rows || (self.state.groups.is_keyed() && texts > TEXT_STATE_BYTES_MAX) {
                self.make_room(capacity, emit)?;
            }
            first = end;
        }
        Ok(())
    }

    /// Longer accumulators if those are what is full, else an empty table.
    fn make_room(&mut self, capacity: usize, emit: &mut dyn FnMut(RecordBatch)) -> Result<(), DeviceError> {
        let groups = self.state.groups.len();
        if groups == capacity && capacity < self.state.groups_max {
            return self.grow(capacity.saturating_mul(GROWTH));
        }
        if groups == 0 {
            // An empty table has room for any row, so this is a bug, and asking again would not end.
            return Err(DeviceError::Internal { reason: "an empty group table had no room".into() });
        }
        emit(self.take_partials()?);
        Ok(())
    }

    /// Elements that every accumulator has.
    pub(super) fn capacity(&self) -> usize {
        let capacity = self.runner.layout.capacity(|index| self.runner.region(index).len());
        capacity.min(self.state.groups_max)
    }

    pub(super) fn grow(&mut self, groups: usize) -> Result<(), DeviceError> {
        for index in 0..self.runner.layout.accumulators.len() {
            let len = groups.min(self.state.groups_max) as u64 * self.runner.layout.accumulators[index].width as u64;
            let len = len.next_multiple_of(u64::from(REGION_UNIT)) as u32;
            self.runner.grow(ACCUMULATORS + index, len)?;
        }
        Ok(())
    }

    fn take_partials(&mut self) -> Result<RecordBatch, DeviceError> {
        // One row is made faster than the clock is read.
        let begin = self.state.groups.is_keyed().then(Instant::now);
        let batch = self.partials()?;
        self.clear_groups();
        self.runner.counters.assemble_ns += begin.map_or(0, |begin| begin.elapsed().as_nanos() as u64);
        Ok(batch)
    }

    fn partials(&self) -> Result<RecordBatch, DeviceError> {
        let Output::Aggregate { keys, states, .. } = &self.runner.program.manifest().output else {
            return Err(DeviceError::Internal { reason: "partials of a projection".into() });
        };
        let types: Vec<DataType> = self.output.fields()[..keys.len()].iter().map(|field| field.data_type().clone()).collect();
        let mut arrays = self.state.groups.key_columns(&types)?;
        for state in states {
            arrays.push(self.state_column(state)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.state.groups.len()));
        RecordBatch::try_new_with_options(self.output.clone(), arrays, &options)
            .map_err(|error| DeviceError::Trap { reason: error.to_string() })
    }

    fn state_column(&self, state: &State) -> Result<ArrayRef, DeviceError> {
        let groups = self.state.groups.len();
        let mut values = Values::new(state.value_type, groups);
        match state.source {
            StateSource::Text(index) => return self.text_column(index),
            StateSource::Accumulator(index) => (0..groups).for_each(|group| values.push(self.accumulator(index, group))),
            StateSource::TotalOrderKey(index) => {
                (0..groups).for_each(|group| values.push(float_bits(state.value_type, self.accumulator(index, group))));
            }
        }
        let nulls = state.seen.map(|seen| {
            let valid = BooleanBuffer::collect_bool(groups, |group| self.accumulator(seen, group) > 0);
            NullBuffer::new(valid)
        });
        output::array(state.value_type, values, nulls)
    }

    fn text_column(&self, index: u32) -> Result<ArrayRef, DeviceError> {
        let extreme = &self.state.extremes[index as usize];
        let mut builder = StringBuilder::new();
        for group in 0..self.state.groups.len() {
            let text = extreme.text(group).map(std::str::from_utf8).transpose();
            builder.append_option(text.map_err(|error| DeviceError::Internal { reason: error.to_string() })?);
        }
        Ok(Arc::new(builder.finish()))
    }

    /// An element of an accumulator, sign-extended.
    fn accumulator(&self, index: u32, group: usize) -> i128 {
        let region = self.runner.region(ACCUMULATORS + index as usize);
        match self.runner.layout.accumulators[index as usize].width {
            16 => i128::from_le_bytes(region.as_chunks().0[group]),
            _ => i128::from(i64::from_le_bytes(region.as_chunks().0[group])),
        }
    }
}

/// The bits of the float that has this total-order key.
fn float_bits(value_type: ValueType, key: i128) -> i128 {
    match value_type {
        ValueType::Float32 => i128::from(total_order_key_f32(key as i32)),
        _ => i128::from(total_order_key(key as i64)),
    }
}
