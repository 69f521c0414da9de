//! Columns arrive in exactly the table's type, or not at all.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use nearside_device::{Device, DeviceError, Input};

use crate::common::*;

/// A column of each type, every third value NULL.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    fn some<T>(value: impl Fn(i64) -> T) -> Vec<Option<T>> {
        (0..500_i64).map(|row| (row % 3 != 0).then(|| value(row))).collect()
    }
    vec![
        ("bool", Arc::new(BooleanArray::from(some(|row| row % 2 == 0)))),
        ("i8", Arc::new(Int8Array::from(some(|row| row as i8)))),
        ("i16", Arc::new(Int16Array::from(some(|row| row as i16 * 60)))),
        ("i32", Arc::new(Int32Array::from(some(|row| row as i32 - 250)))),
        ("i64", Arc::new(Int64Array::from(some(|row| row << 40)))),
        ("u8", Arc::new(UInt8Array::from(some(|row| row as u8)))),
        ("u16", Arc::new(UInt16Array::from(some(|row| row as u16 * 120)))),
        ("u32", Arc::new(UInt32Array::from(some(|row| u32::MAX - row as u32)))),
        ("u64", Arc::new(UInt64Array::from(some(|row| u64::MAX - row as u64)))),
        ("f32", Arc::new(Float32Array::from(some(|row| row as f32 / 7.0)))),
        ("f64", Arc::new(Float64Array::from(some(|row| -row as f64 / 7.0)))),
        ("date", Arc::new(Date32Array::from(some(|row| row as i32)))),
        ("d9", Arc::new(Decimal128Array::from(some(i128::from)).with_precision_and_scale(9, 2).unwrap())),
        ("d18", Arc::new(Decimal128Array::from(some(i128::from)).with_precision_and_scale(18, 0).unwrap())),
        ("d38", Arc::new(Decimal128Array::from(some(|row| i128::from(row) << 90)).with_precision_and_scale(38, 10).unwrap())),
        ("time", Arc::new(TimestampMicrosecondArray::from(some(|row| row)).with_timezone("UTC"))),
        ("bytes", Arc::new(BinaryArray::from_iter(some(|row| row.to_le_bytes())))),
        ("text", Arc::new(StringArray::from(some(|row| format!("text number {row}"))))),
        ("null", Arc::new(NullArray::new(500))),
    ]
}

/// A request for all columns, asking for these types.
async fn request(table: &Table, device: &dyn Device, wanted: SchemaRef) -> nearside_device::Request {
    use nearside_programs::manifest::*;
    use nearside_programs::{Builder, Manifest, Object, ValueType};
    let columns = wanted.fields().iter().map(|field| ColumnSpec {
        name: field.name().clone(),
        value_type: ValueType::Opaque,
        nullable: field.is_nullable(),
    });
    let output = wanted.fields().iter().enumerate().map(|(index, field)| OutputColumn {
        name: field.name().clone(),
        source: OutputSource::Column(index as u32),
        value_type: ValueType::Opaque,
        nullable: field.is_nullable(),
    });
    let manifest = Manifest {
        target: Target::Columnar,
        abi_version: nearside_programs::abi::columnar::VERSION,
        columns: columns.collect(),
        parameters: Vec::new(),
        bounds: Vec::new(),
        selects: Vec::new(),
        main: None,
        output: Output::Project(output.collect()),
        notes: Default::default(),
    };
    let object = Object::new(Builder::new().finish().unwrap(), manifest);
    let program = device.load(object.write().into()).await.unwrap();
    let objects = vec![slice(device, &table.files[0]).await];
    let parameters = Default::default();
    ordered(nearside_device::Request {
        program,
        input: Input::Objects { schema: wanted, objects },
        parameters,
        options: Default::default(),
    })
}

