//! One device's connection: calls, their versions, errors and time limits.

use std::sync::{Arc, OnceLock};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData};
use bytes::Bytes;
use nearside_device::DeviceError;
use serde::de::DeserializeOwned;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use url::Url;

use crate::client::connect::{Counter, SocketBytes, Tuning, channel};
use crate::failure::{Failure, unreachable};
use crate::limits::RESPONSE_BYTES_MAX;
use crate::{DEFAULT_PORT, VERSION, VERSION_HEADER};

/// A device's address and the connection to it.
#[derive(Debug)]
pub(super) struct Session {
    url: String,
    endpoint: Endpoint,
    tuning: Tuning,
    counter: Arc<Counter>,
    /// Made by the first call: it needs that call's runtime.
    channel: OnceLock<Channel>,
}

impl Session {
    pub(super) fn new(url: &str, tuning: Tuning) -> Result<Self, DeviceError> {
        let bad = |reason: String| DeviceError::BadRequest { reason: format!("device URL {url:?}: {reason}") };
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if parsed.scheme() != "nearside" {
            return Err(bad("it must be nearside://host[:port]".to_owned()));
        }
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it names no host".to_owned()))?;
        let authority = format!("{host}:{}", parsed.port().unwrap_or(DEFAULT_PORT));
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|error| bad(error.to_string()))?;
        let url = format!("nearside://{authority}");
        Ok(Self { url, endpoint, tuning, counter: Arc::default(), channel: OnceLock::new() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn socket_bytes(&self) -> SocketBytes {
        self.counter.read()
    }

    /// An action with exactly one answer, in JSON.
    pub(super) async fn ask<T: DeserializeOwned>(&self, action: &str, body: Bytes) -> Result<T, Failure> {
        let asked = async {
            let mut answers = self.act(action, body).await?;
            let answer = answers.next().await?;
            answer.ok_or_else(|| self.broken(format!("no answer to {action}")))
        };
        let answer = self.in_time(action, asked).await?;
        self.parse(action, &answer)
    }

    /// An action without an answer.
    pub(super) async fn tell(&self, action: &str, body: Bytes) -> Result<(), DeviceError> {
        let told = async { self.act(action, body).await?.next().await };
        self.in_time(action, told).await?;
        Ok(())
    }

    /// An action with any number of answers.
    pub(super) async fn act(&self, action: &str, body: Bytes) -> Result<Answers<'_>, Failure> {
        let action = Action { r#type: action.to_owned(), body };
        let response = self.client().do_action(versioned(action)).await.map_err(|status| self.failure(&status))?;
        self.check_version(response.metadata())?;
        Ok(Answers { session: self, stream: response.into_inner() })
    }

    /// An execution's messages, from its request.
    pub(super) async fn exchange(&self, request: FlightData) -> Result<Streaming<FlightData>, Failure> {
        let request = versioned(tokio_stream::once(request));
        let response = self.client().do_exchange(request).await.map_err(|status| self.failure(&status))?;
        self.check_version(response.metadata())?;
        Ok(response.into_inner())
    }

    /// What a status from this device means.
    pub(super) fn failure(&self, status: &Status) -> Failure {
        Failure::from_status(status, &self.url)
    }

    /// The device answers, but not by the protocol.
    pub(super) fn broken(&self, reason: impl Into<String>) -> Failure {
        unreachable(&self.url, reason).into()
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, what: &str, json: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(json).map_err(|error| self.broken(format!("unreadable answer to {what}: {error}")))
    }

    pub(super) async fn in_time<T>(&self, what: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = self.tuning.call_timeout;
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.broken(format!("no answer to {what} within {limit:?}"))),
        }
    }

    fn client(&self) -> FlightServiceClient<Channel> {
        let channel = self.channel.get_or_init(|| channel(self.endpoint.clone(), self.tuning, Arc::clone(&self.counter)));
        FlightServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    fn check_version(&self, headers: &MetadataMap) -> Result<(), Failure> {
        let version = headers.get(VERSION_HEADER).and_then(|version| version.to_str().ok()?.parse().ok());
        match version {
            Some(VERSION) => Ok(()),
            Some(theirs) => Err(DeviceError::Version { ours: VERSION, theirs }.into()),
            None => Err(self.broken("it is not a Nearside device")),
        }
    }
}

/// Bodies of an action's results.
pub(super) struct Answers<'a> {
    session: &'a Session,
    stream: Streaming<arrow_flight::Result>,
}

impl Answers<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let result = self.stream.message().await.map_err(|status| self.session.failure(&status))?;
        Ok(result.map(|result| result.body))
    }

    /// The rest, for a stream that outlives the call.
    pub(super) fn into_stream(self) -> Streaming<arrow_flight::Result> {
        self.stream
    }
}

fn versioned<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(VERSION_HEADER, MetadataValue::from(VERSION));
    request
}
