//! Events of an execution to Flight messages.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::FlightData;
use nearside_device::{DeviceError, Event, Ledger};

use crate::limits::{BATCH_BYTES_TARGET, MORSELS_PER_MESSAGE, RESPONSE_BYTES_MAX, within};
use crate::message::{Mark, to_json, to_pairs};

/// Encodes one execution's events. Dictionaries stay dictionaries, and are sent when they change.
pub(crate) struct Encoder {
    options: IpcWriteOptions,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
}

/// A schema alone, as the upstream request carries it.
pub(crate) fn encode_schema(schema: &Schema) -> Result<FlightData, DeviceError> {
    Encoder::new(schema, false).map(|(_, message)| message)
}

impl Encoder {
    /// An encoder and its first message, the schema's.
    pub(crate) fn new(schema: &Schema, compress: bool) -> Result<(Self, FlightData), DeviceError> {
        // Buffers are aligned again when they leave the gRPC message: padding to 64 bytes would be for nothing.
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)
            .and_then(|options| options.try_with_compression(compress.then_some(CompressionType::LZ4_FRAME)))
            .map_err(|error| encoding(&error))?;
        let generator = IpcDataGenerator::default();
        let mut dictionaries = DictionaryTracker::new(false);
        let schema = generator.schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options);
        let encoder = Self { options, generator, dictionaries, context: IpcWriteContext::default() };
        Ok((encoder, message(schema)))
    }

    /// The messages of one event. The encoder has nothing to add after those of [`Event::Finished`].
    pub(crate) fn encode(&mut self, event: Event) -> Result<Vec<FlightData>, DeviceError> {
        match event {
            Event::Batch { morsels, batch } => self.batch(&Mark::Batch(to_pairs(&morsels)), &batch),
            Event::MorselsDone(morsels) => {
                let pairs = to_pairs(&morsels);
                pairs.chunks(MORSELS_PER_MESSAGE).map(|pairs| mark(&Mark::Done(pairs.to_vec()))).collect()
            }
            Event::Finished(ledger) => ledger_messages(*ledger),
        }
    }

    fn batch(&mut self, mark: &Mark, batch: &RecordBatch) -> Result<Vec<FlightData>, DeviceError> {
        let mark = to_json(mark)?;
        let mut messages = Vec::new();
        for piece in split(batch).map_err(|error| encoding(&error))? {
            let (dictionaries, data) = self
                .generator
                .encode(&piece, &mut self.dictionaries, &self.options, &mut self.context)
                .map_err(|error| encoding(&error))?;
            messages.extend(dictionaries.into_iter().map(message));
            messages.push(FlightData { app_metadata: mark.clone(), ..message(data) });
        }
        for message in &messages {
            within("bytes of a result message", message.data_body.len() + message.data_header.len(), RESPONSE_BYTES_MAX / 2)?;
        }
        Ok(messages)
    }
}

/// A ledger in pieces: one of a million morsels would not fit a message.
fn ledger_messages(mut ledger: Ledger) -> Result<Vec<FlightData>, DeviceError> {
    let morsels = std::mem::take(&mut ledger.work.morsels);
    let mut messages = morsels
        .chunks(MORSELS_PER_MESSAGE)
        .map(|morsels| mark(&Mark::Morsels(morsels.to_vec())))
        .collect::<Result<Vec<_>, _>>()?;
    messages.push(mark(&Mark::Finished(Box::new(ledger)))?);
    Ok(messages)
}

/// Slices of at most about [`BATCH_BYTES_TARGET`]; a batch without rows stays one.
fn split(batch: &RecordBatch) -> Result<Vec<RecordBatch>, ArrowError> {
    let bytes: usize = batch.columns().iter().map(sliced_bytes).sum();
    let pieces = bytes.div_ceil(BATCH_BYTES_TARGET).clamp(1, batch.num_rows().max(1));
    let rows = batch.num_rows().div_ceil(pieces).max(1);
    let starts = (0..batch.num_rows().max(1)).step_by(rows);
    starts.map(|start| compact_views(&batch.slice(start, rows.min(batch.num_rows() - start)))).collect()
}

/// Bytes of the rows of an array, without what its buffers hold besides; dictionary values are not counted, as they are sent once.
fn sliced_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8View | DataType::BinaryView => array.get_buffer_memory_size(),
        DataType::Dictionary(key, _) => array.len() * key.primitive_width().unwrap_or(8),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size()),
    }
}

/// Drops what string views do not show: IPC sends their buffers whole, with every slice.
fn compact_views(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as ArrayRef,
        _ => Arc::clone(column),
    });
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &rows)
}

fn message(data: EncodedData) -> FlightData {
    FlightData { data_header: data.ipc_message.into(), data_body: data.arrow_data.into(), ..FlightData::default() }
}

fn mark(mark: &Mark) -> Result<FlightData, DeviceError> {
    Ok(FlightData { app_metadata: to_json(mark)?, ..FlightData::default() })
}

fn encoding(error: &ArrowError) -> DeviceError {
    DeviceError::Internal { reason: format!("result does not encode: {error}") }
}
