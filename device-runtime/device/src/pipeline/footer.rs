//! Footers and page indexes: read once for a version of an object, kept while there is room.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use super::{bad_object, guarded};
use crate::error::DeviceError;
use crate::media::{Object, Version};

/// More rows in a row group than any writer makes; a footer that says so would keep a worker busy with nothing.
const ROW_GROUP_ROWS_MAX: i64 = i32::MAX as i64;

/// Length of the metadata and the magic number.
const TAIL_LEN: u64 = 8;

/// What is read of an object's end where a request costs more than bytes: most footers with their indexes.
const REMOTE_TAIL_LEN: u64 = 64 * 1024;

/// What an object says of itself.
#[derive(Debug)]
pub(super) struct Footer {
    /// With the Arrow schema the file alone gives.
    pub(super) reader: ArrowReaderMetadata,
}

impl Footer {
    pub(super) fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.reader.metadata()
    }
}

/// The footers used last, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct FooterCache {
    bytes_max: usize,
    /// Most metadata bytes that are read of one object.
    object_bytes_max: u64,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Version, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    footer: Arc<Footer>,
    bytes: usize,
    used: u64,
}

impl FooterCache {
    pub(crate) fn new(bytes_max: usize, object_bytes_max: u64) -> Self {
        Self { bytes_max, object_bytes_max, entries: Mutex::default() }
    }

    /// The footer of an object, and how many bytes were read for it: 0 if it was here.
    pub(super) fn get(&self, object: &Object) -> Result<(Arc<Footer>, u64), DeviceError> {
        // Without an ETag nothing tells two versions of one size apart.
        let key = object.version.etag.is_some().then(|| object.version.clone());
        if let Some(footer) = key.as_ref().and_then(|key| self.lock().touch(key)) {
            return Ok((footer, 0));
        }
        let (footer, read) = read_footer(object, self.object_bytes_max)?;
        if let Some(key) = key {
            self.lock().insert(key, &footer, self.bytes_max);
        }
        Ok((footer, read))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn touch(&mut self, key: &Version) -> Option<Arc<Footer>> {
        self.clock += 1;
        let entry = self.by_key.get_mut(key)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.footer))
    }

    fn insert(&mut self, key: Version, footer: &Arc<Footer>, bytes_max: usize) {
        let bytes = footer.metadata().memory_size();
        if bytes > bytes_max {
            return;
        }
        self.clock += 1;
        let entry = Entry { footer: Arc::clone(footer), bytes, used: self.clock };
        self.bytes += bytes;
        if let Some(old) = self.by_key.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        while self.bytes > bytes_max {
            let Some(oldest) = self.by_key.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone()) else { return };
            self.bytes -= self.by_key.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }
}

fn read_footer(object: &Object, bytes_max: u64) -> Result<(Arc<Footer>, u64), DeviceError> {
    let path = &object.version.path;
    let mut reader = TailReader::new(object, bytes_max)?;
    check_length(object, &reader.tail)?;
    let decoder =
        |policy| guarded(path, || Ok(ParquetMetaDataPushDecoder::try_new(object.version.size)?.with_page_index_policy(policy)));
    let metadata = drive(path, decoder(PageIndexPolicy::Skip)?, &mut reader)?;
    check(path, &metadata)?;
    let indexes = guarded(path, || ParquetMetaDataPushDecoder::try_new_with_metadata(object.version.size, metadata.clone()))?;
    let metadata = match drive(path, indexes, &mut reader) {
        // Page indexes that lie far apart or are too large are done without.
        Err(DeviceError::Limit { .. }) => metadata,
        result => result?,
    };
    let arrow = guarded(path, || ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()))?;
    Ok((Arc::new(Footer { reader: arrow }), reader.total))
}

/// Reads the end of an object once, and before it what is asked for, within a bound.
struct TailReader<'a> {
    object: &'a Object,
    bytes_max: u64,
    tail: Bytes,
    /// Bytes read.
    total: u64,
}

impl<'a> TailReader<'a> {
    fn new(object: &'a Object, bytes_max: u64) -> Result<Self, DeviceError> {
        let size = object.version.size;
        let len = if object.is_remote() { REMOTE_TAIL_LEN } else { TAIL_LEN };
        let (tail, total) = object.read_one(size.saturating_sub(len)..size)?;
        Ok(Self { object, bytes_max, tail, total })
    }

    fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, DeviceError> {
        let given = ranges.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add);
        if given > self.bytes_max {
            let what = format!("metadata of {}, bytes,", self.object.version.path);
            return Err(DeviceError::Limit { what, given, limit: self.bytes_max });
        }
        ranges.iter().map(|range| self.read_one(range)).collect()
    }

    fn read_one(&mut self, range: &Range<u64>) -> Result<Bytes, DeviceError> {
        let start = self.object.version.size - self.tail.len() as u64;
        if start <= range.start && range.start <= range.end && range.end <= self.object.version.size {
            return Ok(self.tail.slice((range.start - start) as usize..(range.end - start) as usize));
        }
        let (bytes, read) = self.object.read_one(range.clone())?;
        self.total += read;
        Ok(bytes)
    }
}

/// Whether the file is as long as its last bytes say its metadata is.
fn check_length(object: &Object, tail: &[u8]) -> Result<(), DeviceError> {
    let (path, size) = (&object.version.path, object.version.size);
    let Some((len, _)) = tail.split_last_chunk::<8>().map(|(_, end)| end).and_then(|end| end.split_first_chunk::<4>()) else {
        return Err(bad_object(path, format!("{size} bytes are too few for Parquet: truncated")));
    };
    match u64::from(u32::from_le_bytes(*len)) {
        len if len + TAIL_LEN > size => {
            Err(bad_object(path, format!("its metadata of {len} bytes is longer than it: truncated or corrupt")))
        }
        _ => Ok(()),
    }
}

fn drive(
    path: &str,
    mut decoder: ParquetMetaDataPushDecoder,
    reader: &mut TailReader<'_>,
) -> Result<ParquetMetaData, DeviceError> {
    loop {
        match guarded(path, || decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => {
                let parts = reader.read(&ranges)?;
                guarded(path, || decoder.push_ranges(ranges, parts))?;
            }
            DecodeResult::Data(metadata) => return Ok(metadata),
            DecodeResult::Finished => return Err(bad_object(path, "it has no metadata")),
        }
    }
}

/// What the rest of the pipeline relies on.
fn check(path: &str, metadata: &ParquetMetaData) -> Result<(), DeviceError> {
    for (index, row_group) in metadata.row_groups().iter().enumerate() {
        if !(0..=ROW_GROUP_ROWS_MAX).contains(&row_group.num_rows()) {
            return Err(bad_object(path, format!("row group {index} says it has {} rows", row_group.num_rows())));
        }
        let negative = |column: &&parquet::file::metadata::ColumnChunkMetaData| {
            column.compressed_size() < 0
                || column.uncompressed_size() < 0
                || column.data_page_offset() < 0
                || column.dictionary_page_offset().is_some_and(|offset| offset < 0)
        };
        if row_group.columns().iter().any(|column| negative(&column)) {
            return Err(bad_object(path, format!("row group {index} has a negative size or offset")));
        }
    }
    Ok(())
}
