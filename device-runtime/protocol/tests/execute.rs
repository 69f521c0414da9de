//! Executions over the wire: what arrives is what the device said, and what stops at one end stops at the other.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use common::*;
use futures::StreamExt;
use nearside_device::ledger::{Ledger, Morsel, Timing, Work};
use nearside_device::{Device, DeviceError, Event, Input, MorselId, Options, ProgramDigest, Request, Status};
use nearside_protocol::RemoteDevice;
use nearside_protocol::server;
use tokio::sync::watch;

fn id(object: u32, row_group: u32) -> MorselId {
    MorselId { object, row_group }
}

/// A column of every layout that a table of the workload can have, with NULLs, sliced so that offsets are not zero.
fn many_types() -> RecordBatch {
    let dictionary: DictionaryArray<Int32Type> = [Some("x"), None, Some("y"), Some("x"), Some("z")].into_iter().collect();
    let mut list = ListBuilder::new(Int32Builder::new());
    for row in 0..5 {
        list.append_value((0..row).map(Some));
    }
    let mut large = LargeListBuilder::new(Int32Builder::new());
    for row in 0..5 {
        large.append_value((0..row).map(Some));
    }
    let decimals = Decimal128Array::from(vec![Some(i128::MAX), None, Some(-1), Some(0), Some(5)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None]))),
        ("i8", Arc::new(Int8Array::from(vec![1, 2, 3, 4, 5]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(-0.0), Some(1.5), Some(f64::INFINITY)]))),
        ("date", Arc::new(Date32Array::from(vec![Some(0), None, Some(-1), Some(20_000), Some(1)]))),
        ("decimal", Arc::new(decimals.with_precision_and_scale(38, 2).unwrap())),
        ("utf8", Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("größer"), Some("e")]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec![Some("short"), None, Some("longer than twelve bytes"), Some(""), Some("e")])),
        ),
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(list.finish())),
        ("large_list", Arc::new(large.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap().slice(1, 4)
}

/// Whatever the layout, with LZ4 and without, also from batches without rows or without columns.
#[tokio::test]
async fn batches_arrive_as_they_left() {
    let no_columns = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &RecordBatchOptions::new().with_row_count(Some(12_345)),
    )
    .unwrap();
    for batch in [many_types(), many_types().slice(0, 0), no_columns, ints(0, 1 << 16)] {
        for compress in [false, true] {
            let answer = batch.clone();
            let device =
                Fake::new(move |_| Ok(execution(answer.schema(), vec![Ok(batch_event(3, answer.clone())), Ok(finished())])));
            let (_served, client) = pair(&device).await;
            let options = Options { compress, ..Options::default() };
            let execution = client.execute(Request { options, ..request() }).await.unwrap();
            assert_eq!(execution.schema, batch.schema());
            let events = collect(execution).await;
            let Ok(Event::Batch { morsels, batch: arrived }) = &events[0] else { panic!("{events:?}") };
            assert_eq!((morsels.as_slice(), arrived), ([id(0, 3)].as_slice(), &batch));
            assert!(matches!(events[1..], [Ok(Event::Finished(_))]), "{events:?}");
        }
    }
}

