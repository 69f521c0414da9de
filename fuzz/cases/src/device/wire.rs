//! A hostile peer: whatever a client sends, the server ends the call with an answer or an error, and serves on; whatever a server sends, the client ends
//! the call with an answer or an error, and hands no invalid batch to its host. Over real sockets on loopback, so that gRPC and protobuf are part of it.
//!
//! The first byte of an input says who lies, and how; see [`Kind`].

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData};
use bytes::Bytes;
use futures::TryStreamExt;
use nearside_device::{Device, hush_expected_panics};
use nearside_protocol::limits::DECODED_BYTES_MAX;
use nearside_protocol::{RemoteDevice, VERSION, VERSION_HEADER, server};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::files;
use super::host::{Host, drain};
use super::liar::{Liar, Lie};
use crate::{Target, fragments};

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 32 << 10;
/// Most messages of one call.
const MESSAGES_MAX: usize = 64;
/// What the device behind the server may have of row groups, bytes.
const ROW_GROUPS_BYTES_MAX: u64 = 32 << 20;
/// Most memory on the heap, bytes: one message decompressed, as [`DECODED_BYTES_MAX`] allows, and the transport's windows.
const MEMORY_MAX: usize = DECODED_BYTES_MAX + (64 << 20);

/// The actions of the protocol, and one that is not.
const ACTIONS: [&str; 11] =
    ["describe", "status", "load", "activate", "deactivate", "unload", "head", "get", "get_ranges", "list", "explode"];

/// What the first byte of an input means, and what follows.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    /// A client's execution: Flight messages with their lengths.
    Exchange,
    /// A client's action: index of its name, body.
    Act,
    /// A server's execution: Flight messages with their lengths.
    Events,
    /// A server's results of an action: index of its name, Flight results with their lengths.
    Results,
    /// A server's refusal: gRPC code, details.
    Refusal,
}

const KINDS: [Kind; 5] = [Kind::Exchange, Kind::Act, Kind::Events, Kind::Results, Kind::Refusal];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
static PEERS: LazyLock<Peers> = LazyLock::new(|| RUNTIME.block_on(Peers::new()));

pub(crate) const TARGET: Target =
    Target { name: "wire", memory: (MEMORY_MAX, 0), prepare, check, seeds: || RUNTIME.block_on(seeds(&PEERS)) };

fn prepare() {
    hush_expected_panics();
    // A peer hangs up while we write to it. In a program of Rust's own, that is an error; under libFuzzer's `main`, it would be the end.
    let _guard = RUNTIME.enter();
    // The handler stays, whoever listens.
    drop(signal(SignalKind::pipe()).expect("a handler"));
    LazyLock::force(&PEERS);
}

fn check(input: &[u8]) -> bool {
    let [kind, rest @ ..] = input else { return false };
    let Some(&kind) = KINDS.get(usize::from(*kind)) else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    RUNTIME.block_on(PEERS.call(kind, rest))
}

/// Both sides, each with a peer that lies.
struct Peers {
    /// A client that lies: to a server with a device that executes.
    executing: FlightServiceClient<Channel>,
    /// To another, whose programs it may unload.
    acting: FlightServiceClient<Channel>,
    /// A server that lies.
    liar: Liar,
    /// To this client.
    client: Arc<RemoteDevice>,
    host: Host,
}

impl Peers {
    async fn new() -> Self {
        let file = files::files().remove(0);
        let host = Host::new(ROW_GROUPS_BYTES_MAX, &file).await;
        let other = Host::new(ROW_GROUPS_BYTES_MAX, &file).await;
        let (listener, address) = listen().await;
        let (executing, acting) = (served(&host).await, served(&other).await);
        let client = RemoteDevice::connect(&format!("nearside://{address}")).expect("an address");
        Self { executing, acting, liar: Liar::serve(listener), client, host }
    }

    async fn call(&self, kind: Kind, input: &[u8]) -> bool {
        match kind {
            Kind::Exchange => self.exchange(messages(input)).await,
            Kind::Act => return self.act(input).await,
            Kind::Events => self.events(messages(input)).await,
            Kind::Results => return self.results(input).await,
            Kind::Refusal => return self.refusal(input).await,
        }
        true
    }

    async fn exchange(&self, messages: Vec<FlightData>) {
        let request = versioned(futures::stream::iter(messages));
        if let Ok(answers) = self.executing.clone().do_exchange(request).await {
            _ = answers.into_inner().try_collect::<Vec<_>>().await;
        }
    }

