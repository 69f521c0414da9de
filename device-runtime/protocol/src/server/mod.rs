//! The serving side: a [`Device`] behind Arrow Flight.

mod actions;
mod execute;
mod objects;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo,
    PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use nearside_device::{Device, DeviceError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use crate::failure::Failure;
use crate::limits::{CALL_WINDOW_BYTES, CALLS_MAX, CONNECTION_WINDOW_BYTES, REQUEST_BYTES_MAX};
use crate::{VERSION, VERSION_HEADER};

/// How a server serves. The default is what `nearsided` uses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name in its description; `None`: the device's own.
    pub name: Option<String>,
    /// Most executions at a time; one more is told that the device is busy.
    pub executions_max: usize,
    /// How long running executions may go on once the server is told to stop.
    pub grace: Duration,
    /// How long a peer may be silent before it is asked for a sign of life, and how long it has to give one.
    pub keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, executions_max: 256, grace: Duration::from_secs(10), keep_alive: Duration::from_secs(10) }
    }
}

/// Serves `device` on `listener` until `shutdown` resolves; then takes nothing new, and returns when running executions have ended or
/// [`Options::grace`] is over, which cuts them.
///
/// # Errors
/// The transport's, if the listener fails.
pub async fn serve(
    listener: TcpListener,
    device: Arc<dyn Device>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let cut = CancellationToken::new();
    // Dropped with this future, in whatever way that happens: no execution outlives its server.
    let _cut_at_the_end = cut.clone().drop_guard();
    let keep_alive = options.keep_alive;
    let grace = options.grace;
    let service =
        FlightServiceServer::new(Service::new(device, options, cut.clone())).max_decoding_message_size(REQUEST_BYTES_MAX);
    let stop = CancellationToken::new();
    let serving = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive))
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_MAX)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming(listener), stop.clone().cancelled_owned());
    let stopping = async {
        shutdown.await;
        stop.cancel();
        tokio::time::sleep(grace).await;
        cut.cancel();
        // What was cut has its answer on the way; a peer that does not take it is left.
        tokio::time::sleep(CUT_TIME).await;
    };
    tokio::select! {
        served = serving => served,
        () = stopping => Ok(()),
    }
}

/// How long a peer has to take the answer of an execution that was cut.
const CUT_TIME: Duration = Duration::from_millis(200);

/// Connections, without delay of small messages: an execution's last message is one.
fn incoming(listener: TcpListener) -> impl futures::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    TcpListenerStream::new(listener).inspect(|connection| {
        if let Ok(connection) = connection
            && let Err(error) = connection.set_nodelay(true)
        {
            tracing::debug!("TCP_NODELAY: {error}");
        }
    })
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Service {
    device: Arc<dyn Device>,
    name: Option<String>,
    executions: Arc<Semaphore>,
    executions_max: usize,
    cut: CancellationToken,
}

impl Service {
    fn new(device: Arc<dyn Device>, options: Options, cut: CancellationToken) -> Self {
        let executions = Arc::new(Semaphore::new(options.executions_max));
        Self { device, name: options.name, executions, executions_max: options.executions_max, cut }
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        check_version(request.metadata()).map_err(refuse)?;
        let messages = self.execute(request.into_inner()).await.map_err(|error| refuse(error.into()))?;
        Ok(answer(messages.map(|message| message.map_err(|error| refuse(error.into()))).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        check_version(request.metadata()).map_err(refuse)?;
        let Action { r#type, body } = request.into_inner();
        let results = self.act(&r#type, body).await.map_err(refuse)?;
        Ok(answer(results.map(|body| body.map(|body| arrow_flight::Result { body }).map_err(refuse)).boxed()))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        check_version(request.metadata()).map_err(refuse)?;
        Ok(answer(futures::stream::iter(actions::list().map(Ok)).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(unused("Handshake"))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(unused("ListFlights"))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(unused("GetFlightInfo"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(unused("PollFlightInfo"))
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(unused("GetSchema"))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(unused("DoGet"))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(unused("DoPut"))
    }
}

/// Both sides speak the same version, or this is the last thing they say.
fn check_version(headers: &MetadataMap) -> Result<(), Failure> {
    let Some(version) = headers.get(VERSION_HEADER) else {
        let reason = format!("no {VERSION_HEADER} header; this device speaks protocol {VERSION}");
        return Err(DeviceError::BadRequest { reason }.into());
    };
    match version.to_str().ok().and_then(|text| text.parse::<u32>().ok()) {
        Some(VERSION) => Ok(()),
        // Told from the host's side, who will read it.
        Some(host) => Err(DeviceError::Version { ours: host, theirs: VERSION }.into()),
        None => Err(DeviceError::BadRequest { reason: format!("the {VERSION_HEADER} header is not a number") }.into()),
    }
}

fn answer<T>(body: T) -> Response<T> {
    let mut response = Response::new(body);
    response.metadata_mut().insert(VERSION_HEADER, MetadataValue::from(VERSION));
    response
}

fn refuse(failure: Failure) -> Status {
    tracing::debug!("refused: {failure}");
    failure.into_status()
}

fn unused(method: &str) -> Status {
    refuse(DeviceError::BadRequest { reason: format!("{method} is not part of the protocol") }.into())
}
