//! Some columns of one row group, decoded batch by batch under a selection; and decoded columns that are kept.

use std::ops::Range;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, concat};
use bytes::Bytes;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};

use super::columns::Columns;
use super::size::array_bytes;
use super::{bad_object, guarded, nanos_since};
use crate::error::DeviceError;
use crate::media::Object;

/// What decoding took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) bytes_read: u64,
    pub(super) bytes_decoded: u64,
    pub(super) read_ns: u64,
    pub(super) decode_ns: u64,
}

/// Who reads for a decoder.
pub(super) trait Fetch {
    /// [`Object::read`], and whatever waiting for it asks for.
    fn fetch(&mut self, object: &Object, ranges: &[Range<u64>]) -> Result<(Vec<Bytes>, u64), DeviceError>;
}

/// Decodes columns of a row group.
#[derive(Debug)]
pub(super) struct Decode<'a> {
    object: &'a Object,
    columns: &'a Columns,
    wanted: Vec<usize>,
    decoder: ParquetPushDecoder,
    pub(super) spent: Spent,
}

impl<'a> Decode<'a> {
    pub(super) fn new(
        object: &'a Object,
        columns: &'a Columns,
        row_group: usize,
        wanted: Vec<usize>,
        selection: Option<RowSelection>,
    ) -> Result<Self, DeviceError> {
        let decoder = guarded(&object.version.path, || {
            let builder = ParquetPushDecoderBuilder::new_with_metadata(columns.reader.clone())
                .with_row_groups(vec![row_group])
                .with_projection(columns.projection(&wanted))
                .with_batch_size(BATCH_ROWS_MAX as usize);
            match selection {
                Some(selection) => builder.with_row_selection(selection).build(),
                None => builder.build(),
            }
        })?;
        Ok(Self { object, columns, wanted, decoder, spent: Spent::default() })
    }

    /// The columns it decodes, in the order of the arrays.
    pub(super) fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// The next rows; `None` after the last. `fetch` reads ranges of the object.
    pub(super) fn next(&mut self, fetch: &mut dyn Fetch) -> Result<Option<(Vec<ArrayRef>, usize)>, DeviceError> {
        let path = &self.object.version.path;
        loop {
            let start = Instant::now();
            let decoded = guarded(path, || self.decoder.try_decode());
            self.spent.decode_ns += nanos_since(start);
            match decoded? {
                DecodeResult::NeedsData(ranges) => {
                    let start = Instant::now();
                    let (parts, bytes) = fetch.fetch(self.object, &ranges)?;
                    self.spent.read_ns += nanos_since(start);
                    self.spent.bytes_read += bytes;
                    guarded(path, || self.decoder.push_ranges(ranges, parts))?;
                }
                DecodeResult::Data(batch) if batch.num_rows() == 0 => {}
                DecodeResult::Data(batch) => {
                    let start = Instant::now();
                    let arrays = self.columns.deliver(path, &self.wanted, &batch)?;
                    self.spent.decode_ns += nanos_since(start);
                    self.spent.bytes_decoded += arrays.iter().map(array_bytes).sum::<u64>();
                    return Ok(Some((arrays, batch.num_rows())));
                }
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

/// A decoded column in pieces.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<ArrayRef>,
    /// First row of each chunk.
    starts: Vec<usize>,
    rows: usize,
}

impl Chunks {
    pub(super) fn push(&mut self, chunk: ArrayRef) {
        self.starts.push(self.rows);
        self.rows += chunk.len();
        self.chunks.push(chunk);
    }

    /// Rows `[start, start + len)`; without a copy if they lie in one piece.
    pub(super) fn slice(&self, path: &str, start: usize, len: usize) -> Result<ArrayRef, DeviceError> {
        let end = start + len;
        let first = self.starts.partition_point(|&row| row <= start).saturating_sub(1);
        let pieces = self.chunks.iter().zip(&self.starts).skip(first).take_while(|(_, at)| **at < end);
        let pieces: Vec<ArrayRef> = pieces
            .map(|(chunk, &at)| {
                let from = start.saturating_sub(at).min(chunk.len());
                chunk.slice(from, chunk.len().min(end - at) - from)
            })
            .collect();
        match pieces.as_slice() {
            [whole] if whole.len() == len => Ok(whole.clone()),
            several if several.iter().map(|piece| piece.len()).sum::<usize>() == len && len > 0 => {
                let arrays: Vec<&dyn Array> = several.iter().map(|piece| piece.as_ref()).collect();
                concat(&arrays).map_err(|error| bad_object(path, error))
            }
            _ => Err(bad_object(path, format!("its columns have different numbers of rows: {} and at least {end}", self.rows))),
        }
    }

    /// The selected rows only, in pieces of a batch's size, so that they meet what is decoded next piece for piece.
    pub(super) fn filter(&self, path: &str, mask: &BooleanBuffer) -> Result<Self, DeviceError> {
        let mut kept: Vec<ArrayRef> = Vec::new();
        for (chunk, &start) in self.chunks.iter().zip(&self.starts) {
            let part = BooleanArray::new(mask.slice(start, chunk.len()), None);
            let filtered = FilterBuilder::new(&part).optimize().build().filter(chunk).map_err(|error| bad_object(path, error))?;
            kept.push(filtered);
        }
        let narrow = Self::from_pieces(kept);
        let mut result = Self::default();
        let mut start = 0;
        while start < narrow.rows {
            let len = (narrow.rows - start).min(BATCH_ROWS_MAX as usize);
            result.push(narrow.slice(path, start, len)?);
            start += len;
        }
        Ok(result)
    }

    fn from_pieces(pieces: Vec<ArrayRef>) -> Self {
        let mut result = Self::default();
        pieces.into_iter().filter(|piece| !piece.is_empty()).for_each(|piece| result.push(piece));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn chunks(lens: &[i32]) -> Chunks {
        let mut next = 0;
        let pieces = lens.iter().map(|len| {
            let piece: ArrayRef = Arc::new(Int32Array::from_iter_values(next..next + len));
            next += len;
            piece
        });
        let pieces = pieces.collect();
        Chunks::from_pieces(pieces)
    }

    /// Any range of rows comes out whole, wherever the pieces end; one beyond the end is the file's fault.
    #[test]
    fn slices_cross_pieces() {
        let column = chunks(&[3, 1, 5, 2]);
        for start in 0..11 {
            for len in 1..=11 - start {
                let slice = column.slice("f", start, len).unwrap();
                let expected: Vec<i32> = (start as i32..(start + len) as i32).collect();
                assert_eq!(slice.as_primitive::<Int32Type>().values(), &expected[..]);
            }
            assert!(column.slice("f", start, 12 - start).is_err());
        }
    }

    /// A filter keeps the selected rows in order.
    #[test]
    fn filters() {
        let column = chunks(&[3, 4, 3]);
        let mask = BooleanBuffer::from_iter((0..10).map(|row| row % 3 == 0));
        let kept = column.filter("f", &mask).unwrap();
        assert_eq!(kept.slice("f", 0, 4).unwrap().as_primitive::<Int32Type>().values(), &[0, 3, 6, 9]);
        assert!(kept.slice("f", 0, 5).is_err());
    }
}