    async fn act(&self, input: &[u8]) -> bool {
        let [name, body @ ..] = input else { return false };
        let Some(name) = ACTIONS.get(usize::from(*name)) else { return false };
        let action = Action { r#type: (*name).to_owned(), body: Bytes::copy_from_slice(body) };
        if let Ok(answers) = self.acting.clone().do_action(versioned(action)).await {
            _ = answers.into_inner().try_collect::<Vec<_>>().await;
        }
        true
    }

    async fn events(&self, messages: Vec<FlightData>) {
        self.liar.tell(Lie::Messages(messages));
        let request = self.host.requests(1).next().expect("there are programs");
        if let Ok(execution) = self.client.execute(request).await {
            _ = drain(execution).await;
        }
    }

    async fn results(&self, input: &[u8]) -> bool {
        let [name, results @ ..] = input else { return false };
        let Some(name) = ACTIONS.get(usize::from(*name)) else { return false };
        self.liar.tell(Lie::Results(messages(results)));
        self.ask(name).await;
        true
    }

    async fn refusal(&self, input: &[u8]) -> bool {
        let [code, details @ ..] = input else { return false };
        self.liar.tell(Lie::Refusal(Status::with_details(Code::from(i32::from(*code)), "no", Bytes::copy_from_slice(details))));
        self.ask("get").await;
        _ = self.client.describe().await;
        true
    }

    /// What a host asks for with an action of that name.
    async fn ask(&self, name: &str) {
        let (store, path) = (self.client.objects(), Path::from("t.parquet"));
        match name {
            "status" => _ = self.client.status().await,
            "load" => {
                if let Ok(program) = self.client.load(Bytes::from_static(b"any")).await {
                    _ = self.client.unload(&program).await;
                }
            }
            "head" => _ = store.head(&path).await,
            "get" => {
                if let Ok(result) = store.get(&path).await {
                    _ = result.bytes().await;
                }
            }
            "get_ranges" => _ = store.get_ranges(&path, &[0..3, 2..70, 5..5]).await,
            "list" => {
                _ = store.list_with_delimiter(None).await;
                _ = store.list(None).try_collect::<Vec<_>>().await;
            }
            _ => _ = self.client.describe().await,
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// A client of a server of the host's device.
async fn served(host: &Host) -> FlightServiceClient<Channel> {
    let (listener, address) = listen().await;
    let device = Arc::clone(&host.device) as Arc<dyn Device>;
    tokio::spawn(server::serve(listener, device, server::Options::default(), std::future::pending()));
    let channel = Channel::from_shared(format!("http://{address}")).expect("a URL").connect_lazy();
    FlightServiceClient::new(channel)
}

fn versioned<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(VERSION_HEADER, VERSION.into());
    request
}

/// As many messages as can be read.
fn messages<T: Message + Default>(mut input: &[u8]) -> Vec<T> {
    std::iter::from_fn(|| T::decode_length_delimited(&mut input).ok()).take(MESSAGES_MAX).collect()
}

fn encoded<T: Message>(prefix: &[u8], messages: &[T]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    messages.iter().for_each(|message| bytes.extend(message.encode_length_delimited_to_vec()));
    bytes
}

/// What honest peers say to each other, heard in between.
async fn seeds(peers: &Peers) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let size = files::files()[0].len() as u64;
    for request in peers.host.requests(size) {
        _ = peers.client.execute(request).await;
        let Some(message) = peers.liar.heard() else { continue };
        seeds.push(encoded(&[Kind::Exchange as u8], std::slice::from_ref(&message)));
        let answers = peers.executing.clone().do_exchange(versioned(futures::stream::iter([message]))).await;
        let answers: Vec<FlightData> =
            answers.expect("an honest request").into_inner().try_collect().await.expect("an honest answer");
        seeds.push(encoded(&[Kind::Events as u8], &answers));
    }
    let object = fragments::programs().remove(0).1.object.write();
    let program = format!(r#"{{"program": "{}"}}"#, peers.host.requests(size).next().expect("there are programs").program);
    let actions: [(u8, &[u8]); 11] = [
        (0, b""),
        (1, b""),
        (2, &object),
        (3, program.as_bytes()),
        (6, br#"{"path": "t.parquet"}"#),
        (7, br#"{"path": "t.parquet", "range": {"bounded": [4, 100]}, "if_match": "0"}"#),
        (7, br#"{"path": "t.parquet", "range": {"last": 8}, "if_unmodified_since": "2100-01-01T00:00:00Z"}"#),
        (8, br#"{"path": "t.parquet", "ranges": [[0, 3], [2, 70], [5, 5]]}"#),
        (9, br#"{"prefix": "a/b", "after": "a/b/c", "delimiter": false}"#),
        (9, br#"{"delimiter": true}"#),
        (7, br#"{"path": "gone"}"#),
    ];
    for (name, body) in actions {
        seeds.push([&[Kind::Act as u8, name], body].concat());
        let action = Action { r#type: ACTIONS[usize::from(name)].to_owned(), body: Bytes::copy_from_slice(body) };
        match peers.acting.clone().do_action(versioned(action)).await {
            Ok(answers) => {
                let results: Vec<_> = answers.into_inner().try_collect().await.unwrap_or_default();
                seeds.push(encoded(&[Kind::Results as u8, name], &results));
            }
            Err(status) => seeds.push([&[Kind::Refusal as u8, status.code() as u8], status.details()].concat()),
        }
    }
    seeds
}
