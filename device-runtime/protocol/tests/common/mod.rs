//! A device made of closures, a server for it, and a line that can be cut.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use nearside_device::{
    Description, Device, DeviceError, Event, Execution, Input, MorselId, ObjectSlice, Options, ProgramDigest, Request, RowGroups,
    Status,
};
use nearside_programs::Parameters;
use nearside_protocol::server::{self, serve};
use nearside_protocol::{RemoteDevice, Tuning};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) type Answer = Box<dyn Fn(&Request) -> Result<Execution, DeviceError> + Send + Sync>;

/// A device whose programs are names: an object's bytes are its digest.
pub(crate) struct Fake {
    pub(crate) answer: Answer,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) loaded: Mutex<BTreeSet<String>>,
    pub(crate) loads: AtomicUsize,
    pub(crate) executions: AtomicUsize,
    pub(crate) requests: Mutex<Vec<Request>>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    pub(crate) fn new(answer: impl Fn(&Request) -> Result<Execution, DeviceError> + Send + Sync + 'static) -> Arc<Self> {
        Self::beside(Arc::new(InMemory::new()), answer)
    }

    pub(crate) fn beside(
        store: Arc<dyn ObjectStore>,
        answer: impl Fn(&Request) -> Result<Execution, DeviceError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            store,
            loaded: Mutex::default(),
            loads: AtomicUsize::new(0),
            executions: AtomicUsize::new(0),
            requests: Mutex::default(),
        })
    }

    /// All leases end.
    pub(crate) fn forget(&self) {
        self.loaded.lock().unwrap().clear();
    }

    fn find(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        match self.loaded.lock().unwrap().contains(&program.0) {
            true => Ok(()),
            false => Err(DeviceError::NotLoaded { digest: program.0.clone() }),
        }
    }
}

#[async_trait]
impl Device for Fake {
    async fn describe(&self) -> Result<Description, DeviceError> {
        Ok(Description {
            name: "fake".into(),
            protocol_version: 0,
            columnar_abi: 1,
            helpers: vec![0x10000, 0x10001],
            workers: 2,
            groups_max: 1 << 20,
            object_bytes_max: 1 << 20,
        })
    }

    async fn status(&self) -> Result<Status, DeviceError> {
        Ok(Status { programs: self.loaded.lock().unwrap().len() as u64, ..Status::default() })
    }

    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let name = String::from_utf8(object.to_vec()).map_err(|_| DeviceError::BadProgram { reason: "no name".into() })?;
        self.loaded.lock().unwrap().insert(name.clone());
        Ok(ProgramDigest(name))
    }

    async fn activate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.find(program)
    }

    async fn deactivate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.find(program)
    }

    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.find(program)?;
        self.loaded.lock().unwrap().remove(&program.0);
        Ok(())
    }

    async fn execute(&self, request: Request) -> Result<Execution, DeviceError> {
        self.executions.fetch_add(1, Ordering::SeqCst);
        self.find(&request.program)?;
        let execution = (self.answer)(&request);
        self.requests.lock().unwrap().push(request);
        execution
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }
}

/// A server in this process; stops when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl Served {
    pub(crate) fn url(&self) -> String {
        format!("nearside://{}", self.address)
    }

    pub(crate) fn client(&self) -> Arc<RemoteDevice> {
        RemoteDevice::connect(&self.url()).unwrap()
    }
}

pub(crate) async fn serve_fake(device: Arc<dyn Device>, options: server::Options) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let shutdown = async { stopped.await.unwrap_or_default() };
        serve(listener, device, options, shutdown).await.unwrap();
    });
    Served { address, stop: Some(stop), task }
}

/// A server for `device`, a client of it that has loaded the program `"p"`.
pub(crate) async fn pair(device: &Arc<Fake>) -> (Served, Arc<RemoteDevice>) {
    let served = serve_fake(Arc::clone(device) as Arc<dyn Device>, server::Options::default()).await;
    let client = served.client();
    client.load(Bytes::from_static(b"p")).await.unwrap();
    (served, client)
}

pub(crate) fn request() -> Request {
    let mut parameters = Parameters::default();
    parameters.push(nearside_programs::types::ValueType::Int64, -7);
    parameters.push_text("größer");
    parameters.push(nearside_programs::types::ValueType::Decimal128 { precision: 38, scale: 2 }, i128::MIN);
    Request {
        program: ProgramDigest("p".into()),
        input: Input::Objects {
            schema: Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)])),
            objects: vec![ObjectSlice {
                path: "t/a.parquet".into(),
                size: 1 << 40,
                etag: Some("\"x\"".into()),
                row_groups: RowGroups::Starting { start: 4, end: u64::MAX },
            }],
        },
        parameters,
        options: Options { limit: Some(9), ..Options::default() },
    }
}

pub(crate) fn int_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// `rows` numbers from `first` on.
pub(crate) fn ints(first: i64, rows: i64) -> RecordBatch {
    RecordBatch::try_new(int_schema(), vec![Arc::new(Int64Array::from_iter_values(first..first + rows))]).unwrap()
}

pub(crate) fn batch_event(row_group: u32, batch: RecordBatch) -> Event {
    Event::Batch { morsels: vec![MorselId { object: 0, row_group }], batch }
}

pub(crate) fn execution(schema: SchemaRef, events: Vec<Result<Event, DeviceError>>) -> Execution {
    Execution { schema, events: stream::iter(events).boxed() }
}

pub(crate) fn finished() -> Event {
    Event::Finished(Box::default())
}

/// Numbers without end, 64 KiB a batch. Counts what was taken of it, and says when it was dropped.
pub(crate) fn endless(taken: Arc<AtomicUsize>, dropped: Arc<watch::Sender<bool>>) -> Execution {
    let guard = DropGuard(dropped);
    let events = stream::iter(0_u32..).map(move |index| {
        let _held = &guard;
        taken.fetch_add(1, Ordering::SeqCst);
        Ok(batch_event(index, ints(i64::from(index) << 13, 1 << 13)))
    });
    Execution { schema: int_schema(), events: events.boxed() }
}

/// An execution that never says anything, and says when it was dropped.
pub(crate) fn silent(dropped: Arc<watch::Sender<bool>>) -> Execution {
    let guard = DropGuard(dropped);
    let events = stream::pending().inspect(move |_: &Result<Event, DeviceError>| {
        let _held = &guard;
    });
    Execution { schema: int_schema(), events: events.boxed() }
}

struct DropGuard(Arc<watch::Sender<bool>>);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

pub(crate) async fn collect(execution: Execution) -> Vec<Result<Event, DeviceError>> {
    execution.events.collect().await
}

/// Times a test can wait for.
pub(crate) fn impatient() -> Tuning {
    Tuning {
        connect_timeout: Duration::from_millis(500),
        keep_alive_interval: Duration::from_millis(100),
        keep_alive_timeout: Duration::from_millis(400),
        call_timeout: Duration::from_secs(20),
    }
}

/// What a [`Line`] does with bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// Passes nothing on, closes nothing: a host without power.
    Silent,
    /// Closes both ends: a process that was killed.
    Cut,
}

/// A connection to `target` through a proxy.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    pub(crate) state: watch::Sender<State>,
}

pub(crate) async fn line(target: SocketAddr) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (state, watched) = watch::channel(State::Open);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, target, watched.clone()));
        }
    });
    Line { address, state }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        _ = state.wait_for(|state| *state != State::Open) => {}
    }
    let _ = state.wait_for(|state| *state == State::Cut).await;
}
