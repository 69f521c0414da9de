//! Rows of scalars to record batches, in any layout, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, StringArray, new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use nearside_planner::fragment::Column;
use nearside_programs::{Scalar, ValueType};

use crate::columnar::load;

/// How Arrow stores the columns of a test's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Plain,
    /// Text as views.
    View,
    /// Text with 64-bit offsets.
    Large,
    /// Dictionaries with keys of 16 bits, where Arrow can make them; text as plain values.
    Dictionary,
    /// Dictionaries with keys of 32 unsigned bits; text as views.
    DictionaryOfViews,
}

pub(super) const LAYOUTS: [Layout; 5] =
    [Layout::Plain, Layout::View, Layout::Large, Layout::Dictionary, Layout::DictionaryOfViews];

impl Layout {
    fn of(self, value_type: ValueType) -> DataType {
        let plain = load::arrow_type(value_type).unwrap();
        match (self, value_type) {
            (Self::View, ValueType::Utf8) => DataType::Utf8View,
            (Self::Large, ValueType::Utf8) => DataType::LargeUtf8,
            (Self::Dictionary, ValueType::Bool) | (Self::DictionaryOfViews, ValueType::Bool) => plain,
            (Self::Dictionary, _) => DataType::Dictionary(Box::new(DataType::Int16), Box::new(plain)),
            (Self::DictionaryOfViews, ValueType::Utf8) => {
                DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8View))
            }
            _ => plain,
        }
    }
}

/// A table of these rows. Every array is cut out of a longer one, so that offsets are not zero.
pub(super) fn table(columns: &[Column], rows: &[Vec<Scalar>], layout: Layout) -> RecordBatch {
    let arrays = columns.iter().enumerate().map(|(index, column)| {
        let plain = array(column.value_type, rows.iter().map(|row| &row[index]));
        let padding = new_null_array(plain.data_type(), 3);
        let padded = concat(&[&padding, &plain, &padding]).unwrap();
        // Not every type has a dictionary in Arrow's cast.
        cast(&padded, &layout.of(column.value_type)).unwrap_or(padded).slice(3, rows.len())
    });
    let arrays: Vec<ArrayRef> = arrays.collect();
    let fields = columns.iter().zip(&arrays).map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new_with_options(schema, arrays, &RecordBatchOptions::new().with_row_count(Some(rows.len()))).unwrap()
}

/// All rows of the batches.
pub(super) fn rows(batches: &[RecordBatch], types: &[ValueType]) -> Vec<Vec<Scalar>> {
    let rows_of = |batch: &RecordBatch| {
        let columns: Vec<_> = batch.columns().iter().zip(types).map(|(array, value_type)| scalars(array, *value_type)).collect();
        (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(rows_of).collect()
}

fn array<'a>(value_type: ValueType, values: impl Iterator<Item = &'a Scalar>) -> ArrayRef {
    fn integers<'a, T: ArrowPrimitiveType>(values: impl Iterator<Item = &'a Scalar>) -> ArrayRef
    where
        T::Native: TryFrom<i128>,
    {
        let native = |value: &Scalar| match value {
            Scalar::Int(_, value) => T::Native::try_from(*value).ok(),
            _ => None,
        };
        Arc::new(values.map(native).collect::<PrimitiveArray<T>>())
    }
    match value_type {
        ValueType::Bool => {
            let bit = |value: &Scalar| if let Scalar::Bool(bit) = value { Some(*bit) } else { None };
            Arc::new(values.map(bit).collect::<BooleanArray>())
        }
        ValueType::Float32 => {
            let float = |value: &Scalar| if let Scalar::Float32(bits) = value { Some(f32::from_bits(*bits)) } else { None };
            Arc::new(values.map(float).collect::<PrimitiveArray<Float32Type>>())
        }
        ValueType::Float64 => {
            let float = |value: &Scalar| if let Scalar::Float64(bits) = value { Some(f64::from_bits(*bits)) } else { None };
            Arc::new(values.map(float).collect::<PrimitiveArray<Float64Type>>())
        }
        ValueType::Decimal128 { precision, scale } => {
            let unscaled = |value: &Scalar| if let Scalar::Decimal { value, .. } = value { Some(*value) } else { None };
            Arc::new(values.map(unscaled).collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap())
        }
        ValueType::Utf8 | ValueType::Opaque => {
            let text = |value: &'a Scalar| if let Scalar::Utf8(text) = value { Some(text.as_str()) } else { None };
            Arc::new(values.map(text).collect::<StringArray>())
        }
        ValueType::Int8 => integers::<Int8Type>(values),
        ValueType::Int16 => integers::<Int16Type>(values),
        ValueType::Int32 => integers::<Int32Type>(values),
        ValueType::Int64 => integers::<Int64Type>(values),
        ValueType::UInt8 => integers::<UInt8Type>(values),
        ValueType::UInt16 => integers::<UInt16Type>(values),
        ValueType::UInt32 => integers::<UInt32Type>(values),
        ValueType::UInt64 => integers::<UInt64Type>(values),
        ValueType::Date32 => integers::<Date32Type>(values),
    }
}

fn scalars(array: &ArrayRef, value_type: ValueType) -> Vec<Scalar> {
    let plain = cast(array, &load::arrow_type(value_type).unwrap()).unwrap();
    (0..plain.len())
        .map(|row| if plain.is_null(row) { Scalar::Null(value_type) } else { scalar(&plain, value_type, row) })
        .collect()
}

fn scalar(array: &ArrayRef, value_type: ValueType, row: usize) -> Scalar {
    fn integer<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> i128
    where
        i128: From<T::Native>,
    {
        array.as_primitive::<T>().value(row).into()
    }
    let integer = match value_type {
        ValueType::Bool => return Scalar::Bool(array.as_boolean().value(row)),
        ValueType::Float32 => return Scalar::Float32(array.as_primitive::<Float32Type>().value(row).to_bits()),
        ValueType::Float64 => return Scalar::Float64(array.as_primitive::<Float64Type>().value(row).to_bits()),
        ValueType::Decimal128 { precision, scale } => {
            return Scalar::Decimal { value: array.as_primitive::<Decimal128Type>().value(row), precision, scale };
        }
        ValueType::Utf8 | ValueType::Opaque => return Scalar::Utf8(array.as_string::<i32>().value(row).into()),
        ValueType::Int8 => integer::<Int8Type>(array, row),
        ValueType::Int16 => integer::<Int16Type>(array, row),
        ValueType::Int32 => integer::<Int32Type>(array, row),
        ValueType::Int64 => integer::<Int64Type>(array, row),
        ValueType::UInt8 => integer::<UInt8Type>(array, row),
        ValueType::UInt16 => integer::<UInt16Type>(array, row),
        ValueType::UInt32 => integer::<UInt32Type>(array, row),
        ValueType::UInt64 => integer::<UInt64Type>(array, row),
        ValueType::Date32 => integer::<Date32Type>(array, row),
    };
    Scalar::Int(value_type, integer)
}
