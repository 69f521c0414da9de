//! The client's half of an execution.

use arrow_flight::FlightData;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nearside_device::{DeviceError, Event, Execution, Input, Request};
use std::sync::Arc;
use tonic::Streaming;

use crate::client::session::Session;
use crate::ipc::{Decoder, encode_schema};
use crate::limits::{REQUEST_BYTES_MAX, within};
use crate::message::{Execute, to_json};

/// The one message of a request.
pub(super) fn request_message(request: Request) -> Result<FlightData, DeviceError> {
    let Request { program, input, parameters, options } = request;
    let Input::Objects { schema, objects } = input;
    let execute = Execute { program, objects, types: parameters.types, slots: parameters.slots, options };
    execute.check()?;
    let mut message = encode_schema(&schema)?;
    message.app_metadata = to_json(&execute)?;
    message.data_body = parameters.blob.into();
    let len = message.app_metadata.len() + message.data_header.len() + message.data_body.len();
    within("bytes of a request", len, REQUEST_BYTES_MAX - 1_024)?;
    Ok(message)
}

impl Session {
    /// Sends a request; returns when the device has begun. Dropping the execution ends the call, which stops the device.
    pub(super) async fn execute(self: &Arc<Self>, request: FlightData) -> Result<Execution, DeviceError> {
        let mut messages = self.exchange(request).await?;
        let first = messages.message().await.map_err(|status| self.failure(&status))?;
        let decoder = Decoder::new(&first.ok_or_else(|| self.broken("an execution without a schema"))?)?;
        let schema = decoder.schema();
        let running = Running { session: Arc::clone(self), decoder, messages };
        Ok(Execution { schema, events: running.events() })
    }
}

/// An execution at the other end.
struct Running {
    session: Arc<Session>,
    decoder: Decoder,
    messages: Streaming<FlightData>,
}

impl Running {
    /// Ends after the ledger or an error.
    fn events(self) -> BoxStream<'static, Result<Event, DeviceError>> {
        stream::unfold(Some(self), async |running| {
            let mut running = running?;
            let event = running.next().await;
            let last = matches!(event, Ok(Event::Finished(_)) | Err(_));
            Some((event, (!last).then_some(running)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Event, DeviceError> {
        loop {
            let message = self.messages.message().await.map_err(|status| self.session.failure(&status))?;
            let message = message.ok_or_else(|| self.session.broken("the execution ended without its ledger"))?;
            if let Some(event) = self.decoder.decode(message)? {
                return Ok(event);
            }
        }
    }
}
