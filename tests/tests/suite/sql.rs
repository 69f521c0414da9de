//! SQL over a table of each kind of type, with NULLs, extremes, both zeros, NaNs, and groups of nothing: with a device the answer is DataFusion's own.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt8Array, UInt64Array,
};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::physical_plan::collect;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use nearside::account;
use tempfile::TempDir;

/// Rows; the group `k = 3` has NULL in every column but `k` and `id`.
const ROWS: i64 = 3_000;

const NUMBERS: [&str; 9] = ["i8", "i32", "i64", "u8", "u64", "f32", "f64", "small", "large"];

/// NULL in the group of nothing, and here and there.
fn known(id: i64) -> bool {
    id % 4 != 3 && id % 11 != 5
}

fn column<T>(value: impl Fn(i64) -> T) -> impl Iterator<Item = Option<T>> {
    (0..ROWS).map(move |id| known(id).then(|| value(id)))
}

fn float(id: i64) -> f64 {
    [-0.0, 0.0, 1.5, -2.25, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, -1e300, 7.0][(id % 10) as usize]
}

/// Decimals of a precision, up to as many digits.
fn decimals(precision: u8, scale: i8) -> ArrayRef {
    let most = 10_i128.pow(u32::from(precision)) - 1;
    let array: Decimal128Array = column(|id| [most, -most, 0, 1, i128::from(id) % most][(id % 5) as usize]).collect();
    Arc::new(array.with_precision_and_scale(precision, scale).expect("they fit"))
}

