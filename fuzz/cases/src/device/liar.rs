//! A server that sends what it is told to send.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo,
    PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nearside_protocol::{VERSION, VERSION_HEADER};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// What a [`Liar`] says next, whatever it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    /// To an execution.
    Messages(Vec<FlightData>),
    /// To an action.
    Results(Vec<arrow_flight::Result>),
    /// To anything.
    Refusal(Status),
}

/// A peer of the right version that lies about everything else.
#[derive(Clone, Debug)]
pub(crate) struct Liar(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    lie: Lie,
    heard: Option<FlightData>,
}

impl Liar {
    /// Serves on a listener, as long as the runtime lives.
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let liar = Self(Arc::new(Mutex::new(State { lie: Lie::Results(Vec::new()), heard: None })));
        let service = FlightServiceServer::new(liar.clone());
        tokio::spawn(
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
        );
        liar
    }

    /// What to say from now on.
    pub(crate) fn tell(&self, lie: Lie) {
        self.state().lie = lie;
    }

    /// The first message of the last execution it was asked for.
    pub(crate) fn heard(&self) -> Option<FlightData> {
        self.state().heard.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn answer<T: Send + 'static>(items: Vec<T>) -> Response<Answers<T>> {
    let mut response = Response::new(stream::iter(items.into_iter().map(Ok)).boxed());
    response.metadata_mut().insert(VERSION_HEADER, VERSION.into());
    response
}

fn unused() -> Status {
    Status::unimplemented("not part of the protocol")
}

#[async_trait]
impl FlightService for Liar {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        let first = request.into_inner().message().await?;
        let mut state = self.state();
        state.heard = first;
        match state.lie.clone() {
            Lie::Messages(messages) => Ok(answer(messages)),
            Lie::Results(_) => Ok(answer(Vec::new())),
            Lie::Refusal(status) => Err(status),
        }
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        match self.state().lie.clone() {
            Lie::Results(results) => Ok(answer(results)),
            Lie::Messages(_) => Ok(answer(Vec::new())),
            Lie::Refusal(status) => Err(status),
        }
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(unused())
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(unused())
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(unused())
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(unused())
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(unused())
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(unused())
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(unused())
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(unused())
    }
}
