//! Statistics, page indexes and bloom filters spare work, never rows.

use std::sync::Arc;

use arrow::array::*;
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};

use crate::common::*;

const ROWS: usize = 20_000;

/// Columns whose values lie together, columns that do not, and the values statistics get wrong.
fn rows() -> RecordBatch {
    let row = |row: usize| row as i64;
    let floats = |at: usize| match at % 1000 {
        1 => f64::NAN,
        2 => -f64::NAN,
        3 => -0.0,
        4 => 0.0,
        5 => f64::INFINITY,
        _ => at as f64 - 10_000.0,
    };
    let text = |at: usize| (!at.is_multiple_of(7)).then(|| format!("{:0>80}\u{10ffff}{}", at / 100, at % 3));
    let decimals = Decimal128Array::from_iter((0..ROWS).map(|at| (at % 5 != 0).then(|| i128::from(row(at)) - 10_000)));
    let wide = Decimal128Array::from_iter_values((0..ROWS).map(|at| (i128::from(row(at)) - 10_000) << 64));
    let sparse = Int32Array::from_iter((0..ROWS).map(|at| (!(3000..15_000).contains(&at)).then_some(at as i32)));
    let columns: [(&str, ArrayRef); 9] = [
        ("k", Arc::new(Int64Array::from_iter_values((0..ROWS).map(row)))),
        ("u", Arc::new(UInt32Array::from_iter_values((0..ROWS).map(|at| (at as u32).wrapping_sub(10_000))))),
        ("b", Arc::new(UInt64Array::from_iter_values((0..ROWS).map(|at| (at as u64).wrapping_sub(10_000))))),
        ("f", Arc::new(Float64Array::from_iter_values((0..ROWS).map(floats)))),
        ("s", Arc::new(StringArray::from_iter((0..ROWS).map(text)))),
        ("d", Arc::new(decimals.with_precision_and_scale(12, 2).unwrap())),
        ("w", Arc::new(wide.with_precision_and_scale(38, 0).unwrap())),
        ("n", Arc::new(sparse)),
        ("h", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|at| (row(at) * 7919) % 100_003)))),
    ];
    batch(columns)
}

const SCAN: &str =
    "scan (k: i64, u: u32, b: u64, f: f64, s: utf8 null, d: decimal(12,2) null, w: decimal(38,0), n: i32 null, h: i64)";

fn filters() -> Vec<String> {
    let text = |number: u32| format!("'{number:0>80}\u{10ffff}1'");
    let mut filters: Vec<String> =
        vec!["n is null".into(), "n is not null".into(), "s is null".into(), "k > 20 | filter n is null".into()];
    for op in ["=", "<", "<=", ">", ">="] {
        for literal in ["-1", "0", "4999", "5000", "19999", "20000"] {
            filters.push(format!("k {op} {literal}"));
        }
        for literal in ["0", "1", "4294957296", "4294967295"] {
            filters.push(format!("u {op} {literal}u32"));
        }
        for literal in ["0", "18446744073709541616", "18446744073709551615"] {
            filters.push(format!("b {op} {literal}u64"));
        }
        for literal in ["0.0", "-0.0", "9999.0", "10000.0", "-10000.0", "1e300"] {
            filters.push(format!("f {op} {literal}"));
        }
        for literal in [text(0), text(7), text(150), "''".into(), "'1'".into(), format!("'{:0>80}'", 12)] {
            filters.push(format!("s {op} {literal}"));
        }
        for literal in ["-100.00", "0.00", "49.99", "1000.00"] {
            filters.push(format!("d {op} {literal}d(12,2)"));
        }
        filters.push(format!("h {op} 77"));
    }
    filters.push(format!("s in ({}, 'none', {})", text(3), text(199)));
    filters.push("k >= 4000 | filter k < 4100 | filter h > 50000".into());
    filters
}

/// Small row groups, smaller pages, text statistics cut after 64 bytes.
fn pages() -> WriterPropertiesBuilder {
    row_groups_of(5000).set_data_page_row_count_limit(512).set_write_batch_size(256).set_statistics_truncate_length(Some(64))
}

/// With and without statistics, page indexes and bloom filters: the same rows for every filter; and they do spare something.
#[tokio::test]
async fn pruning_spares_work_never_rows() {
    let plain = Table::new(&rows(), row_groups_of(5000).set_statistics_enabled(EnabledStatistics::None));
    let others = [
        ("row groups", row_groups_of(5000).set_statistics_enabled(EnabledStatistics::Chunk)),
        ("pages", pages()),
        ("blooms", pages().set_bloom_filter_enabled(true)),
    ];
    let baseline = plain.device();
    let mut expected = Vec::new();
    for filter in filters() {
        let fragment = format!("{SCAN} | filter {filter} | emit k, f, s");
        let rows = plain.run(&*baseline, &fragment).await.rows();
        expected.push((fragment, rows.num_rows(), format!("{rows:?}")));
    }
    for (name, properties) in others {
        let table = Table::new(&rows(), properties);
        let device = table.device();
        let mut pruned = 0;
        for (fragment, count, text) in &expected {
            let answer = table.run(&*device, fragment).await;
            let rows = answer.rows();
            // As text, because a NaN is not equal to itself.
            assert_eq!((rows.num_rows(), &format!("{rows:?}")), (*count, text), "{name}: {fragment}");
            pruned += answer.ledger.work.morsels.iter().map(|morsel| morsel.bytes_pruned).sum::<u64>();
        }
        assert!(pruned > 0, "{name}");
    }
}

async fn considered(table: &Table, filter: &str) -> Vec<u64> {
    let answer = table.run(&*table.device(), &format!("{SCAN} | filter {filter} | emit k, s")).await;
    assert_eq!(answer.done.len(), 4, "pruned morsels are named too");
    answer.ledger.work.morsels.iter().map(|morsel| morsel.rows_considered).collect()
}

/// Which row groups and pages are left for a filter.
#[tokio::test]
async fn what_is_pruned() {
    let table = Table::new(&rows(), pages());
    assert_eq!(considered(&table, "k >= 15000").await, [0, 0, 0, 5000]);
    assert_eq!(
        considered(&table, "k >= 4900 | filter k < 5100").await.iter().map(|rows| *rows > 0).collect::<Vec<_>>(),
        [true, true, false, false]
    );
    assert!(considered(&table, "k = 700").await.iter().sum::<u64>() <= 512);
    assert_eq!(considered(&table, "u = 3u32").await.iter().filter(|rows| **rows > 0).count(), 1);
    assert_eq!(considered(&table, "d < 0.00d(12,2)").await[2..], [0, 0]);
    assert_eq!(considered(&table, "n is not null").await[2], 0);
    assert_eq!(considered(&table, "n is null").await[3], 0);
    // NaNs are in no statistics.
    assert_eq!(considered(&table, "f > 1e300").await, [5000; 4]);
    assert_eq!(considered(&table, "h = 77").await.iter().filter(|rows| **rows > 0).count(), 4);
    let blooms = Table::new(&rows(), pages().set_bloom_filter_enabled(true));
    assert!(considered(&blooms, "h = 77").await.iter().filter(|rows| **rows > 0).count() < 4);
}
