//! Some rows with some columns, and which of them are still wanted.

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::FilterBuilder;

use crate::columnar::{Program, Worker};
use crate::error::DeviceError;

/// If at most one row in so many is wanted, copying those together costs less than working on all.
const SPARSE: usize = 8;

/// Rows on their way through a program.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// An array for each column of the manifest that is here.
    pub(super) columns: Vec<Option<ArrayRef>>,
    pub(super) rows: usize,
    /// The wanted rows; `None`: all.
    pub(super) selected: Option<BooleanBuffer>,
}

impl Batch {
    /// Whether no row is wanted.
    pub(super) fn is_void(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| !selected.has_true())
    }

    /// The wanted rows alone, with some of the columns, if they are few.
    pub(super) fn compacted_if_sparse(&self, needed: &[u32]) -> Result<Option<Self>, DeviceError> {
        let sparse = |selected: &&BooleanBuffer| selected.count_set_bits() * SPARSE <= self.rows;
        let Some(selected) = self.selected.as_ref().filter(sparse) else { return Ok(None) };
        let mask = BooleanArray::new(selected.clone(), None);
        let filter = FilterBuilder::new(&mask).optimize().build();
        let mut columns = vec![None; self.columns.len()];
        for &column in needed {
            if let Some(array) = &self.columns[column as usize] {
                let array = filter.filter(array).map_err(|error| DeviceError::Internal { reason: error.to_string() })?;
                columns[column as usize] = Some(array);
            }
        }
        Ok(Some(Self { columns, rows: filter.count(), selected: None }))
    }
}

/// The wanted rows of a batch that pass some conjuncts.
pub(super) fn select(
    worker: &mut Worker,
    program: &Program,
    mut conjuncts: &[usize],
    mut batch: Batch,
) -> Result<Option<BooleanBuffer>, DeviceError> {
    while !conjuncts.is_empty() && !batch.is_void() {
        let skips = conjuncts.iter().take_while(|conjunct| program.select_skips_rows(**conjunct)).count();
        if skips == 0
            && let Some(compact) = batch.compacted_if_sparse(&columns_of(program, conjuncts))?
        {
            let passed = select(worker, program, conjuncts, compact)?;
            return Ok(match (batch.selected, passed) {
                (Some(wanted), Some(passed)) => Some(spread(&wanted, &passed)),
                (wanted, _) => wanted,
            });
        }
        let (now, later) = conjuncts.split_at(skips.max(1));
        batch.selected = Some(worker.select(now, &batch.columns, batch.rows, batch.selected.as_ref())?);
        conjuncts = later;
    }
    Ok(batch.selected)
}

/// The columns some conjuncts need, ascending.
pub(super) fn columns_of(program: &Program, conjuncts: &[usize]) -> Vec<u32> {
    let mut columns: Vec<u32> = conjuncts.iter().flat_map(|&conjunct| program.select_columns(conjunct)).copied().collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Bits about the rows that `wanted` has, put where those rows are.
fn spread(wanted: &BooleanBuffer, bits: &BooleanBuffer) -> BooleanBuffer {
    let mut result = BooleanBufferBuilder::new(wanted.len());
    result.append_n(wanted.len(), false);
    for (row, bit) in wanted.set_indices().zip(bits) {
        result.set_bit(row, bit);
    }
    result.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits go back to the rows they are about.
    #[test]
    fn spreading() {
        let wanted = BooleanBuffer::from_iter((0..100).map(|row| row % 7 == 3));
        let bits = BooleanBuffer::from_iter((0..wanted.count_set_bits()).map(|index| index % 2 == 1));
        let expected = BooleanBuffer::from_iter((0..100).map(|row| row % 14 == 10));
        assert_eq!(spread(&wanted, &bits), expected);
    }
}
