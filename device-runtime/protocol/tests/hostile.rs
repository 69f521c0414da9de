//! Peers that lie: a server meets clients that do, a client meets servers that do. Nobody panics, hangs or takes what is too much.

mod common;

use std::sync::Arc;
use std::sync::Mutex;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo,
    PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use async_trait::async_trait;
use bytes::Bytes;
use common::*;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nearside_device::{Device, DeviceError, Event};
use nearside_protocol::{RemoteDevice, VERSION_HEADER, limits, server};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

// ---- a client that lies

struct Liar {
    _served: Served,
    client: FlightServiceClient<Channel>,
    version: Option<&'static str>,
}

async fn liar(device: Arc<Fake>) -> Liar {
    device.loaded.lock().unwrap().insert("p".into());
    let served = serve_fake(device, server::Options::default()).await;
    let channel = Channel::from_shared(format!("http://{}", served.address)).unwrap().connect().await.unwrap();
    let client = FlightServiceClient::new(channel);
    Liar { _served: served, client, version: Some("1") }
}

fn honest() -> Arc<Fake> {
    Fake::new(|_| Ok(execution(int_schema(), vec![Ok(finished())])))
}

impl Liar {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(version) = self.version {
            request.metadata_mut().insert(VERSION_HEADER, version.parse().unwrap());
        }
        request
    }

    async fn act(&mut self, name: &str, body: impl Into<Bytes>) -> Result<Vec<Bytes>, DeviceError> {
        let request = self.request(Action { r#type: name.into(), body: body.into() });
        let results = self.client.do_action(request).await.map_err(|status| device_error(&status))?.into_inner();
        let results: Vec<_> = results.collect().await;
        results.into_iter().map(|result| result.map(|result| result.body).map_err(|status| device_error(&status))).collect()
    }

    async fn exchange(&mut self, messages: Vec<FlightData>) -> Result<Vec<FlightData>, DeviceError> {
        let request = self.request(stream::iter(messages).chain(stream::pending()));
        let answers = self.client.do_exchange(request).await.map_err(|status| device_error(&status))?.into_inner();
        let answers: Vec<_> = answers.collect().await;
        answers.into_iter().map(|answer| answer.map_err(|status| device_error(&status))).collect()
    }
}

/// The error in a status; a status without one is transport's refusal.
fn device_error(status: &Status) -> DeviceError {
    match serde_json::from_slice::<Value>(status.details()) {
        Ok(mut details) => serde_json::from_value(details["device"].take()).unwrap(),
        Err(_) => DeviceError::Internal { reason: format!("{:?}: {}", status.code(), status.message()) },
    }
}

fn schema_header(schema: &Schema) -> Bytes {
    FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default())).data_header
}

/// A request that a server accepts.
fn execute_json() -> Value {
    json!({
        "program": "p",
        "objects": [{"path": "t/a", "size": 1, "etag": null, "row_groups": "all"}],
        "types": ["int64"],
        "slots": [-5],
        "options": {
            "ordered": false, "limit": null, "interpreter": false, "compress": false, "push_back": false, "count_instructions": false, "fuel": null,
        },
    })
}

fn message(json: &Value) -> FlightData {
    FlightData { data_header: schema_header(&int_schema()), app_metadata: json.to_string().into(), ..FlightData::default() }
}

/// Another version is told both versions, in the host's words; a client without one is told what to send.
#[tokio::test]
async fn another_version_is_told() {
    let mut liar = liar(honest()).await;
    liar.version = Some("2");
    let version = DeviceError::Version { ours: 2, theirs: 1 };
    assert_eq!(liar.act("describe", "").await, Err(version.clone()));
    assert_eq!(liar.exchange(vec![message(&execute_json())]).await, Err(version.clone()));
    assert_eq!(version.to_string(), "device speaks protocol 1, this host 2; use the same release on both sides");
    for none in [None, Some("one")] {
        liar.version = none;
        let error = liar.act("describe", "").await.unwrap_err();
        assert!(matches!(&error, DeviceError::BadRequest { reason } if reason.contains("nearside-protocol")), "{error}");
    }
}

