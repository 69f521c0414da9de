//! The life of programs and executions: leases, bounds, slow and vanishing consumers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use futures::StreamExt;
use nearside_device::{Config, Device, DeviceError, Event, ProgramDigest, Status};
use nearside_planner::{Capabilities, Fragment, compile};

use crate::common::*;

fn numbers(rows: usize) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    batch([("k", keys)])
}

fn object(fragment: &str) -> Bytes {
    let fragment: Fragment = fragment.parse().unwrap();
    compile(&fragment, &Capabilities::all()).unwrap().object.write().into()
}

/// A program is there from load to unload; what is not loaded is asked for by name; what is no program is refused.
#[tokio::test]
async fn programs_come_and_go() {
    let table = Table::new(&numbers(10), row_groups_of(10));
    let device = table.device();
    let fragment = "scan (k: i64) | filter k > 4 | emit k";
    let request = table.request(&*device, fragment).await;
    let digest = request.program.clone();
    assert_eq!(device.load(object(fragment)).await.unwrap(), digest);
    device.activate(&digest).await.unwrap();
    assert_eq!(execute(&*device, request.clone()).await.unwrap().rows().num_rows(), 5);
    device.deactivate(&digest).await.unwrap();
    assert_eq!(execute(&*device, request.clone()).await.unwrap().rows().num_rows(), 5);
    device.unload(&digest).await.unwrap();
    let missing = DeviceError::NotLoaded { digest: digest.to_string() };
    assert_eq!(device.activate(&digest).await.unwrap_err(), missing);
    assert_eq!(device.unload(&digest).await.unwrap_err(), missing);
    assert_eq!(execute(&*device, request).await.unwrap_err(), missing);
    assert!(matches!(device.load(Bytes::from_static(b"\x7fELF")).await, Err(DeviceError::BadProgram { .. })));
    let huge = Bytes::from(vec![0; Config::default().program_bytes_max + 1]);
    assert!(matches!(device.load(huge).await, Err(DeviceError::Limit { .. })));
}

/// Programs take bounded room: the one used longest ago makes way.
#[tokio::test]
async fn programs_make_way() {
    let table = Table::new(&numbers(10), row_groups_of(10));
    let programs = [
        "scan (k: i64) | filter k > 4 | emit k",
        "scan (k: i64) | filter k < 4 | emit k",
        "scan (k: i64) | filter k = 4 | emit k",
    ];
    let objects = programs.map(object);
    let room = objects.iter().map(Bytes::len).max().unwrap() * 5 / 2;
    let device = table.device_with(Config { program_cache_bytes: room, ..Config::default() });
    let mut digests: Vec<ProgramDigest> = Vec::new();
    for object in &objects[..2] {
        digests.push(device.load(object.clone()).await.unwrap());
    }
    device.activate(&digests[0]).await.unwrap();
    digests.push(device.load(objects[2].clone()).await.unwrap());
    assert!(device.activate(&digests[0]).await.is_ok());
    assert!(matches!(device.activate(&digests[1]).await, Err(DeviceError::NotLoaded { .. })));
    assert!(device.activate(&digests[2]).await.is_ok());
}

/// A description names the helpers the planner may use.
#[tokio::test]
async fn descriptions() {
    let device = Table::new(&numbers(1), row_groups_of(1)).device();
    let description = device.describe().await.unwrap();
    let all: Vec<u32> = Capabilities::all().helpers.into_iter().collect();
    assert!(!description.helpers.is_empty() && description.helpers.iter().all(|helper| all.contains(helper)));
    assert_eq!(description.name, "embedded");
}

/// One core, one execution that nobody reads: another one runs to its end all the same.
#[tokio::test]
async fn a_slow_consumer_holds_nobody_up() {
    let table = Table::new(&numbers(400_000), row_groups_of(50_000));
    let device = table.device_with(Config { workers: 1, ..Config::default() });
    let fragment = "scan (k: i64) | emit k";
    let slow = device.execute(table.request(&*device, fragment).await).await.unwrap();
    let mut slow_events = slow.events;
    // It is under way, and its queue fills up.
    assert!(matches!(slow_events.next().await, Some(Ok(Event::Batch { .. }))));
    for _ in 0..3 {
        assert_eq!(table.run(&*device, fragment).await.rows().num_rows(), 400_000);
    }
    let mut rows = 0;
    while let Some(event) = slow_events.next().await {
        if let Event::Batch { batch, .. } = event.unwrap() {
            rows += batch.num_rows();
        }
    }
    assert!(rows < 400_000 && rows > 300_000);
}

/// An execution whose consumer is gone ends, and its place is free again.
#[tokio::test]
async fn dropped_executions_end() {
    let table = Table::new(&numbers(400_000), row_groups_of(50_000));
    let device = table.device_with(Config { executions_max: 1, workers: 2, ..Config::default() });
    let request = table.request(&*device, "scan (k: i64) | filter k >= 0 | emit y: k + 1").await;
    for _ in 0..20 {
        let mut execution = loop {
            match device.execute(request.clone()).await {
                Ok(execution) => break execution,
                // The one before has not noticed yet.
                Err(DeviceError::Busy { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(execution.events.next().await.is_some());
        assert!(matches!(device.execute(request.clone()).await, Err(DeviceError::Busy { .. })));
        assert_eq!(device.status().await.unwrap().executions, 1);
    }
    device.unload(&request.program).await.unwrap();
    // The last one has not noticed yet.
    while device.status().await.unwrap() != Status::default() {
        tokio::task::yield_now().await;
    }
}

/// A row group that can never fit is refused with the bound.
#[tokio::test]
async fn memory_has_a_bound() {
    let table = Table::new(&numbers(100_000), row_groups_of(100_000));
    let device = table.device_with(Config { memory_bytes_max: 1000, ..Config::default() });
    let request = table.request(&*device, "scan (k: i64) | emit k").await;
    assert!(matches!(execute(&*device, request).await, Err(DeviceError::Limit { limit: 1000, .. })));
}

/// A trap is the program's, and says so; what was done before stands.
#[tokio::test]
async fn traps() {
    let table = Table::new(&numbers(30_000), row_groups_of(10_000));
    let device = table.device();
    let mut request = ordered(table.request(&*device, "scan (k: i64) | filter k > 5 | emit y: k + 1").await);
    request.options.fuel = Some(3);
    assert!(matches!(execute(&*device, request).await, Err(DeviceError::Trap { .. })));
}