/// Every type comes back as it was written.
#[tokio::test]
async fn all_types() {
    let written =
        RecordBatch::try_from_iter_with_nullable(columns().into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let table = Table::new(&written, row_groups_of(200));
    let device = table.device();
    let answer = execute(&*device, request(&table, &*device, written.schema()).await).await.unwrap();
    assert_eq!(answer.rows(), written);
}

/// Layouts of text, dictionaries and wider numbers: what Arrow's exact cast gives. Anything that might lose a value is refused.
#[tokio::test]
async fn other_types_than_the_files() {
    let dictionary = |keys, values| DataType::Dictionary(Box::new(keys), Box::new(values));
    let cases: Vec<(&str, DataType, bool)> = vec![
        ("text", DataType::Utf8View, true),
        ("text", DataType::LargeUtf8, true),
        ("text", dictionary(DataType::Int32, DataType::Utf8), true),
        ("bytes", DataType::BinaryView, true),
        ("i8", DataType::Int64, true),
        ("i32", DataType::Int64, true),
        ("u8", DataType::Int16, true),
        ("u32", DataType::Int64, true),
        ("f32", DataType::Float64, true),
        ("d9", DataType::Decimal128(38, 10), true),
        ("d18", DataType::Decimal128(20, 2), true),
        ("i64", DataType::Int32, false),
        ("u64", DataType::Int64, false),
        ("i32", DataType::Utf8, false),
        ("i64", DataType::Float64, false),
        ("d38", DataType::Decimal128(20, 10), false),
        ("time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        ("i64", DataType::Timestamp(TimeUnit::Second, None), false),
        ("date", DataType::Date64, false),
    ];
    let written =
        RecordBatch::try_from_iter_with_nullable(columns().into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let table = Table::new(&written, row_groups_of(200));
    let device = table.device();
    for (name, wanted, exact) in cases {
        let schema = Arc::new(Schema::new(vec![Field::new(name, wanted.clone(), true)]));
        let result = execute(&*device, request(&table, &*device, schema).await).await;
        if exact {
            let expected = cast(written.column_by_name(name).unwrap(), &wanted).unwrap();
            let rows = result.unwrap_or_else(|error| panic!("{name} as {wanted}: {error}")).rows();
            assert_eq!(rows.column(0).data_type(), &wanted);
            // Dictionaries of other values may stand for the same text.
            let plain = |array: &ArrayRef| match wanted {
                DataType::Dictionary(..) => cast(array, &DataType::Utf8).unwrap(),
                _ => Arc::clone(array),
            };
            assert_eq!(&plain(rows.column(0)), &plain(&expected), "{name} as {wanted}");
        } else {
            assert!(matches!(result, Err(DeviceError::BadObject { .. })), "{name} as {wanted}: {result:?}");
        }
    }
}

/// A column that is missing, or has NULLs the table rules out, is the object's fault, by name.
#[tokio::test]
async fn columns_that_do_not_fit() {
    let written =
        RecordBatch::try_from_iter_with_nullable(columns().into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let table = Table::new(&written, row_groups_of(200));
    let device = table.device();
    for field in [Field::new("missing", DataType::Int64, true), Field::new("i64", DataType::Int64, false)] {
        let request = request(&table, &*device, Arc::new(Schema::new(vec![field]))).await;
        match execute(&*device, request).await {
            Err(DeviceError::BadObject { path, .. }) => assert_eq!(path, "t0.parquet"),
            other => panic!("{other:?}"),
        }
    }
}

/// Nested columns pass through, some of several leaves.
#[tokio::test]
async fn nested_columns_pass_through() {
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>((0..300).map(|row| (row % 4 != 0).then(|| (0..row % 5).map(Some))));
    let a: ArrayRef = Arc::new(Int32Array::from_iter_values(0..300));
    let b: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|row| row.to_string())));
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, false)), a.clone()),
        (Arc::new(Field::new("b", DataType::Utf8, true)), b),
    ]);
    let columns: [(&str, ArrayRef, bool); 3] = [("l", Arc::new(lists), true), ("s", Arc::new(structs), false), ("a", a, false)];
    let written = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let table = Table::new(&written, row_groups_of(128));
    let device = table.device();
    let answer = execute(&*device, request(&table, &*device, written.schema()).await).await.unwrap();
    assert_eq!(answer.rows(), written);
}