/// Each bound, one beyond it. The honest request shows that the lie is what is refused.
#[tokio::test]
async fn requests_beyond_a_bound_are_refused_by_name() {
    let mut liar = liar(honest()).await;
    assert_eq!(liar.exchange(vec![message(&execute_json())]).await.unwrap().len(), 2);
    let object = |path: String, row_groups: Value| json!({"path": path, "size": 1, "etag": null, "row_groups": row_groups});
    let lies: Vec<(&str, &str, Value)> = vec![
        ("number of objects", "objects", vec![object("a".into(), json!("all")); limits::OBJECTS_MAX + 1].into()),
        ("path length", "objects", vec![object("a".repeat(limits::PATH_LEN_MAX + 1), json!("all"))].into()),
        (
            "ETag length",
            "objects",
            json!([{"path": "a", "size": 1, "etag": "e".repeat(limits::ETAG_LEN_MAX + 1), "row_groups": "all"}]),
        ),
        (
            "number of row groups",
            "objects",
            vec![object("a".into(), json!({"only": vec![0; limits::ROW_GROUPS_MAX / 2 + 1]})); 2].into(),
        ),
        ("number of parameters", "slots", vec![0; limits::PARAMETERS_MAX + 1].into()),
        ("program digest length", "program", json!("p".repeat(65))),
    ];
    for (name, field, lie) in lies {
        let mut json = execute_json();
        json[field] = lie;
        let error = liar.exchange(vec![message(&json)]).await.unwrap_err();
        assert!(matches!(&error, DeviceError::Limit { what, given, limit } if what == name && given > limit), "{name}: {error}");
    }
    let large = Bytes::from(vec![0; limits::REQUEST_BYTES_MAX + 1]);
    for error in [
        liar.act("load", large.clone()).await.unwrap_err(),
        liar.exchange(vec![FlightData { data_body: large, ..message(&execute_json()) }]).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("message length too large"), "{error}");
    }
    let ranges = json!({"path": "a", "ranges": vec![(0, 1); limits::RANGES_MAX + 1]});
    let error = liar.act("get_ranges", ranges.to_string()).await.unwrap_err();
    assert!(matches!(&error, DeviceError::Limit { what, .. } if what == "number of ranges"), "{error}");
}