/// A dictionary is sent once for all batches that share it, and a changed one replaces it.
#[tokio::test]
async fn dictionaries_stay_dictionaries() {
    let words = |words: &[&str]| Arc::new(StringArray::from_iter_values(words.iter().copied())) as ArrayRef;
    let long = "a value that is much longer than its key ".repeat(1_000);
    let (first, second) = (words(&[&long, "x"]), words(&["y", "z"]));
    let batch = |values: &ArrayRef, keys: Vec<i32>| {
        let array = DictionaryArray::new(Int32Array::from(keys), Arc::clone(values));
        RecordBatch::try_from_iter([("d", Arc::new(array) as ArrayRef)]).unwrap()
    };
    let sent = vec![batch(&first, vec![0, 1]), batch(&first, vec![1, 1]), batch(&second, vec![0, 1]), batch(&first, vec![0])];
    let answer = sent.clone();
    let device = Fake::new(move |_| {
        let batches = answer.iter().map(|batch| Ok(batch_event(0, batch.clone())));
        Ok(execution(answer[0].schema(), batches.chain([Ok(finished())]).collect()))
    });
    let (_served, client) = pair(&device).await;
    let before = client.socket_bytes().received;
    let options = Options { compress: false, ..Options::default() };
    let events = collect(client.execute(Request { options, ..request() }).await.unwrap()).await;
    for (event, sent) in events.iter().zip(&sent) {
        let Ok(Event::Batch { batch, .. }) = event else { panic!("{event:?}") };
        assert_eq!(batch, sent);
    }
    let received = client.socket_bytes().received - before;
    assert!(received < 3 * long.len() as u64, "{received}: sent for the first and the last batch only");
}

/// A batch larger than a message comes in pieces of the same morsels; string views do not bring their buffers along with each.
#[tokio::test]
async fn large_batches_are_split() {
    let text = |index: usize| format!("{index:060}");
    let views = StringViewArray::from_iter_values((0..100_000).map(text));
    let batch = RecordBatch::try_from_iter([("v", Arc::new(views) as ArrayRef)]).unwrap();
    let answer = batch.clone();
    let device = Fake::new(move |_| Ok(execution(answer.schema(), vec![Ok(batch_event(1, answer.clone())), Ok(finished())])));
    let (_served, client) = pair(&device).await;
    let options = Options { compress: false, ..Options::default() };
    let events = collect(client.execute(Request { options, ..request() }).await.unwrap()).await;
    let mut pieces = Vec::new();
    for event in &events[..events.len() - 1] {
        let Ok(Event::Batch { morsels, batch }) = event else { panic!("{event:?}") };
        assert_eq!(morsels, &[id(0, 1)]);
        pieces.push(batch);
    }
    assert!(pieces.len() > 5, "{}", pieces.len());
    assert_eq!(arrow::compute::concat_batches(&batch.schema(), pieces).unwrap(), batch);
    let received = client.socket_bytes().received;
    assert!((7_600_000..9_000_000).contains(&received), "{received}");
}

/// The device gets the request that the caller made, the extremes of every field included.
#[tokio::test]
async fn requests_arrive_as_they_were_made() {
    let device = Fake::new(|_| Ok(execution(int_schema(), vec![Ok(finished())])));
    let (_served, client) = pair(&device).await;
    let sent = request();
    collect(client.execute(sent.clone()).await.unwrap()).await;
    let requests = device.requests.lock().unwrap();
    let arrived = &requests[0];
    let (Input::Objects { schema, objects }, Input::Objects { schema: sent_schema, objects: sent_objects }) =
        (&arrived.input, &sent.input);
    assert_eq!((schema, objects), (sent_schema, sent_objects));
    assert_eq!((&arrived.parameters, &arrived.options), (&sent.parameters, &sent.options));
}

