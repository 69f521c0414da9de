//! Flight messages to events of an execution.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{Message, MessageHeader};
use arrow_flight::FlightData;
use nearside_device::ledger::Morsel;
use nearside_device::{DeviceError, Event, Ledger};

use crate::ipc::guard::{bad, check_batch, contained, read_message, read_schema};
use crate::limits::MORSELS_MAX;
use crate::message::{Mark, from_json, from_pairs};

/// Decodes one execution's messages.
pub(crate) struct Decoder {
    schema: SchemaRef,
    /// Current values by dictionary id.
    dictionaries: HashMap<i64, ArrayRef>,
    /// What came of the ledger so far.
    morsels: Vec<Morsel>,
}

impl Decoder {
    /// Starts with the first message, the schema's.
    pub(crate) fn new(first: &FlightData) -> Result<Self, DeviceError> {
        let schema = read_schema(&first.data_header).map_err(|error| malformed(&error))?;
        Ok(Self { schema: Arc::new(schema), dictionaries: HashMap::new(), morsels: Vec::new() })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The event of a message; `None` if it is only a part of one.
    pub(crate) fn decode(&mut self, message: FlightData) -> Result<Option<Event>, DeviceError> {
        let mark = match message.app_metadata.is_empty() {
            true => None,
            false => Some(from_json("mark", &message.app_metadata).map_err(|error| broken(error.to_string()))?),
        };
        match mark {
            None => self.dictionary(message).map(|()| None).map_err(|error| malformed(&error)),
            Some(Mark::Batch(pairs)) => {
                let batch = self.batch(message).map_err(|error| malformed(&error))?;
                Ok(Some(Event::Batch { morsels: from_pairs(&pairs), batch }))
            }
            Some(Mark::Done(pairs)) => Ok(Some(Event::MorselsDone(from_pairs(&pairs)))),
            Some(Mark::Morsels(morsels)) => self.morsels(morsels).map(|()| None),
            Some(Mark::Finished(ledger)) => Ok(Some(Event::Finished(self.ledger(*ledger)))),
        }
    }

    fn morsels(&mut self, morsels: Vec<Morsel>) -> Result<(), DeviceError> {
        crate::limits::within("number of morsels", self.morsels.len() + morsels.len(), MORSELS_MAX)?;
        self.morsels.extend(morsels);
        Ok(())
    }

    fn ledger(&mut self, mut ledger: Ledger) -> Box<Ledger> {
        ledger.work.morsels = std::mem::take(&mut self.morsels);
        Box::new(ledger)
    }

    fn dictionary(&mut self, message: FlightData) -> Result<(), ArrowError> {
        let header = read_message(&message.data_header)?;
        let dictionary = header.header_as_dictionary_batch().ok_or_else(|| unexpected(&header))?;
        let batch = dictionary.data().ok_or_else(|| bad("a dictionary without values"))?;
        if dictionary.isDelta() {
            return Err(bad("delta dictionaries are not part of the protocol"));
        }
        check_batch(batch, &message.data_body)?;
        let body = Buffer::from(message.data_body);
        contained(|| read_dictionary(&body, dictionary, &self.schema, &mut self.dictionaries, &header.version()))
    }

    fn batch(&self, message: FlightData) -> Result<RecordBatch, ArrowError> {
        let header = read_message(&message.data_header)?;
        let batch = header.header_as_record_batch().ok_or_else(|| unexpected(&header))?;
        check_batch(batch, &message.data_body)?;
        let body = Buffer::from(message.data_body);
        let schema = Arc::clone(&self.schema);
        contained(|| read_record_batch(&body, batch, schema, &self.dictionaries, None, &header.version()))
    }
}

fn unexpected(header: &Message<'_>) -> ArrowError {
    let name = match header.header_type() {
        MessageHeader::NONE => "none",
        other => other.variant_name().unwrap_or("unknown"),
    };
    bad(format!("an unexpected message: {name}"))
}

fn malformed(error: &ArrowError) -> DeviceError {
    broken(format!("it sent a malformed Arrow message: {error}"))
}

fn broken(reason: String) -> DeviceError {
    DeviceError::Internal { reason }
}