fn table() -> RecordBatch {
    let text = |id: i64| ["", "a", "ab", "%_", "zebra"][(id % 5) as usize];
    let dictionary: DictionaryArray<Int32Type> = column(text).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|id| id % 4)))),
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS))),
        ("i8", Arc::new(column(|id| id as i8).collect::<Int8Array>())),
        ("i32", Arc::new(column(|id| id as i32 - 1_500).collect::<Int32Array>())),
        ("i64", Arc::new(column(|id| if id == 8 { i64::MIN } else { id - 10 }).collect::<Int64Array>())),
        ("u8", Arc::new(column(|id| id as u8).collect::<UInt8Array>())),
        ("u64", Arc::new(column(|id| if id == 8 { u64::MAX } else { id as u64 }).collect::<UInt64Array>())),
        ("f32", Arc::new(column(|id| float(id) as f32).collect::<Float32Array>())),
        ("f64", Arc::new(column(float).collect::<Float64Array>())),
        ("small", decimals(5, 2)),
        ("large", decimals(20, 4)),
        ("b", Arc::new(column(|id| id % 3 == 0).collect::<BooleanArray>())),
        ("day", Arc::new(column(|id| id as i32 * 10 - 9_000).collect::<Date32Array>())),
        ("t", Arc::new(column(text).collect::<StringArray>())),
        ("d", Arc::new(dictionary)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// Without statistics: which row groups DataFusion skips because of them depends on NaNs that they do not mention.
fn write(directory: &TempDir) {
    let batch = table();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1_000))
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let file = std::fs::File::create(directory.path().join("t.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

async fn session(directory: &TempDir, offload: &str) -> SessionContext {
    let context = nearside::extend(SessionContext::new()).expect("Nearside");
    let folder = format!("file://{}/", directory.path().display());
    for (name, value) in [("devices", format!("{folder}=embedded")), ("offload", offload.to_owned())] {
        context.sql(&format!("SET nearside.{name} = '{value}'")).await.expect("a setting").collect().await.expect("set");
    }
    context.register_parquet("t", format!("{folder}t.parquet"), ParquetReadOptions::default()).await.expect("a table");
    context
}

/// The answer as text, or the error; and whether a device had a part in it.
async fn ask(context: &SessionContext, sql: &str) -> (Result<String, String>, bool) {
    let answer = async {
        let plan = context.sql(sql).await?.create_physical_plan().await?;
        let batches = collect(plan.clone(), context.task_ctx()).await?;
        let executions = account(&plan).executions;
        Ok::<_, datafusion::error::DataFusionError>((pretty_format_batches(&batches)?.to_string(), executions > 0))
    };
    match answer.await {
        Ok((rows, offloaded)) => (Ok(rows), offloaded),
        Err(error) => (Err(error.to_string()), false),
    }
}

/// Asks with and without a device; how many of the queries a device had a part in.
async fn check(queries: &[String]) -> usize {
    let directory = tempfile::tempdir().expect("a folder");
    write(&directory);
    let (host, device) = (session(&directory, "never").await, session(&directory, "always").await);
    let mut offloaded = 0;
    for sql in queries {
        let ((expected, _), (given, on_device)) = (ask(&host, sql).await, ask(&device, sql).await);
        match (&expected, &given) {
            (Ok(expected), Ok(given)) => assert_eq!(expected, given, "{sql}"),
            (Err(_), Err(_)) => {}
            _ => panic!("{sql}\nwithout a device: {expected:?}\nwith one: {given:?}"),
        }
        offloaded += usize::from(on_device);
    }
    offloaded
}

/// `AVG` and the others over groups that have nothing, or nothing that passes the aggregate's own filter.
#[tokio::test]
async fn aggregates_of_nothing() {
    let mut queries = Vec::new();
    for number in NUMBERS {
        for (keys, order) in [("k, ", "GROUP BY k ORDER BY k"), ("", "")] {
            queries.push(format!("SELECT {keys}avg({number}) FROM t WHERE k = 3 OR f64 = 7 {order}"));
            queries.push(format!("SELECT {keys}avg({number}) FROM t WHERE k = 3 {order}"));
            queries.push(format!("SELECT {keys}avg({number}) FILTER (WHERE id < 1) AS a FROM t {order}"));
            queries.push(format!("SELECT {keys}avg({number}) FILTER (WHERE id < 0), count({number}), sum({number}) FILTER (WHERE f64 = 7) FROM t {order}"));
            queries.push(format!("SELECT {keys}min({number}), max({number}), count(*) FROM t WHERE f64 = 7 OR k = 3 {order}"));
            queries.push(format!("SELECT {keys}avg({number}) FROM t WHERE id < 0 {order}"));
        }
    }
    assert!(check(&queries).await > queries.len() / 2);
}

/// `=` and `<` do not tell zeros apart; lists, `CASE … WHEN` and keys do as DataFusion's do.
#[tokio::test]
async fn comparisons_of_floats() {
    let mut queries = Vec::new();
    for float in ["f32", "f64"] {
        let literals = ["0.0", "-0.0", "1.5", "'NaN'", "'inf'", "'-inf'", "1e-310"];
        let cast = |literal: &str| format!("CAST({literal} AS {})", if float == "f32" { "FLOAT" } else { "DOUBLE" });
        for literal in literals.map(cast) {
            for op in ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"] {
                queries.push(format!("SELECT count(*), min(id), max(id) FROM t WHERE {float} {op} {literal}"));
                queries
                    .push(format!("SELECT count(*) FROM t WHERE CASE WHEN {float} {op} {literal} THEN id ELSE 0 - id END > 5"));
                queries.push(format!("SELECT k, count(*) FILTER (WHERE {float} {op} {literal}) FROM t GROUP BY k ORDER BY k"));
            }
            queries.push(format!("SELECT count(*) FROM t WHERE {float} BETWEEN {literal} AND 1.5"));
            queries.push(format!("SELECT count(*) FROM t WHERE {float} IN ({literal}, 7)"));
            queries.push(format!("SELECT count(*) FROM t WHERE {float} IN ({literal}, 7, 8, 9, 10, 11)"));
            queries.push(format!("SELECT count(*) FROM t WHERE {float} NOT IN ({literal}, 7, 8, 9, 10, NULL)"));
            queries.push(format!(
                "SELECT CASE {float} WHEN {literal} THEN 1 WHEN 7 THEN 2 END AS c, count(*) FROM t GROUP BY c ORDER BY c"
            ));
        }
        queries.push(format!("SELECT count(*) FROM t WHERE {float} = {float} * -1"));
        queries.push(format!("SELECT count(*) FROM t WHERE {float} * -1 >= {float} AND id > 4"));
        queries.push(format!("SELECT {float}, count(*) AS n FROM t GROUP BY {float} ORDER BY n, {float}"));
        queries.push(format!("SELECT {float}, k, count(*) AS n FROM t GROUP BY {float}, k ORDER BY n, k, {float}"));
        queries.push(format!("SELECT count(*) FROM t AS l JOIN t AS r ON l.{float} = r.{float} WHERE l.id < 40 AND r.id < 2000"));
    }
    assert!(check(&queries).await > queries.len() / 2);
}
