//! Rows and literals that fit whatever a manifest asks for.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int32Array, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use nearside_programs::manifest::ColumnSpec;
use nearside_programs::{Parameters, ValueType};

/// A table of these columns: every third value NULL, text plain, as views or as dictionary in turn.
///
/// # Panics
/// Two columns of one name.
pub(crate) fn table(columns: &[ColumnSpec], rows: usize) -> RecordBatch {
    let arrays: Vec<ArrayRef> = columns.iter().enumerate().map(|(index, spec)| column(spec.value_type, index, rows)).collect();
    let fields = columns.iter().zip(&arrays).map(|(spec, array)| Field::new(&spec.name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).expect("arrays of their fields' types")
}

/// Literals of these types.
pub(crate) fn parameters(types: &[ValueType]) -> Parameters {
    let mut parameters = Parameters::default();
    for (index, value_type) in types.iter().enumerate() {
        match (value_type, index % 3) {
            (ValueType::Utf8, 0) => parameters.push_text("%b_c%"),
            (ValueType::Utf8, 1) => parameters.push_texts(["a", "", "größer"]),
            (ValueType::Utf8, _) => parameters.push_text("größer"),
            (value_type, _) => parameters.push(*value_type, 3 * index as i128 - 1),
        };
    }
    parameters
}

fn column(value_type: ValueType, index: usize, rows: usize) -> ArrayRef {
    let valid = |row: usize| !(row + index).is_multiple_of(3);
    let text = |row: usize| valid(row).then(|| TEXTS[row % TEXTS.len()]);
    match value_type {
        ValueType::Utf8 => match index % 3 {
            0 => Arc::new(StringArray::from_iter((0..rows).map(text))),
            1 => Arc::new(StringViewArray::from_iter((0..rows).map(text))),
            _ => Arc::new(DictionaryArray::<Int32Type>::from_iter((0..rows).map(text))),
        },
        ValueType::Bool => Arc::new(BooleanArray::from_iter((0..rows).map(|row| valid(row).then_some(row % 2 == 0)))),
        ValueType::Opaque => Arc::new(StringArray::from_iter((0..rows).map(text))),
        ValueType::Decimal128 { precision, scale } => {
            let unscaled = (0..rows).map(|row| valid(row).then_some((row * 37 % 10) as i128));
            Arc::new(Decimal128Array::from_iter(unscaled).with_data_type(DataType::Decimal128(precision, scale)))
        }
        other => {
            let integers = Int32Array::from_iter((0..rows).map(|row| valid(row).then_some((row * 37 % 100) as i32)));
            cast(&integers, &data_type(other)).expect("small numbers fit everywhere")
        }
    }
}

const TEXTS: [&str; 5] = ["", "a", "abbcc", "größer", "a text of more than twelve bytes"];

/// The Arrow type of a number that is no decimal.
fn data_type(value_type: ValueType) -> DataType {
    match value_type {
        ValueType::Int8 => DataType::Int8,
        ValueType::Int16 => DataType::Int16,
        ValueType::Int64 => DataType::Int64,
        ValueType::UInt8 => DataType::UInt8,
        ValueType::UInt16 => DataType::UInt16,
        ValueType::UInt32 => DataType::UInt32,
        ValueType::UInt64 => DataType::UInt64,
        ValueType::Float32 => DataType::Float32,
        ValueType::Float64 => DataType::Float64,
        ValueType::Date32 => DataType::Date32,
        _ => DataType::Int32,
    }
}
