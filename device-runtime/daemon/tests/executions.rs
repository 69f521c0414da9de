//! Programs of the planner over Parquet files, by the device in this process and by a `nearsided` in another.

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use common::Nearsided;
use futures::StreamExt;
use nearside_device::{
    Config, Device, DeviceError, Embedded, Event, Execution, Input, Ledger, ObjectSlice, Options, Request, RowGroups,
};
use nearside_planner::{Capabilities, Fragment, compile};
use nearside_protocol::RemoteDevice;
use nix::sys::signal::Signal;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

const ROW_GROUP: usize = 50_000;
/// 24 MB of results that do not compress: more than all windows and queues between the processes hold.
const ROWS: usize = 3_000_000;
const LONG: Duration = Duration::from_secs(120);

/// `k` counts, `x` looks like noise, `s` has seven values.
fn batch(rows: usize) -> RecordBatch {
    let x = (0..rows as u64).map(|row| (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) as i64);
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("x", Arc::new(Int64Array::from_iter_values(x))),
        ("s", Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("s{}", row % 7))))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

struct Table {
    directory: tempfile::TempDir,
    schema: SchemaRef,
    rows: usize,
}

fn table(rows: usize) -> Table {
    let directory = tempfile::tempdir().unwrap();
    let batch = batch(rows);
    let file = File::create(directory.path().join("t.parquet")).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP)).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Table { directory, schema: batch.schema(), rows }
}

impl Table {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn daemon(&self, more: &[&str]) -> (Nearsided, Arc<RemoteDevice>) {
        let daemon = Nearsided::start(self.path().as_os_str(), more);
        let device = RemoteDevice::connect(&daemon.url).unwrap();
        (daemon, device)
    }

    /// Loads a fragment over columns of the table, and the request that runs it over the whole file.
    async fn request(&self, device: &dyn Device, fragment: &str) -> Request {
        let fragment: Fragment = fragment.parse().unwrap();
        let description = device.describe().await.unwrap();
        let helpers = description.helpers.into_iter().collect();
        let compiled = compile(&fragment, &Capabilities { helpers }).unwrap();
        let program = device.load(Bytes::from(compiled.object.write())).await.unwrap();
        let fields = fragment.columns.iter().map(|column| self.schema.field_with_name(&column.name).unwrap().clone());
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        let meta = device.objects().head(&ObjectPath::from("t.parquet")).await.unwrap();
        let object = ObjectSlice { path: "t.parquet".into(), size: meta.size, etag: meta.e_tag, row_groups: RowGroups::All };
        let options = Options { ordered: true, ..Options::default() };
        Request { program, input: Input::Objects { schema, objects: vec![object] }, parameters: compiled.parameters, options }
    }
}

const EVERYTHING: &str = "scan (k: i64, x: i64) | filter k >= 0 | emit x";
const FRAGMENTS: [&str; 4] = [
    "scan (k: i64, x: i64, s: utf8) | filter k >= 49990 and k < 50010 and s <> 's3' | emit k, s, y: x + 1",
    "scan (k: i64, s: utf8) | filter s like '%5' | group by s | aggregate n: count(*), t: sum(k)",
    "scan (k: i64, x: i64) | filter x > 0 | aggregate n: count(*), t: sum(k)",
    "scan (k: i64) | filter k < 0 | emit k",
];

/// All rows in their order, and the ledger.
async fn run(device: &dyn Device, request: Request) -> Result<(RecordBatch, Ledger), DeviceError> {
    let execution = device.execute(request).await?;
    drain(execution).await
}

async fn drain(execution: Execution) -> Result<(RecordBatch, Ledger), DeviceError> {
    let Execution { schema, mut events } = execution;
    let mut batches = Vec::new();
    while let Some(event) = tokio::time::timeout(LONG, events.next()).await.expect("a hang") {
        match event? {
            Event::Batch { batch, .. } => batches.push(batch),
            Event::MorselsDone(_) => {}
            Event::Finished(ledger) => return Ok((concat_batches(&schema, &batches).unwrap(), *ledger)),
        }
    }
    panic!("no ledger and no error");
}

/// The same rows and the same account of the work, whichever process did it; and little goes over the wire for an aggregate.
#[tokio::test]
async fn the_answer_is_the_same_from_another_process() {
    let table = table(200_000);
    let embedded = Embedded::directory(table.path(), Config::default()).unwrap();
    let (_daemon, remote) = table.daemon(&[]);
    for fragment in FRAGMENTS {
        let here = run(&*embedded, table.request(&*embedded, fragment).await).await.unwrap();
        let request = table.request(&*remote, fragment).await;
        let before = remote.socket_bytes();
        let there = run(&*remote, request).await.unwrap();
        let after = remote.socket_bytes();
        assert_eq!(there.0, here.0, "{fragment}");
        assert_eq!(there.1.work, here.1.work, "{fragment}");
        let moved = after.sent + after.received - before.sent - before.received;
        assert!(moved < 16 << 10, "{fragment}: {moved} bytes");
    }
}

