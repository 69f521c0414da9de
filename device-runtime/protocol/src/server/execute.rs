//! `DoExchange`: one execution.

use std::sync::Arc;

use arrow_flight::FlightData;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use nearside_device::{DeviceError, Event, Input, Request};
use nearside_programs::Parameters;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::ipc::{Encoder, read_schema};
use crate::message::{Execute, Follow, from_json};
use crate::server::Service;

impl Service {
    /// Starts the execution that the first message asks for. Dropping the stream stops it.
    pub(super) async fn execute(
        &self,
        mut upstream: Streaming<FlightData>,
    ) -> Result<BoxStream<'static, Result<FlightData, DeviceError>>, DeviceError> {
        let Ok(permit) = Arc::clone(&self.executions).try_acquire_owned() else {
            return Err(DeviceError::Busy { reason: format!("{} executions are running", self.executions_max) });
        };
        let first = upstream.message().await.map_err(|status| bad_request(status.message()))?;
        let request = read_request(first.ok_or_else(|| bad_request("the call ended before the request"))?)?;
        let compress = request.options.compress;
        let execution = self.device.execute(request).await?;
        let (encoder, schema) = Encoder::new(&execution.schema, compress)?;
        let stopped = stopped(upstream, self.cut.clone()).boxed();
        let running = Running { encoder, events: execution.events, stopped, _permit: permit };
        Ok(stream::once(async { Ok(schema) }).chain(running.messages()).boxed())
    }
}

/// An execution on its way to the client. Dropping it stops the device.
struct Running {
    encoder: Encoder,
    events: BoxStream<'static, Result<Event, DeviceError>>,
    /// Resolves when the execution must stop before its end.
    stopped: BoxFuture<'static, DeviceError>,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    /// Ends after the ledger or an error.
    fn messages(self) -> impl Stream<Item = Result<FlightData, DeviceError>> + Send {
        let messages = stream::unfold(Some(self), async |running| {
            let mut running = running?;
            Some(match running.next().await {
                Ok((messages, last)) => (messages.into_iter().map(Ok).collect(), (!last).then_some(running)),
                Err(error) => (vec![Err(error)], None),
            })
        });
        messages.flat_map(stream::iter)
    }

    /// The messages of the next event, and whether it was the last.
    async fn next(&mut self) -> Result<(Vec<FlightData>, bool), DeviceError> {
        let event = tokio::select! {
            biased;
            error = &mut self.stopped => return Err(error),
            event = self.events.next() => event.unwrap_or_else(|| Err(without_ledger()))?,
        };
        let last = matches!(event, Event::Finished(_));
        Ok((self.encoder.encode(event)?, last))
    }
}

/// The request in the first message upstream.
fn read_request(message: FlightData) -> Result<Request, DeviceError> {
    let execute: Execute = from_json("request", &message.app_metadata)?;
    execute.check()?;
    let schema = read_schema(&message.data_header).map_err(|error| bad_request(format!("schema: {error}")))?;
    let parameters = Parameters { types: execute.types, slots: execute.slots, blob: message.data_body.to_vec() };
    let input = Input::Objects { schema: Arc::new(schema), objects: execute.objects };
    Ok(Request { program: execute.program, input, parameters, options: execute.options })
}

/// Resolves, with what to tell the client, when the execution must stop before its end. A client that only closes its side goes on
/// listening.
async fn stopped(mut upstream: Streaming<FlightData>, cut: CancellationToken) -> DeviceError {
    let told = async {
        match upstream.message().await {
            Ok(Some(message)) => match from_json("message", &message.app_metadata) {
                Ok(Follow::Cancel) => bad_request("canceled"),
                Err(error) => error,
            },
            Ok(None) => std::future::pending().await,
            Err(status) => bad_request(status.message()),
        }
    };
    tokio::select! {
        error = told => error,
        () = cut.cancelled() => DeviceError::Busy { reason: "it is shutting down".to_owned() },
    }
}

fn without_ledger() -> DeviceError {
    DeviceError::Internal { reason: "the execution ended without its ledger".to_owned() }
}

fn bad_request(reason: impl Into<String>) -> DeviceError {
    DeviceError::BadRequest { reason: reason.into() }
}