/// Morsel marks and a ledger of any size survive.
#[tokio::test]
async fn marks_and_ledgers_survive() {
    let morsel = |row_group| Morsel {
        id: id(7, row_group),
        rows: u64::MAX,
        bytes_eligible: 1,
        bytes_pruned: 2,
        bytes_read: 3,
        bytes_decoded: 4,
        rows_considered: 5,
        rows_selected: 6,
        calls: 7,
        narrow_calls: 8,
        helper_calls: 9,
        fuel: 10,
    };
    let work = Work { morsels: (0..10_000).map(morsel).collect(), returned_rows: 3, ..Work::default() };
    let ledger = Ledger { work, timing: Timing { wall_ns: 11, ..Timing::default() } };
    let done: Vec<_> = (0..9_000).map(|row_group| id(7, row_group)).collect();
    let (sent_ledger, sent_done) = (ledger.clone(), done.clone());
    let device = Fake::new(move |_| {
        let finished = Event::Finished(Box::new(sent_ledger.clone()));
        Ok(execution(int_schema(), vec![Ok(Event::MorselsDone(sent_done.clone())), Ok(finished)]))
    });
    let (_served, client) = pair(&device).await;
    let mut marked = Vec::new();
    let mut arrived = None;
    for event in collect(client.execute(request()).await.unwrap()).await {
        match event.unwrap() {
            Event::MorselsDone(morsels) => marked.extend(morsels),
            Event::Finished(ledger) => arrived = Some(*ledger),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((marked, arrived), (done, Some(ledger)));
}

/// Loading twice sends once; an execution is one call; a device that dropped the program gets it again, once.
#[tokio::test]
async fn a_program_is_a_lease() {
    let device = Fake::new(|_| Ok(execution(int_schema(), vec![Ok(finished())])));
    let (_served, client) = pair(&device).await;
    let counts = |device: &Fake| (device.loads.load(Ordering::SeqCst), device.executions.load(Ordering::SeqCst));
    client.load(Bytes::from_static(b"p")).await.unwrap();
    client.execute(request()).await.unwrap();
    assert_eq!(counts(&device), (1, 1));
    device.forget();
    client.execute(request()).await.unwrap();
    assert_eq!(counts(&device), (2, 3));
    device.forget();
    client.activate(&ProgramDigest("p".into())).await.unwrap();
    assert_eq!(counts(&device), (3, 3));

    let unknown = Request { program: ProgramDigest("q".into()), ..request() };
    let error = client.execute(unknown).await.err();
    assert_eq!(error, Some(DeviceError::NotLoaded { digest: "q".into() }));
    client.unload(&ProgramDigest("p".into())).await.unwrap();
    let error = client.execute(request()).await.err();
    assert_eq!(error, Some(DeviceError::NotLoaded { digest: "p".into() }), "an unloaded program stays unloaded");
    assert_eq!(client.load(Bytes::from_static(b"\xff")).await, Err(DeviceError::BadProgram { reason: "no name".into() }));
}

/// Errors before the first batch and after it arrive as the device made them; what came before stands.
#[tokio::test]
async fn errors_arrive_typed() {
    let changed = DeviceError::Changed { path: "t/a".into(), reason: "size".into() };
    let answer = changed.clone();
    let device = Fake::new(move |request| match request.options.ordered {
        true => Err(answer.clone()),
        false => Ok(execution(int_schema(), vec![Ok(batch_event(0, ints(0, 3))), Err(answer.clone())])),
    });
    let (_served, client) = pair(&device).await;
    let options = Options { ordered: true, ..Options::default() };
    assert_eq!(client.execute(Request { options, ..request() }).await.err(), Some(changed.clone()));
    let events = collect(client.execute(request()).await.unwrap()).await;
    assert!(matches!(&events[..], [Ok(Event::Batch { .. }), Err(error)] if *error == changed), "{events:?}");
}

/// A device that forgets its ledger has failed, whatever it sent.
#[tokio::test]
async fn no_ledger_no_success() {
    let device = Fake::new(|_| Ok(execution(int_schema(), vec![Ok(batch_event(0, ints(0, 3)))])));
    let (_served, client) = pair(&device).await;
    let events = collect(client.execute(request()).await.unwrap()).await;
    assert!(matches!(&events[..], [Ok(_), Err(DeviceError::Internal { .. })]), "{events:?}");
}

struct Endless {
    device: Arc<Fake>,
    taken: Arc<AtomicUsize>,
    dropped: watch::Receiver<bool>,
}

fn endless_device() -> Endless {
    let taken = Arc::new(AtomicUsize::new(0));
    let (sender, dropped) = watch::channel(false);
    let sender = Arc::new(sender);
    let counter = Arc::clone(&taken);
    let device = Fake::new(move |_| Ok(endless(Arc::clone(&counter), Arc::clone(&sender))));
    Endless { device, taken, dropped }
}

fn uncompressed() -> Request {
    Request { options: Options { compress: false, ..Options::default() }, ..request() }
}

/// A reader that pauses stops the device, after what the windows hold; a reader that leaves ends the execution.
#[tokio::test]
async fn results_wait_for_the_reader() {
    let Endless { device, taken, mut dropped } = endless_device();
    let (_served, client) = pair(&device).await;
    let mut execution = client.execute(uncompressed()).await.unwrap();
    execution.events.next().await.unwrap().unwrap();
    // The other executions of the connection go on: they also prove that the first had its time.
    for _ in 0..3 {
        let mut other = client.execute(uncompressed()).await.unwrap();
        for _ in 0..200 {
            other.events.next().await.unwrap().unwrap();
        }
    }
    let batches = taken.load(Ordering::SeqCst) - 3 * 200;
    assert!(batches * (64 << 10) < 4 * (8 << 20), "{batches} batches of 64 KiB are under way in four calls of 4 MiB windows");
    drop(execution);
    dropped.wait_for(|dropped| *dropped).await.unwrap();
}

/// A reader that leaves while the device has nothing to say ends the execution just as well.
#[tokio::test]
async fn a_silent_execution_ends_with_its_reader() {
    let (sender, mut dropped) = watch::channel(false);
    let sender = Arc::new(sender);
    let device = Fake::new(move |_| Ok(silent(Arc::clone(&sender))));
    let (_served, client) = pair(&device).await;
    drop(client.execute(request()).await.unwrap());
    dropped.wait_for(|dropped| *dropped).await.unwrap();
}

/// One more than the bound is told so, and there is room again when one ends.
#[tokio::test]
async fn too_many_executions_are_refused() {
    let Endless { device, mut dropped, .. } = endless_device();
    let options = server::Options { executions_max: 1, ..server::Options::default() };
    let served = serve_fake(device, options).await;
    let client = served.client();
    client.load(Bytes::from_static(b"p")).await.unwrap();
    let running = client.execute(uncompressed()).await.unwrap();
    let error = client.execute(uncompressed()).await.err();
    assert_eq!(error, Some(DeviceError::Busy { reason: "1 executions are running".into() }));
    drop(running);
    dropped.wait_for(|dropped| *dropped).await.unwrap();
    loop {
        match client.execute(uncompressed()).await {
            Ok(_) => break,
            Err(DeviceError::Busy { .. }) => tokio::task::yield_now().await, // dropped, and about to give back its place
            Err(other) => panic!("{other}"),
        }
    }
}

/// A server that is told to stop lets executions end, cuts the others, says why, and returns.
#[tokio::test]
async fn shutdown_is_graceful_and_bounded() {
    let Endless { device, mut dropped, .. } = endless_device();
    let options = server::Options { grace: Duration::from_millis(50), ..server::Options::default() };
    let mut served = serve_fake(device, options).await;
    let client = served.client();
    client.load(Bytes::from_static(b"p")).await.unwrap();
    let mut execution = client.execute(uncompressed()).await.unwrap();
    served.stop.take().unwrap().send(()).unwrap();
    let error = loop {
        match execution.events.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, DeviceError::Busy { reason: "it is shutting down".into() });
    dropped.wait_for(|dropped| *dropped).await.unwrap();
    served.task.await.unwrap();
    let error = client.describe().await.unwrap_err();
    assert!(matches!(&error, DeviceError::Unreachable { url, .. } if *url == served_url(&served.address)), "{error}");
}

fn served_url(address: &std::net::SocketAddr) -> String {
    format!("nearside://{address}")
}

/// A peer that is killed, and one that falls silent, in the middle of a stream: unreachable, by name, soon. Then the client connects
/// again.
#[tokio::test]
async fn a_broken_connection_is_unreachable() {
    let Endless { device, mut dropped, .. } = endless_device();
    let served = serve_fake(device, server::Options::default()).await;
    for broken in [State::Cut, State::Silent] {
        let line = line(served.address).await;
        let url = format!("nearside://{}", line.address);
        let client = RemoteDevice::connect_with(&url, impatient()).unwrap();
        client.load(Bytes::from_static(b"p")).await.unwrap();
        let mut execution = client.execute(uncompressed()).await.unwrap();
        execution.events.next().await.unwrap().unwrap();
        line.state.send_replace(broken);
        let error = loop {
            match execution.events.next().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, DeviceError::Unreachable { url: named, .. } if *named == url), "{error:?}");
        assert!(execution.events.next().await.is_none());
        line.state.send_replace(State::Cut);
        dropped.wait_for(|dropped| *dropped).await.unwrap();
        line.state.send_replace(State::Open);
        assert_eq!(client.describe().await.unwrap().name, "fake");
    }
}

/// Nobody listens, or somebody who never answers: an error with the address and the reason, no hang.
#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = RemoteDevice::connect_with(&served_url(&address), impatient()).unwrap();
    let error = client.describe().await.unwrap_err();
    assert!(matches!(error, DeviceError::Unreachable { .. }), "accepts, never answers: {error:?}");
    drop(listener);
    let client = RemoteDevice::connect_with(&served_url(&address), impatient()).unwrap();
    let error = client.execute(request()).await.err().unwrap();
    assert_eq!(error.to_string(), format!("device nearside://{address}: Connection refused (os error 111)"));
}