/// The remote store's bytes are the file's.
#[tokio::test]
async fn the_file_can_be_read_as_it_is() {
    let table = table(200_000);
    let (_daemon, remote) = table.daemon(&[]);
    let bytes = remote.objects().get(&ObjectPath::from("t.parquet")).await.unwrap().bytes().await.unwrap();
    assert!(bytes == std::fs::read(table.path().join("t.parquet")).unwrap());
}

/// Killed in the middle of a stream: unreachable, no hang, no ledger.
#[tokio::test]
async fn a_killed_daemon_is_unreachable() {
    let table = table(ROWS);
    let (daemon, remote) = table.daemon(&[]);
    let mut execution = remote.execute(table.request(&*remote, EVERYTHING).await).await.unwrap();
    execution.events.next().await.unwrap().unwrap();
    daemon.signal(Signal::SIGKILL);
    let error = drain(execution).await.unwrap_err();
    assert!(matches!(&error, DeviceError::Unreachable { url, .. } if *url == daemon.url), "{error:?}");
}

/// SIGTERM in the middle of a stream: it ends whole, then the process does.
#[tokio::test]
async fn sigterm_lets_executions_finish() {
    let table = table(ROWS);
    let (daemon, remote) = table.daemon(&["--grace", "100"]);
    let mut execution = remote.execute(table.request(&*remote, EVERYTHING).await).await.unwrap();
    let Some(Ok(Event::Batch { batch, .. })) = execution.events.next().await else { panic!("no batch") };
    daemon.signal(Signal::SIGTERM);
    let (rest, _) = drain(execution).await.unwrap();
    assert_eq!(batch.num_rows() + rest.num_rows(), table.rows);
    assert_eq!(daemon.end().await.0, Some(0));
}

/// A reader that has paused does not keep the process: it is cut after the grace period, and told so.
#[tokio::test]
async fn sigterm_cuts_after_its_grace() {
    let table = table(ROWS);
    let (daemon, remote) = table.daemon(&["--grace", "0"]);
    let execution = remote.execute(table.request(&*remote, EVERYTHING).await).await.unwrap();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().await.0, Some(0));
    let error = drain(execution).await.unwrap_err();
    assert!(matches!(error, DeviceError::Busy { .. } | DeviceError::Unreachable { .. }), "{error:?}");
}

/// A dropped stream gives back its place: with room for one execution, the next one starts.
#[tokio::test]
async fn a_dropped_stream_frees_the_device() {
    let table = table(ROWS);
    let (_daemon, remote) = table.daemon(&["--executions", "1"]);
    let request = table.request(&*remote, EVERYTHING).await;
    let mut execution = remote.execute(request.clone()).await.unwrap();
    execution.events.next().await.unwrap().unwrap();
    assert!(matches!(remote.execute(request.clone()).await, Err(DeviceError::Busy { .. })));
    drop(execution);
    let again = async {
        loop {
            match remote.execute(request.clone()).await {
                Err(DeviceError::Busy { .. }) => tokio::task::yield_now().await,
                other => return other,
            }
        }
    };
    tokio::time::timeout(LONG, again).await.expect("its place is not given back").unwrap();
}

/// What is wrong with a file, a path or a program arrives as the device says it.
#[tokio::test]
async fn errors_arrive_typed() {
    let table = table(1_000);
    let (_daemon, remote) = table.daemon(&[]);
    let request = table.request(&*remote, EVERYTHING).await;
    let with = |change: &dyn Fn(&mut ObjectSlice)| {
        let mut request = request.clone();
        let Input::Objects { objects, .. } = &mut request.input;
        change(&mut objects[0]);
        request
    };
    let error = run(&*remote, with(&|object| object.etag = Some("\"other\"".into()))).await.unwrap_err();
    assert!(matches!(&error, DeviceError::Changed { path, .. } if path == "t.parquet"), "{error:?}");
    let error = run(&*remote, with(&|object| object.path = "none.parquet".into())).await.unwrap_err();
    assert!(matches!(error, DeviceError::NotFound { .. }), "{error:?}");
    let error = run(&*remote, with(&|object| object.path = "../t.parquet".into())).await.unwrap_err();
    assert!(matches!(error, DeviceError::NotFound { .. } | DeviceError::BadRequest { .. }), "{error:?}");
    let error = remote.load(Bytes::from_static(b"no ELF")).await.unwrap_err();
    assert!(matches!(error, DeviceError::BadProgram { .. }), "{error:?}");

    let path = table.path().join("t.parquet");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(table.path().join("cut.parquet"), &whole[..whole.len() - 100]).unwrap();
    let cut = with(&|object| {
        *object = ObjectSlice { path: "cut.parquet".into(), size: whole.len() as u64 - 100, etag: None, ..object.clone() }
    });
    let error = run(&*remote, cut).await.unwrap_err();
    assert!(matches!(&error, DeviceError::BadObject { path, .. } if path == "cut.parquet"), "{error:?}");
}
