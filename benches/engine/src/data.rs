//! A step's memory: header, constants, output, columns, all in one [`Arena`], and the same columns as record batches.
//!
//! ```text
//!  0  rows, 8 bytes
//!  8  5 × offset of a column, 8 bytes each
//! 48  offset of the constants
//! 56  offset of the output
//! ```
//! Offsets are from the header. A program gets its address in r1. A cage has the same for one batch at a time.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::arena::Arena;
use crate::columns::Column;
use crate::steps::{Output, Step};

/// Bytes of the header.
const HEADER_LEN: usize = 64;
/// Where the offsets of constants and output are, in words.
const CONSTANTS: usize = 6;
const OUTPUT: usize = 7;
/// Arrays begin at cache lines, and not all at the same place of a page: copies would evict each other.
const STAGGER: usize = 128;

/// Bytes of each column that are fetched ahead: once some of a page are, the processor goes on by itself.
const FETCHED_LEN: usize = 1024;

/// Bytes that stay in the first-level cache while as many are read to be copied: columns in the second-level cache are read from there.
const COPIED_LEN_MAX: usize = 16 << 10;

/// The same of columns from memory: about as many are on their way while a program works on those before.
const COPIED_FROM_MEMORY_LEN_MAX: usize = 4 << 10;

/// No second-level cache has so many bytes to spare.
const IN_MEMORY_LEN: usize = 16 << 20;

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Range<usize>>,
    pub(crate) constants: Range<usize>,
    pub(crate) output: Range<usize>,
    pub(crate) len: usize,
}

impl Places {
    /// Lays out so many rows.
    pub(crate) fn new(step: &Step, rows: usize) -> Self {
        let mut used = HEADER_LEN;
        let mut take = |len: usize| {
            let start = used;
            used = (start + len).next_multiple_of(64) + STAGGER;
            start..start + len
        };
        let constants = take(step.constants.len());
        let output = take(step.output.len(rows));
        let columns = step.columns.iter().map(|column| take(column.width() * rows)).collect();
        Self { rows, columns, constants, output, len: used }
    }

    /// Writes header and constants for as many rows as these or fewer, and clears the output.
    pub(crate) fn begin(&self, step: &Step, memory: &mut [u8]) {
        self.set_rows(self.rows, memory);
        let mut word = |index: usize, value: usize| memory[8 * index..][..8].copy_from_slice(&(value as u64).to_le_bytes());
        for (index, column) in self.columns.iter().enumerate() {
            word(1 + index, column.start);
        }
        word(CONSTANTS, self.constants.start);
        word(OUTPUT, self.output.start);
        memory[self.constants.clone()].copy_from_slice(&step.constants);
        self.clear(memory);
    }

    pub(crate) fn set_rows(&self, rows: usize, memory: &mut [u8]) {
        memory[..8].copy_from_slice(&(rows as u64).to_le_bytes());
    }

    pub(crate) fn clear(&self, memory: &mut [u8]) {
        memory[self.output.clone()].fill(0);
    }
}

/// A step and what it works on.
pub(crate) struct Data {
    pub(crate) step: &'static Step,
    pub(crate) places: Places,
    pub(crate) arena: Arc<Arena>,
    /// The columns, [`Step::batch_rows`] rows each; slices of the arena.
    pub(crate) batches: Vec<RecordBatch>,
    /// All of them as one.
    pub(crate) whole: RecordBatch,
}

impl Data {
    /// About as many bytes of columns, in whole batches.
    pub(crate) fn new(step: &'static Step, bytes: usize) -> Result<Self> {
        let batches = (bytes / step.row_len() / step.batch_rows).max(1);
        let places = Places::new(step, batches * step.batch_rows);
        let arena = Arc::new(Arena::new(places.len)?);
        arena.with(0..places.len, |memory| {
            places.begin(step, memory);
            for (column, place) in step.columns.iter().zip(&places.columns) {
                column.fill(&mut memory[place.clone()]);
            }
        });
        let rows = step.batch_rows;
        let batches = (0..batches).map(|batch| record_batch(step, &places, &arena, batch * rows, rows)).collect::<Result<_>>()?;
        let whole = record_batch(step, &places, &arena, 0, places.rows)?;
        Ok(Self { step, places, arena, batches, whole })
    }

    /// Rows that are copied into a sandbox at a time: a power of two, so that they are parts of a batch.
    pub(crate) fn copied_rows(&self) -> usize {
        let len = if self.arena.bytes().len() < IN_MEMORY_LEN { COPIED_LEN_MAX } else { COPIED_FROM_MEMORY_LEN_MAX };
        1 << (len / self.step.row_len()).ilog2()
    }

    /// The bytes of a column's values in some rows.
    pub(crate) fn values(&self, column: usize, first: usize, rows: usize) -> &[u8] {
        let width = self.step.columns[column].width();
        &self.arena.bytes()[self.places.columns[column].clone()][first * width..][..rows * width]
    }

    /// Has the processor begin to fetch the columns from this row on, so that it does something while a program works on the rows before.
    pub(crate) fn fetch(&self, first: usize) {
        for (column, place) in self.step.columns.iter().zip(&self.places.columns) {
            let start = place.start + first * column.width();
            self.arena.fetch(start..place.end.min(start + FETCHED_LEN));
        }
    }

    /// For a machine that works in place: what batches add to is zero again.
    pub(crate) fn clear(&self) {
        if self.is_accumulated() {
            self.arena.with(self.places.output.clone(), |output| output.fill(0));
        }
    }

    pub(crate) fn output(&self) -> Vec<u8> {
        self.arena.bytes()[self.places.output.clone()].to_vec()
    }

    /// Whether batches add to the output; otherwise each writes its own part of it.
    pub(crate) fn is_accumulated(&self) -> bool {
        matches!(self.step.output, Output::Fixed(_))
    }

    /// Where the output of some rows is in that of all.
    pub(crate) fn output_of(&self, first: usize, rows: usize) -> Range<usize> {
        match self.step.output {
            Output::Fixed(len) => 0..len,
            Output::Bitmap => first / 8..(first + rows) / 8,
        }
    }
}

fn record_batch(step: &Step, places: &Places, arena: &Arc<Arena>, first: usize, rows: usize) -> Result<RecordBatch> {
    let arrays = step.columns.iter().zip(&places.columns).map(|(column, place): (&Column, _)| {
        let start = place.start + first * column.width();
        column.array(arena.buffer(start..start + rows * column.width()))
    });
    let arrays: Vec<ArrayRef> = arrays.collect();
    let fields: Vec<Field> = step
        .columns
        .iter()
        .zip(&arrays)
        .map(|(column, array)| Field::new(column.name(), array.data_type().clone(), false))
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
