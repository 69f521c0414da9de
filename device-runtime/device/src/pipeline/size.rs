//! Arrow bytes of arrays, as the ledger counts them: values in sight, not the buffers behind them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{ByteViewType, DataType};

/// Views of more text than this, in bytes, whose buffers hold more than twice as much are copied before they leave.
const VIEW_SLACK: usize = 4096;

/// Bytes of an array's values, offsets and validity.
pub(super) fn array_bytes(array: &ArrayRef) -> u64 {
    let long_views = match array.data_type() {
        DataType::Utf8View => long_view_bytes(array.as_string_view().views()),
        DataType::BinaryView => long_view_bytes(array.as_binary_view().views()),
        _ => 0,
    };
    let fixed = array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size());
    (fixed + long_views) as u64
}

/// Bytes of a batch.
pub(super) fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(array_bytes).sum()
}

/// Text of views that is not inlined. A view's low 32 bits are its length; up to 12 bytes are in the view itself.
fn long_view_bytes(views: &[u128]) -> usize {
    views.iter().map(|&view| view as u32 as usize).filter(|&len| len > 12).sum()
}

/// Lets go of buffers of which a few views are left: they would all travel with the batch.
pub(super) fn compact_views(batch: RecordBatch) -> RecordBatch {
    if !batch.columns().iter().any(is_wasteful) {
        return batch;
    }
    let columns =
        batch.columns().iter().map(|column| if is_wasteful(column) { compacted(column) } else { column.clone() }).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).unwrap_or(batch)
}

fn is_wasteful(array: &ArrayRef) -> bool {
    fn check<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> bool {
        let held: usize = array.data_buffers().iter().map(|buffer| buffer.len()).sum();
        held > VIEW_SLACK && held / 2 > long_view_bytes(array.views())
    }
    match array.data_type() {
        DataType::Utf8View => check(array.as_string_view()),
        DataType::BinaryView => check(array.as_binary_view()),
        _ => false,
    }
}

fn compacted(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => array.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    /// One view out of many keeps its text, not its neighbours'; the count is of what is in sight.
    #[test]
    fn views_leave_without_their_neighbours() {
        let long = "a text of more than twelve bytes";
        let all: ArrayRef = Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(long, 1000)));
        let batch = RecordBatch::try_from_iter([("s", all.slice(500, 1))]).unwrap();
        let compact = compact_views(batch.clone());
        assert_eq!(compact, batch);
        let held: usize = compact.column(0).as_string_view().data_buffers().iter().map(|buffer| buffer.len()).sum();
        assert_eq!(held, long.len());
        assert_eq!(batch_bytes(&compact), 16 + long.len() as u64);
        assert_eq!(batch_bytes(&batch), batch_bytes(&compact));
    }
}