/// Requests that contradict themselves or are no requests.
#[tokio::test]
async fn malformed_requests_are_bad_requests() {
    let mut liar = liar(honest()).await;
    let with = |field: &str, value: Value| {
        let mut json = execute_json();
        json[field] = value;
        message(&json)
    };
    let messages = [
        vec![FlightData::default()],
        vec![with("slots", json!([1, 2]))],
        vec![with("slots", json!(["x"]))],
        vec![with("program", json!(7))],
        vec![FlightData { app_metadata: "[".repeat(100_000).into(), ..message(&execute_json()) }],
        vec![FlightData { data_header: Bytes::new(), ..message(&execute_json()) }],
        vec![FlightData { data_header: vec![0xff; 64].into(), ..message(&execute_json()) }],
    ];
    for messages in messages {
        let error = liar.exchange(messages).await.unwrap_err();
        assert!(matches!(error, DeviceError::BadRequest { .. }), "{error}");
    }
    let actions = [
        ("explode", "{}"),
        ("head", "{"),
        ("activate", "{}"),
        ("get", r#"{"path": "../../etc/passwd"}"#),
        ("get", r#"{"path": "a", "if_modified_since": "yesterday"}"#),
        ("get_ranges", r#"{"path": "a", "ranges": [[5, 3]]}"#),
        ("list", r#"{"prefix": "a/../.."}"#),
    ];
    for (name, body) in actions {
        let error = liar.act(name, body).await.unwrap_err();
        assert!(matches!(error, DeviceError::BadRequest { .. }), "{name} {body}: {error}");
    }
}

/// Deep and wide schemas, and types with impossible parameters.
#[tokio::test]
async fn hostile_schemas_are_refused() {
    let mut liar = liar(honest()).await;
    let mut deep = Field::new("x", DataType::Int64, true);
    for _ in 0..limits::NESTING_MAX + 1 {
        deep = Field::new_list("x", deep, true);
    }
    let wide: Vec<_> = (0..limits::FIELDS_MAX + 1).map(|index| Field::new(format!("{index}"), DataType::Null, true)).collect();
    let negative = Field::new("x", DataType::FixedSizeBinary(-1), true);
    for fields in [vec![deep], wide, vec![negative]] {
        let lie = FlightData { data_header: schema_header(&Schema::new(fields)), ..message(&execute_json()) };
        let error = liar.exchange(vec![lie]).await.unwrap_err();
        assert!(matches!(error, DeviceError::BadRequest { .. }), "{error}");
    }
}

/// A cancellation upstream ends the execution; the server says so and drops it.
#[tokio::test]
async fn cancellation_stops_the_device() {
    let (sender, mut dropped) = tokio::sync::watch::channel(false);
    let sender = Arc::new(sender);
    let device = Fake::new(move |_| Ok(silent(Arc::clone(&sender))));
    let mut liar = liar(device).await;
    let cancel = FlightData { app_metadata: "\"cancel\"".into(), ..FlightData::default() };
    let error = liar.exchange(vec![message(&execute_json()), cancel]).await.unwrap_err();
    assert_eq!(error, DeviceError::BadRequest { reason: "canceled".into() });
    dropped.wait_for(|dropped| *dropped).await.unwrap();
}

// ---- a server that lies

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// What a lying server sends, by action name; `execute` for executions.
type Lie = Arc<Mutex<Vec<FlightData>>>;

#[derive(Clone)]
struct LyingServer {
    version: Option<&'static str>,
    exchange: Lie,
    action: Arc<Mutex<Vec<Bytes>>>,
}

impl LyingServer {
    fn answer<T>(&self, body: T) -> Response<T> {
        let mut response = Response::new(body);
        if let Some(version) = self.version {
            response.metadata_mut().insert(VERSION_HEADER, version.parse().unwrap());
        }
        response
    }
}

#[async_trait]
impl FlightService for LyingServer {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        let messages = self.exchange.lock().unwrap().clone();
        Ok(self.answer(stream::iter(messages.into_iter().map(Ok)).boxed()))
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let bodies = self.action.lock().unwrap().clone();
        Ok(self.answer(stream::iter(bodies.into_iter().map(|body| Ok(arrow_flight::Result { body }))).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

async fn lying_server(version: Option<&'static str>) -> (LyingServer, Arc<RemoteDevice>) {
    let server = LyingServer { version, exchange: Arc::default(), action: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = RemoteDevice::connect(&format!("nearside://{}", listener.local_addr().unwrap())).unwrap();
    let service = FlightServiceServer::new(server.clone());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    (server, client)
}

/// The messages of an honest execution of these batches, as a server of ours sends them.
async fn honest_messages(batch: RecordBatch, compress: bool) -> Vec<FlightData> {
    let device = Fake::new(move |_| {
        let done = Event::MorselsDone(vec![nearside_device::MorselId { object: 0, row_group: 0 }]);
        Ok(execution(batch.schema(), vec![Ok(batch_event(0, batch.clone())), Ok(done), Ok(finished())]))
    });
    let mut liar = liar(device).await;
    let mut json = execute_json();
    json["options"]["compress"] = compress.into();
    liar.exchange(vec![message(&json)]).await.unwrap()
}

/// A client refuses a server of another version, and one that has none, at the first answer.
#[tokio::test]
async fn a_server_of_another_version_is_refused() {
    let (_, client) = lying_server(Some("7")).await;
    let version = DeviceError::Version { ours: 1, theirs: 7 };
    assert_eq!(client.describe().await, Err(version.clone()));
    assert_eq!(client.execute(request()).await.err(), Some(version));
    let (_, client) = lying_server(None).await;
    let error = client.describe().await.unwrap_err();
    assert!(error.to_string().ends_with("it is not a Nearside device"), "{error}");
}

/// Reads that are shorter, longer, or of something else.
#[tokio::test]
async fn reads_that_lie_fail() {
    let (server, client) = lying_server(Some("1")).await;
    let store = client.objects();
    let got = |start: u64, end: u64| {
        let meta = json!({"path": "a", "size": 10, "modified": "2026-01-01T00:00:00Z", "etag": null, "version": null});
        Bytes::from(json!({"meta": meta, "start": start, "end": end}).to_string())
    };
    let bytes = |len: usize| Bytes::from(vec![7; len]);
    let get = async || store.get(&Path::from("a")).await?.bytes().await;
    for (answers, good) in [
        (vec![got(0, 10), bytes(10)], true),
        (vec![got(0, 10), bytes(4), bytes(6)], true),
        (vec![got(0, 10), bytes(9)], false),
        (vec![got(0, 10), bytes(11)], false),
        (vec![got(0, 11), bytes(11)], false),
        (vec![got(5, 4)], false),
        (vec![bytes(3)], false),
        (vec![], false),
    ] {
        *server.action.lock().unwrap() = answers.clone();
        assert_eq!(get().await.is_ok(), good, "{answers:?}");
    }
    for (answers, good) in
        [(vec![bytes(6)], true), (vec![bytes(3), bytes(3)], true), (vec![bytes(5)], false), (vec![bytes(7)], false)]
    {
        *server.action.lock().unwrap() = answers.clone();
        assert_eq!(store.get_ranges(&Path::from("a"), &[0..4, 8..10]).await.is_ok(), good, "{answers:?}");
    }
    *server.action.lock().unwrap() = vec![json!({"prefixes": vec!["a"; limits::PAGE_ENTRIES_MAX + 1]}).to_string().into()];
    assert!(store.list_with_delimiter(None).await.is_err());
    *server.action.lock().unwrap() = vec![json!({"prefixes": ["../b"]}).to_string().into()];
    assert!(store.list_with_delimiter(None).await.is_err());
}

/// Executions cut short, out of order, or with too many morsels.
#[tokio::test]
async fn executions_that_lie_fail() {
    let honest = honest_messages(ints(0, 100), false).await;
    let (server, client) = lying_server(Some("1")).await;
    let mark = |json: Value| FlightData { app_metadata: json.to_string().into(), ..FlightData::default() };
    let morsel = json!({
        "id": {"object": 0, "row_group": 0}, "rows": 0, "bytes_eligible": 0, "bytes_pruned": 0, "bytes_read": 0, "bytes_decoded": 0,
        "rows_considered": 0, "rows_selected": 0, "calls": 0, "narrow_calls": 0, "helper_calls": 0, "fuel": 0,
    });
    let morsels = mark(json!({"morsels": vec![morsel; 70_000]}));
    let [schema, batch, done, finished] = &honest[..] else { panic!("{}", honest.len()) };
    let cases: Vec<(bool, Vec<&FlightData>)> = vec![
        (true, vec![schema, batch, done, finished]),
        (true, vec![schema, batch, done, &morsels, finished]),
        (false, vec![]),
        (false, vec![schema]),
        (false, vec![schema, batch, done]),
        (false, vec![batch, schema, finished]),
        (false, vec![schema, schema, finished]),
        (false, [vec![schema], vec![&morsels; 15], vec![finished]].concat()),
    ];
    for (index, (good, messages)) in cases.into_iter().enumerate() {
        *server.exchange.lock().unwrap() = messages.into_iter().cloned().collect();
        let whole = match client.execute(request()).await {
            Ok(execution) => collect(execution).await.iter().all(Result::is_ok),
            Err(_) => false,
        };
        assert_eq!(whole, good, "case {index}");
    }
}

/// Honest messages with a few bytes changed: the client ends with events or an error, never with a panic that leaves it, a hang, or
/// gigabytes. The seed is the test's; a failure prints the round.
#[tokio::test]
async fn corrupted_messages_are_errors() {
    let columns = honest_columns();
    let (server, client) = lying_server(Some("1")).await;
    let mut random = StdRng::seed_from_u64(3);
    // Assertions inside arrow are contained by the client; their words are not this test's output.
    std::panic::set_hook(Box::new(|_| {}));
    for compress in [false, true] {
        let honest = honest_messages(columns.clone(), compress).await;
        let mut errors = 0;
        for round in 0..1_500 {
            let mut messages = honest.clone();
            let message = random.random_range(0..messages.len() - 1);
            let part = match random.random_range(0..4) {
                0 => &mut messages[message].data_body,
                1 => &mut messages[message].app_metadata,
                _ => &mut messages[message].data_header,
            };
            corrupt(part, &mut random);
            *server.exchange.lock().unwrap() = messages;
            let events = match client.execute(request()).await {
                Ok(execution) => collect(execution).await,
                Err(error) => vec![Err(error)],
            };
            assert!(matches!(events.last(), Some(Ok(Event::Finished(_)) | Err(_))), "round {round}");
            errors += usize::from(events.last().is_some_and(Result::is_err));
        }
        assert!(errors > 300, "{errors} errors: the corruption does not reach");
    }
    let _ = std::panic::take_hook();
}

fn honest_columns() -> RecordBatch {
    use arrow::array::*;
    let dictionary: DictionaryArray<arrow::datatypes::Int32Type> = [Some("x"), None, Some("y")].into_iter().collect();
    let mut list = ListBuilder::new(Int32Builder::new());
    (0..3).for_each(|row| list.append_value((0..row).map(Some)));
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
    )]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("utf8", Arc::new(StringArray::from(vec![Some("a"), None, Some("größer")]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("short"), None, Some("longer than twelve bytes")]))),
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(list.finish())),
        ("struct", Arc::new(structs)),
        ("decimal", Arc::new(Decimal128Array::from(vec![1, 2, 3]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn corrupt(part: &mut Bytes, random: &mut StdRng) {
    let mut bytes = part.to_vec();
    if bytes.is_empty() {
        return;
    }
    match random.random_range(0..4) {
        0 => bytes.truncate(random.random_range(0..bytes.len())),
        1 => {
            let at = random.random_range(0..bytes.len());
            bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff);
        }
        _ => {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
    }
    *part = bytes.into();
}
