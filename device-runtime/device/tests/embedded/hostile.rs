//! Files that changed, are gone, or were made to hurt.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use nearside_device::{Config, DeviceError};
use parquet::basic::Compression;

use crate::common::*;

fn rows(count: usize) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count as i64));
    let text = StringArray::from_iter((0..count).map(|row| (row % 5 != 0).then(|| format!("text {}", row % 100))));
    batch([("k", keys), ("s", Arc::new(text))])
}

const FRAGMENT: &str = "scan (k: i64, s: utf8 null) | filter k >= 100 | filter s like '%7' | emit k, s";

/// A replaced file is refused by name, before and while it is read; so is one that is gone.
#[tokio::test]
async fn files_that_change() {
    let table = Table::new(&rows(1000), row_groups_of(100));
    let device = table.device();
    let request = table.request(&*device, FRAGMENT).await;
    let path = table.path().join("t0.parquet");
    write(&path, &rows(999), row_groups_of(100).build());
    match execute(&*device, request.clone()).await {
        Err(DeviceError::Changed { path, reason }) => assert!(path == "t0.parquet" && reason.contains("bytes")),
        other => panic!("{other:?}"),
    }
    let mut same_size = request.clone();
    objects_mut(&mut same_size)[0].size = fs::metadata(&path).unwrap().len();
    match execute(&*device, same_size.clone()).await {
        Err(DeviceError::Changed { reason, .. }) => assert!(reason.contains("ETag")),
        other => panic!("{other:?}"),
    }
    objects_mut(&mut same_size)[0].etag = None;
    assert!(execute(&*device, same_size).await.is_ok());
    fs::remove_file(&path).unwrap();
    assert!(matches!(execute(&*device, request.clone()).await, Err(DeviceError::NotFound { .. })));
    let mut outside = request;
    objects_mut(&mut outside)[0].path = "../t0.parquet".into();
    assert!(matches!(execute(&*device, outside).await, Err(DeviceError::NotFound { .. })));
}

/// Cut anywhere, a file is refused as bad; it never ends the process or the device.
#[tokio::test]
async fn truncated_files() {
    let table = Table::new(&rows(1000), row_groups_of(500));
    let path = table.path().join("t0.parquet");
    let whole = fs::read(&path).unwrap();
    let device = table.device();
    for len in (0..whole.len()).step_by(37) {
        fs::write(&path, &whole[..len]).unwrap();
        let request = table.request(&*device, FRAGMENT).await;
        assert!(matches!(execute(&*device, request).await, Err(DeviceError::BadObject { .. })), "{len} bytes");
    }
}

/// Bytes overwritten anywhere: an error or an answer, never a panic, a hang or a ruined device.
#[tokio::test]
async fn corrupt_files() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let properties =
            || row_groups_of(500).set_compression(compression).set_bloom_filter_enabled(true).set_data_page_row_count_limit(100);
        let table = Table::new(&rows(1000), properties());
        let path = table.path().join("t0.parquet");
        let whole = fs::read(&path).unwrap();
        let device = table.device_with(Config { memory_bytes_max: 64 << 20, ..Config::default() });
        let mut state = 0x1234_5678_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut errors = 0;
        for round in 0..600 {
            let mut bytes = whole.clone();
            // Half of the rounds aim at the footer, where lengths and offsets are.
            let tail = if round % 2 == 0 { bytes.len() } else { 1500.min(bytes.len()) };
            for _ in 0..1 + next(3) {
                let at = bytes.len() - 1 - next(tail);
                bytes[at] = [0, 0x7f, 0x80, 0xff, next(256) as u8][next(5)];
            }
            fs::write(&path, &bytes).unwrap();
            let fragment = if round % 3 == 0 { "scan (k: i64, s: utf8 null) | filter k = 7 | emit k, s" } else { FRAGMENT };
            let request = table.request(&*device, fragment).await;
            match execute(&*device, request).await {
                Ok(_) => {}
                Err(DeviceError::BadObject { .. } | DeviceError::Limit { .. }) => errors += 1,
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        assert!(errors > 50, "{errors}");
        fs::write(&path, &whole).unwrap();
        assert_eq!(table.run(&*device, FRAGMENT).await.rows().num_rows(), 90);
    }
}

/// One bad file among good ones: what was done before the error stands, and the error names the file.
#[tokio::test]
async fn the_error_names_the_file() {
    let mut table = Table::new(&rows(1000), row_groups_of(100));
    table.add(&rows(1000), row_groups_of(100));
    let path = table.path().join("t1.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4..half].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let device = table.device();
    let request = ordered(table.request(&*device, FRAGMENT).await);
    assert!(matches!(execute(&*device, request).await, Err(DeviceError::BadObject { path, .. }) if path == "t1.parquet"));
}
