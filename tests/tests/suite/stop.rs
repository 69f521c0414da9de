//! A client that goes away, by Ctrl-C or by dropping its stream, stops the device within a morsel, and leaves nothing behind.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use futures::stream::BoxStream;
use nearside_device::{Config, Device, Embedded, Status};
use nearside_protocol::RemoteDevice;
use nearside_tests::{Daemon, Process, Streams, Tables, Terminal, finish, nearside, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

/// 74 row groups of lineitem.
static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.1, 8192));

const MORSELS: u64 = 74;

/// Many rows of byte code: with the interpreter it takes long enough to be caught at it.
const SLOW: &str = "SET nearside.interpreter = true;
    SELECT count(*), sum(l_tax) FROM lineitem WHERE l_quantity * l_extendedprice * (1 - l_discount) > 30;";

/// Less than a cage takes.
const CAGE: u64 = 4 << 30;

/// A daemon, and the state that we ask it for.
struct Watched {
    daemon: Daemon,
    device: Arc<RemoteDevice>,
    runtime: Runtime,
}

impl Watched {
    fn start() -> Self {
        let daemon = Daemon::start(TABLES.path(), &["--workers", "1"]);
        let device = RemoteDevice::connect(&daemon.url).expect("a URL");
        let runtime = Runtime::new().expect("threads");
        // A shell that has started us in the background had SIGINT ignored, for our children, too. What is handled here is not ignored there.
        let entered = runtime.enter();
        drop(signal(SignalKind::interrupt()).expect("a handler"));
        drop(entered);
        Self { daemon, device, runtime }
    }

    fn process(&self) -> Process {
        self.daemon.process()
    }

    fn status(&self) -> Status {
        self.runtime.block_on(self.device.status()).expect("a status")
    }

    /// Lets the daemon, which stands still, go on without its client: how many bytes of files it still reads.
    fn wind_down(&self) -> u64 {
        let process = self.process();
        let before = process.bytes_read();
        self.daemon.signal(Signal::SIGCONT);
        wait_until("no thread runs programs", || process.workers() == 0);
        process.bytes_read() - before
    }

    /// Nothing is left of executions, and of programs as many as there were different ones.
    fn assert_free(&self) {
        let nothing = Status::default();
        wait_until("all is given back", || {
            let status = self.status();
            (status.executions, status.row_group_bytes) == (nothing.executions, nothing.row_group_bytes)
        });
        assert_eq!(self.status().programs, 1);
    }
}

/// Whatever ends the command: the daemon stops, far from the end of the file, and is as it was before; also after many of them.
#[test]
fn a_client_that_is_gone_stops_the_device() {
    let watched = Watched::start();
    let mut sizes = Vec::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT, Signal::SIGINT] {
        let client = nearside(["sql", "--device", &watched.daemon.url, "--offload", "always", "-c", SLOW]).spawn();
        let client = client.expect("nearside runs");
        watched.daemon.freeze(0);
        kill(Pid::from_raw(client.id().cast_signed()), signal).expect("a running client");
        let ended = finish(client);
        assert_eq!(ended.code, None, "it ends by {signal}, and does not say: {}", ended.stderr);
        let rest = watched.wind_down();
        assert!(rest < TABLES.file_len("lineitem") / 10, "{signal}: {rest} bytes were read for nobody");
        watched.assert_free();
        sizes.push(watched.process().address_space());
    }
    // Where an execution had not quite ended when the next began, there are two cages, and they are kept for those that come.
    assert!(sizes[4] < sizes[0] + 2 * CAGE, "address space grows: {sizes:?}");
}

/// Ctrl-C in the shell stops the query, here and there; the shell goes on, and so does the daemon.
#[test]
fn ctrl_c_in_the_shell_stops_the_query() {
    let watched = Watched::start();
    let history = tempfile::tempdir().expect("a folder");
    let mut command = nearside(["sql", "--device", &watched.daemon.url, "--offload", "always"]);
    command.env("XDG_STATE_HOME", history.path());
    let mut shell = Terminal::start(command, Streams::All);
    shell.wait_for("nearside> ", 1);
    // One line: between two, the shell may not be listening yet.
    shell.type_line(&SLOW.split_whitespace().collect::<Vec<_>>().join(" "));
    watched.daemon.freeze(0);
    shell.signal(Signal::SIGINT);
    shell.wait_for("error: stopped", 1);
    watched.wind_down();
    watched.assert_free();
    shell.type_line("SELECT 6 * 7 AS answer;");
    shell.wait_for("42", 1);
    shell.type_line("\\q");
    assert_eq!(shell.end(), Some(0));
}