/// URLs: the default port, IPv6, and what is refused.
#[test]
fn urls() {
    let url = |text: &str| RemoteDevice::connect(text).map(|device| device.url().to_owned()).map_err(|error| error.to_string());
    assert_eq!(url("nearside://dpu1").unwrap(), "nearside://dpu1:4774");
    assert_eq!(url("nearside://dpu1:80/a/b").unwrap(), "nearside://dpu1:80");
    assert_eq!(url("nearside://[::1]:5").unwrap(), "nearside://[::1]:5");
    for bad in ["http://dpu1:4774", "nearside://", "dpu1:4774", "nearside://a b"] {
        assert!(url(bad).unwrap_err().contains(bad), "{bad}");
    }
}

/// `describe` tells the server's protocol, whatever the device behind it says.
#[tokio::test]
async fn describe_tells_the_protocol() {
    let device = Fake::new(|_| Ok(execution(int_schema(), vec![])));
    let options = server::Options { name: Some("nearsided 1.2.3".into()), ..server::Options::default() };
    let served = serve_fake(device, options).await;
    let description = served.client().describe().await.unwrap();
    assert_eq!((description.name.as_str(), description.protocol_version), ("nearsided 1.2.3", nearside_protocol::VERSION));
    assert_eq!(description.helpers, [0x10000, 0x10001]);
}

/// `status` is the device's own, now.
#[tokio::test]
async fn status_is_told() {
    let device = Fake::new(|_| Ok(execution(int_schema(), vec![])));
    let (_served, client) = pair(&device).await;
    let before = client.status().await.unwrap();
    client.load("one".into()).await.unwrap();
    assert_eq!(client.status().await.unwrap(), Status { programs: before.programs + 1, ..before });
}

/// A schema keeps its fields' metadata and nullability.
#[tokio::test]
async fn schemas_keep_their_metadata() {
    let field = Field::new("n", DataType::Int64, true).with_metadata([("unit".into(), "ms".into())].into());
    let schema = Arc::new(Schema::new(vec![field]).with_metadata([("a".into(), "b".into())].into()));
    let answer = Arc::clone(&schema);
    let device = Fake::new(move |_| Ok(execution(Arc::clone(&answer), vec![Ok(finished())])));
    let (_served, client) = pair(&device).await;
    assert_eq!(client.execute(request()).await.unwrap().schema, schema);
}
