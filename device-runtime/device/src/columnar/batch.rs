//! One batch: at most [`BATCH_ROWS_MAX`] rows of the columns a call needs.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use nearside_programs::ValueType;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::manifest::ColumnSpec;

use super::load;
use super::text::TextColumn;
use crate::DeviceError;

/// The columns of one batch, by the manifest's index.
pub(super) struct Batch<'a> {
    pub(super) rows: usize,
    columns: Cow<'a, [Option<ArrayRef>]>,
    /// By column, once one of them is asked for.
    texts: OnceCell<Vec<OnceCell<Option<TextColumn>>>>,
}

/// The rows of each batch of so many rows.
pub(super) fn slices(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let most = BATCH_ROWS_MAX as usize;
    (0..rows).step_by(most).map(move |start| start..rows.min(start + most))
}

/// Checks that the columns are what [`super::Worker`]'s caller promised.
pub(super) fn check(specs: &[ColumnSpec], columns: &[Option<ArrayRef>], rows: usize) -> Result<(), DeviceError> {
    let broken = |reason: String| Err(DeviceError::Internal { reason });
    if columns.len() != specs.len() {
        return broken(format!("{} columns for a program of {}", columns.len(), specs.len()));
    }
    for (spec, array) in specs.iter().zip(columns) {
        let Some(array) = array else { continue };
        if array.len() != rows || !load::accepts(spec.value_type, array.data_type()) {
            return broken(format!(
                "column {}: {} rows of {} for {rows} of {:?}",
                spec.name,
                array.len(),
                array.data_type(),
                spec.value_type
            ));
        }
    }
    Ok(())
}

impl<'a> Batch<'a> {
    /// A slice of columns of `rows` rows that passed [`check`].
    pub(super) fn new(columns: &'a [Option<ArrayRef>], rows: usize, slice: Range<usize>) -> Self {
        let columns = match slice.len() == rows {
            true => Cow::Borrowed(columns),
            false => columns.iter().map(|array| array.as_ref().map(|array| array.slice(slice.start, slice.len()))).collect(),
        };
        Self { rows: slice.len(), columns, texts: OnceCell::new() }
    }

    /// A column that the call needs.
    ///
    /// # Errors
    /// [`DeviceError::Internal`]: the caller did not hand it over.
    pub(super) fn array(&self, column: u32) -> Result<&ArrayRef, DeviceError> {
        let array = self.columns.get(column as usize).and_then(Option::as_ref);
        array.ok_or_else(|| DeviceError::Internal { reason: format!("column {column} is needed, but was not decoded") })
    }

    /// A text column.
    pub(super) fn text(&self, column: u32) -> Option<&TextColumn> {
        let array = self.columns.get(column as usize)?.as_ref()?;
        let texts = self.texts.get_or_init(|| self.columns.iter().map(|_| OnceCell::new()).collect());
        texts[column as usize].get_or_init(|| TextColumn::new(array)).as_ref()
    }

    /// Bytes of all texts of the batch, its dictionaries included.
    pub(super) fn text_bytes(&self, specs: &[ColumnSpec]) -> u64 {
        let texts = (0..).zip(specs).filter(|(_, spec)| spec.value_type == ValueType::Utf8);
        texts.filter_map(|(column, _)| self.text(column)).map(TextColumn::total_bytes).sum()
    }
}
