//! Projections and aggregates: rows, order, limits, what the ledger says, and that it does not depend on threads.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{Decimal128Type, Int64Type};
use nearside_device::{Config, DeviceError, Embedded, MorselId, Options, RowGroups};
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::common::*;

const ROWS: usize = 100_000;
const GROUP: usize = 24_000;

/// `k` counts, `d` is ten days long, `p` is money or NULL, `s` has seven values, long and short.
fn lines(rows: usize) -> RecordBatch {
    let noise = |row: usize| (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
    let price = |row: usize| (!row.is_multiple_of(11)).then(|| i128::from(noise(row) % 1_000_000));
    let prices = Decimal128Array::from_iter((0..rows).map(price)).with_precision_and_scale(12, 2).unwrap();
    batch([
        ("k", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("d", Arc::new(Date32Array::from_iter_values((0..rows).map(|row| (noise(row) % 10) as i32)))),
        ("p", Arc::new(prices)),
        ("s", Arc::new(StringViewArray::from_iter_values((0..rows).map(|row| format!("{:*>1$}", noise(row) % 7, row % 30 + 1))))),
    ])
}

fn table() -> Table {
    Table::new(&lines(ROWS), row_groups_of(GROUP))
}

const SCAN: &str = "scan (k: i64, d: date, p: decimal(12,2) null, s: utf8)";

/// A projection of plain columns needs no code; its rows are the file's, also by an object store.
#[tokio::test]
async fn a_bare_projection_is_the_file() {
    let table = table();
    let answer = table.run(&*table.device(), &format!("{SCAN} | emit k, d, p, s")).await;
    assert_eq!(answer.rows().columns(), lines(ROWS).columns());
    assert_eq!(answer.done.len(), ROWS.div_ceil(GROUP));
    let work = &answer.ledger.work;
    assert!(work.morsels.iter().all(|morsel| morsel.bytes_read == morsel.bytes_eligible && morsel.calls == 0));
    assert!(work.metadata_bytes > 0 && work.returned_bytes > 0);

    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let bytes = std::fs::read(table.path().join("t0.parquet")).unwrap();
    store.put(&ObjectPath::from("lake/t0.parquet"), bytes.into()).await.unwrap();
    let device = Embedded::object_store(store, ObjectPath::from("lake"), Config::default());
    let remote = table.run(&*device, &format!("{SCAN} | emit k, d, p, s")).await;
    assert_eq!(remote.rows(), answer.rows());
}

/// Few survivors are decoded alone, many under a bitmap; either way the rows are those that pass, in order.
#[tokio::test]
async fn filters_of_any_selectivity() {
    let table = table();
    let device = table.device();
    let all = lines(ROWS);
    let days = all.column(1).as_primitive::<arrow::datatypes::Date32Type>();
    for limit in 0..=10 {
        let fragment = format!("{SCAN} | filter d < date '1970-01-{:02}' | filter p is not null | emit k, s, p", limit + 1);
        let answer = table.run(&*device, &fragment).await;
        let mask = (0..ROWS).map(|row| Some(days.value(row) < limit && all.column(2).is_valid(row)));
        let expected = filter_record_batch(&all, &mask.collect()).unwrap().project(&[0, 3, 2]).unwrap();
        assert_eq!(answer.rows().columns(), expected.columns(), "{fragment}");
        let selected: u64 = answer.ledger.work.morsels.iter().map(|morsel| morsel.rows_selected).sum();
        assert_eq!(selected as usize, expected.num_rows());
    }
}

/// What no row needs is not read.
#[tokio::test]
async fn columns_of_rows_that_do_not_survive_are_not_read() {
    let table = table();
    let answer = table.run(&*table.device(), &format!("{SCAN} | filter k + 1 < 0 | emit s")).await;
    assert_eq!(answer.rows().num_rows(), 0);
    assert!(answer.ledger.work.morsels.iter().all(|morsel| 0 < morsel.bytes_read && morsel.bytes_read < morsel.bytes_eligible));
    let answer = table.run(&*table.device(), &format!("{SCAN} | aggregate n: count(*)")).await;
    assert!(answer.ledger.work.morsels.iter().all(|morsel| morsel.bytes_eligible == 0 && morsel.rows_selected == morsel.rows));
}

/// Who asks for it is told when rows take more bytes than the file; who does not gets them; a selective filter is never pushed back.
#[tokio::test]
async fn unselective_fragments_are_pushed_back() {
    let table = table();
    let device = table.device();
    for (fragment, pushed_back) in
        [("emit s", true), ("filter k < 500 | emit s", false), ("group by s | aggregate n: count(*)", false)]
    {
        let mut request = table.request(&*device, &format!("{SCAN} | {fragment}")).await;
        let answer = execute(&*device, request.clone()).await;
        assert!(answer.is_ok(), "{fragment}");
        request.options.push_back = true;
        match execute(&*device, request).await {
            Err(DeviceError::Unselective { returned, eligible }) => assert!(pushed_back && returned > eligible, "{fragment}"),
            other => assert!(!pushed_back && other.is_ok(), "{fragment}"),
        }
    }
}

/// Sums partials, as a host does.
fn totals(answer: &Answer) -> (i64, i128) {
    let rows = answer.rows();
    let (counts, sums) = (rows.column(0).as_primitive::<Int64Type>(), rows.column(1).as_primitive::<Decimal128Type>());
    (counts.iter().flatten().sum(), sums.iter().flatten().sum())
}

/// Partials add up to the aggregate, one batch a lane; a lane's morsels are done together.
#[tokio::test]
async fn aggregates_by_lanes() {
    let table = table();
    let all = lines(ROWS);
    let prices = all.column(2).as_primitive::<Decimal128Type>();
    let expected = (prices.len() as i64 - prices.null_count() as i64, prices.iter().flatten().sum());
    let device = table.device_with(Config { lane_rows: 2 * GROUP as u64, workers: 3, ..Config::default() });
    let request = table.request(&*device, &format!("{SCAN} | aggregate n: count(p), t: sum(p)")).await;
    let answer = execute(&*device, request).await.unwrap();
    assert_eq!(totals(&answer), expected);
    assert_eq!(answer.batches.len(), 3);
    let mut named: Vec<MorselId> = answer.batches.iter().flat_map(|(morsels, _)| morsels.clone()).collect();
    named.sort();
    assert_eq!(named, answer.done);
}

/// Groups in a table that holds too few of them leave early, and the sums are the same.
#[tokio::test]
async fn full_group_tables_emit_early() {
    let table = table();
    let fragment = format!("{SCAN} | group by g: k + 0 | aggregate n: count(*), t: sum(p)");
    for groups_max in [100, 1 << 20] {
        let device = table.device_with(Config { groups_max, ..Config::default() });
        let answer = table.run(&*device, &fragment).await;
        let rows = answer.rows();
        assert_eq!(rows.num_rows(), ROWS);
        let total: i128 = rows.column(2).as_primitive::<Decimal128Type>().iter().flatten().sum();
        assert_eq!(total, lines(ROWS).column(2).as_primitive::<Decimal128Type>().iter().flatten().sum::<i128>());
        assert!(answer.batches.iter().all(|(morsels, _)| *morsels == answer.done));
    }
}

/// The work is the same for any number of threads, and so are the rows.
#[tokio::test]
async fn work_does_not_depend_on_threads() {
    let mut table = table();
    table.add(&lines(30_000), row_groups_of(7_000));
    let fragments = [
        format!("{SCAN} | filter d < date '1970-01-04' | filter s like '%3' | emit k, p, s"),
        format!("{SCAN} | filter p > 10.00d(12,2) | group by s | aggregate n: count(*), t: sum(p), m: max(k)"),
        format!("{SCAN} | filter d = date '1970-01-02' | group by g: k + 0 | aggregate n: count(*)"),
        format!("{SCAN} | filter k >= 20000 | aggregate t: sum(p)"),
    ];
    for fragment in &fragments {
        let mut works = Vec::new();
        for workers in [1, 2, 7] {
            let config = Config { workers, lane_rows: 15_000, groups_max: 1000, ..Config::default() };
            let device = table.device_with(config);
            let mut request = table.request(&*device, fragment).await;
            request.options.count_instructions = true;
            let answer = execute(&*device, request).await.unwrap();
            works.push(answer.ledger.work);
        }
        assert!(works[0].morsels.iter().any(|morsel| morsel.calls > 0));
        assert!(!works[0].blocks.is_empty());
        assert!(works.iter().all(|work| *work == works[0]), "{fragment}");
    }
}

/// Both engines, the same rows and the same work.
#[tokio::test]
async fn the_interpreter_does_the_same() {
    let table = table();
    let device = table.device();
    let fragment = format!("{SCAN} | filter p > 5000.00d(12,2) | filter k < 30000 | emit k, y: p * p, s");
    let compiled = table.run(&*device, &fragment).await;
    let mut request = ordered(table.request(&*device, &fragment).await);
    request.options.interpreter = true;
    let interpreted = execute(&*device, request).await.unwrap();
    assert_eq!(compiled.rows(), interpreted.rows());
    assert_eq!(compiled.ledger.work.morsels, interpreted.ledger.work.morsels);
}

/// A filter and an aggregate over one column, NULLs in it, are made together: as the conjuncts' rows say, and counted in the ledger; also if no row passes.
#[tokio::test]
async fn a_filter_and_its_aggregate_together() {
    let table = table();
    let device = table.device();
    let all = lines(ROWS);
    let prices: Vec<i128> = all.column(2).as_primitive::<Decimal128Type>().iter().flatten().collect();
    for limit in [500_000_i128, 2_000_000, 0] {
        let passed: Vec<i128> = prices.iter().copied().filter(|price| *price < limit).collect();
        let literal = format!("{}.{:02}d(12,2)", limit / 100, limit % 100);
        let fragment = format!("{SCAN} | filter p < {literal} | aggregate n: count(*), least: min(p)");
        for interpreter in [false, true] {
            let mut request = table.request(&*device, &fragment).await;
            request.options = Options { interpreter, ..Options::default() };
            let answer = execute(&*device, request).await.unwrap();
            let (count, least) =
                answer.rows().columns()[..2].split_first().map(|(n, rest)| (n.clone(), rest[0].clone())).unwrap();
            assert_eq!(count.as_primitive::<Int64Type>().iter().flatten().sum::<i64>(), passed.len() as i64, "{limit}");
            assert_eq!(least.as_primitive::<Decimal128Type>().iter().flatten().min(), passed.iter().min().copied(), "{limit}");
            let morsels = &answer.ledger.work.morsels;
            assert_eq!(morsels.iter().map(|morsel| morsel.rows_selected).sum::<u64>(), passed.len() as u64, "{limit}");
            let batches = |rows: u64| rows.div_ceil(u64::from(BATCH_ROWS_MAX));
            assert!(
                morsels.iter().all(|morsel| morsel.calls == 2 * batches(morsel.rows_considered)),
                "{limit}: no batch of its own"
            );
        }
    }
}

/// With a limit so many rows leave, the first ones, and the rest of the file is not read.
#[tokio::test]
async fn limits() {
    let table = table();
    let device = table.device();
    for limit in [0_u64, 1, 8192, 8193, 16_384, 16_385, 40_000, 1_000_000] {
        let mut request = table.request(&*device, &format!("{SCAN} | filter k >= 5 | emit k")).await;
        request.options = Options { limit: Some(limit), ..Options::default() };
        let answer = execute(&*device, request).await.unwrap();
        let expected = (limit as usize).min(ROWS - 5);
        let keys = answer.rows().column(0).as_primitive::<Int64Type>().clone();
        assert_eq!(keys, Int64Array::from_iter_values(5..5 + expected as i64));
        assert!(answer.ledger.work.morsels.len() <= expected / GROUP + 1);
    }
}

/// Byte ranges that partition a file partition its row groups; asking for some by number gives those.
#[tokio::test]
async fn row_groups_by_range_and_number() {
    let table = table();
    let device = table.device();
    let fragment = format!("{SCAN} | emit k");
    let size = slice(&*device, "t0.parquet").await.size;
    for parts in [1, 2, 3, 10] {
        let mut keys: Vec<i64> = Vec::new();
        for part in 0..parts {
            let mut request = ordered(table.request(&*device, &fragment).await);
            let (start, end) = (size * part / parts, size * (part + 1) / parts);
            objects_mut(&mut request)[0].row_groups = RowGroups::Starting { start, end };
            let answer = execute(&*device, request).await.unwrap();
            keys.extend(answer.rows().column(0).as_primitive::<Int64Type>().values());
        }
        assert!(keys.into_iter().eq(0..ROWS as i64), "{parts} parts");
    }
    let mut request = ordered(table.request(&*device, &fragment).await);
    objects_mut(&mut request)[0].row_groups = RowGroups::Only(vec![1, 3]);
    let answer = execute(&*device, request.clone()).await.unwrap();
    let rows = (GROUP as i64..2 * GROUP as i64).chain(3 * GROUP as i64..4 * GROUP as i64);
    let expected = take_record_batch(&lines(ROWS), &Int64Array::from_iter_values(rows)).unwrap();
    assert_eq!(answer.rows().column(0), expected.column(0));
    assert_eq!(answer.done, [1, 3].map(|row_group| MorselId { object: 0, row_group }));
    for wrong in [vec![5], vec![0, 0]] {
        objects_mut(&mut request)[0].row_groups = RowGroups::Only(wrong);
        assert!(matches!(execute(&*device, request.clone()).await, Err(DeviceError::BadRequest { .. })));
    }
}

/// Nothing in, nothing out, except that an aggregate without keys has its one row.
#[tokio::test]
async fn empty_inputs() {
    let mut table = Table::new(&lines(0), row_groups_of(GROUP));
    table.add(&lines(0), row_groups_of(GROUP));
    let device = table.device();
    for fragment in ["emit k, s", "group by s | aggregate n: count(*)"] {
        assert_eq!(table.run(&*device, &format!("{SCAN} | {fragment}")).await.rows().num_rows(), 0);
    }
    let answer = table.run(&*device, &format!("{SCAN} | aggregate n: count(*), t: sum(p)")).await;
    assert_eq!((answer.rows().num_rows(), totals(&answer)), (1, (0, 0)));
    let mut request = table.request(&*device, &format!("{SCAN} | emit k")).await;
    objects_mut(&mut request).clear();
    assert!(execute(&*device, request).await.unwrap().done.is_empty());
}

/// Rows that leave carry their own text, not all of the page's.
#[tokio::test]
async fn a_few_texts_leave_alone() {
    let texts = StringViewArray::from_iter_values((0..ROWS).map(|row| format!("a rather long text, number {row}")));
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let table = Table::new(&batch([("k", keys), ("s", Arc::new(texts))]), row_groups_of(GROUP));
    let answer = table.run(&*table.device(), "scan (k: i64, s: utf8) | filter k = 17 or k = 30001 | emit s").await;
    let held: usize = answer.batches.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
    assert_eq!(answer.rows().num_rows(), 2);
    assert!(held < 10_000, "{held} bytes");
}