/// A stream dropped in the middle of a morsel: its rest is read, and not one byte of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_stops_within_the_morsel() {
    let store = Arc::new(Gate::over(TABLES.path()));
    let config = Config { workers: 1, ..Config::default() };
    let device = Embedded::object_store(Arc::clone(&store) as _, ObjectPath::default(), config);
    let own = [("nearside://gated:1".parse().expect("a device"), Arc::clone(&device) as _)];
    let context = nearside::extend_with(SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1)), own)
        .expect("Nearside");
    for setting in [format!("nearside.devices = '{}/=nearside://gated:1'", TABLES.url()), "nearside.offload = 'always'".into()] {
        context.sql(&format!("SET {setting}")).await.expect("a setting");
    }
    let url = format!("{}/lineitem.parquet", TABLES.url());
    context.register_parquet("lineitem", url, ParquetReadOptions::default()).await.expect("a table");
    let sql = "SELECT count(*), sum(l_tax) FROM lineitem WHERE l_quantity < 10";

    store.open(10); // a few morsels
    let frame = context.sql(sql).await.expect("a query");
    let mut rows = frame.execute_stream().await.expect("a stream");
    let polling = tokio::spawn(async move { rows.next().await });
    tokio::task::block_in_place(|| wait_until("it waits for its next bytes", || store.waiting() == 1));
    polling.abort();
    assert!(polling.await.is_err_and(|error| error.is_cancelled()));
    let before = store.reads();
    store.open(Semaphore::MAX_PERMITS - 100);
    let mut status = device.status().await.expect("a status");
    while status.executions > 0 {
        tokio::task::yield_now().await;
        status = device.status().await.expect("a status");
    }
    assert_eq!(status.row_group_bytes, 0);
    let after = store.reads() - before;
    assert!(after <= 2, "{after} reads after the end; a morsel of {MORSELS} takes two");

    // The device is none the worse for it.
    let answer = context.sql(sql).await.expect("a query").collect().await.expect("an answer");
    context.sql("SET nearside.offload = 'never'").await.expect("a setting");
    let expected = context.sql(sql).await.expect("a query").collect().await.expect("an answer");
    let text = |batches| pretty_format_batches(batches).expect("text").to_string();
    assert_eq!(text(&answer), text(&expected));
}

/// A folder whose reads of ranges must be let through, and are counted.
#[derive(Debug)]
struct Gate {
    files: LocalFileSystem,
    permits: Semaphore,
    asked: AtomicUsize,
    let_through: AtomicUsize,
}

impl Gate {
    fn over(folder: &std::path::Path) -> Self {
        let files = LocalFileSystem::new_with_prefix(folder).expect("a folder");
        Self { files, permits: Semaphore::new(0), asked: AtomicUsize::new(0), let_through: AtomicUsize::new(0) }
    }

    fn open(&self, reads: usize) {
        self.permits.add_permits(reads);
    }

    /// Reads so far.
    fn reads(&self) -> usize {
        self.let_through.load(Ordering::SeqCst)
    }

    fn waiting(&self) -> usize {
        self.asked.load(Ordering::SeqCst) - self.reads()
    }

    async fn pass(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.expect("an open gate").forget();
        self.let_through.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gated {}", self.files)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Gate {
    async fn get_opts(&self, path: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        if !options.head {
            self.pass().await;
        }
        self.files.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.pass().await;
        self.files.get_ranges(path, ranges).await
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn put_opts(&self, path: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.files.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &ObjectPath, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<ObjectPath>>) -> BoxStream<'static, Result<ObjectPath>> {
        self.files.delete_stream(paths)
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}
