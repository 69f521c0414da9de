//! Generated rows as a Parquet file, in any layout that Arrow has for their types; and cells as text that tells different values apart.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::scalar::ScalarValue;
use nearside_planner::fragment::Column;
use nearside_programs::{Scalar, ValueType};

/// Rows of a row group, and of a page: few, so that there are several of each.
const ROW_GROUP: usize = 24;
const PAGE: usize = 8;

/// Writes the table.
pub(crate) fn write(path: &Path, columns: &[Column], rows: &[Vec<Scalar>], seed: u64) {
    let arrays: Vec<ArrayRef> = (0..columns.len()).map(|index| array(columns, rows, index, seed)).collect();
    let fields = columns.iter().zip(&arrays);
    let fields: Vec<_> =
        fields.map(|(column, array)| Field::new(&column.name, array.data_type().clone(), column.nullable)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length");
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_data_page_row_count_limit(PAGE)
        .set_write_batch_size(PAGE)
        .set_dictionary_enabled(!seed.is_multiple_of(3))
        .set_bloom_filter_enabled(seed.is_multiple_of(4));
    for (index, column) in columns.iter().enumerate() {
        // Statistics leave NaNs out, and DataFusion takes a column for a constant whose least and greatest values are the same.
        if rows.iter().any(|row| is_nan(&row[index])) {
            properties = properties.set_column_statistics_enabled(column.name.as_str().into(), EnabledStatistics::None);
        }
    }
    let properties = properties.build();
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("a footer");
}

pub(crate) fn is_nan(value: &Scalar) -> bool {
    match value {
        Scalar::Float32(bits) => f32::from_bits(*bits).is_nan(),
        Scalar::Float64(bits) => f64::from_bits(*bits).is_nan(),
        _ => false,
    }
}

fn array(columns: &[Column], rows: &[Vec<Scalar>], index: usize, seed: u64) -> ArrayRef {
    let value_type = columns[index].value_type;
    let null = scalar_value(&Scalar::Null(value_type));
    let cells = rows.iter().map(|row| scalar_value(&row[index]));
    // With a NULL that is cut off: no rows have a type, too.
    let array = ScalarValue::iter_to_array(cells.chain([null])).expect("cells of one type").slice(0, rows.len());
    if value_type == ValueType::Utf8 {
        cast(&array, &layout(seed.wrapping_add(index as u64))).expect("a layout of text")
    } else {
        array
    }
}

fn layout(choice: u64) -> DataType {
    let dictionary = |keys, values| DataType::Dictionary(Box::new(keys), Box::new(values));
    match choice % 5 {
        0 => DataType::Utf8,
        1 => DataType::LargeUtf8,
        2 => DataType::Utf8View,
        3 => dictionary(DataType::Int32, DataType::Utf8),
        _ => dictionary(DataType::UInt16, DataType::LargeUtf8),
    }
}

/// Arrow's type, text in its plainest layout.
pub(crate) fn data_type(value_type: ValueType) -> DataType {
    match value_type {
        ValueType::Bool => DataType::Boolean,
        ValueType::Int8 => DataType::Int8,
        ValueType::Int16 => DataType::Int16,
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 => DataType::Int64,
        ValueType::UInt8 => DataType::UInt8,
        ValueType::UInt16 => DataType::UInt16,
        ValueType::UInt32 => DataType::UInt32,
        ValueType::UInt64 => DataType::UInt64,
        ValueType::Float32 => DataType::Float32,
        ValueType::Float64 => DataType::Float64,
        ValueType::Date32 => DataType::Date32,
        ValueType::Decimal128 { precision, scale } => DataType::Decimal128(precision, scale),
        ValueType::Utf8 | ValueType::Opaque => DataType::Utf8,
    }
}

/// DataFusion's literal.
pub(crate) fn scalar_value(scalar: &Scalar) -> ScalarValue {
    let fits = "the generator stays within the type";
    match scalar {
        Scalar::Null(value_type) => ScalarValue::try_new_null(&data_type(*value_type)).expect("a NULL of each type"),
        Scalar::Bool(truth) => ScalarValue::Boolean(Some(*truth)),
        Scalar::Float32(bits) => ScalarValue::Float32(Some(f32::from_bits(*bits))),
        Scalar::Float64(bits) => ScalarValue::Float64(Some(f64::from_bits(*bits))),
        Scalar::Decimal { value, precision, scale } => ScalarValue::Decimal128(Some(*value), *precision, *scale),
        Scalar::Utf8(text) => ScalarValue::Utf8(Some(text.clone())),
        Scalar::Int(value_type, value) => match value_type {
            ValueType::Int8 => ScalarValue::Int8(Some((*value).try_into().expect(fits))),
            ValueType::Int16 => ScalarValue::Int16(Some((*value).try_into().expect(fits))),
            ValueType::Int32 => ScalarValue::Int32(Some((*value).try_into().expect(fits))),
            ValueType::Date32 => ScalarValue::Date32(Some((*value).try_into().expect(fits))),
            ValueType::Int64 => ScalarValue::Int64(Some((*value).try_into().expect(fits))),
            ValueType::UInt8 => ScalarValue::UInt8(Some((*value).try_into().expect(fits))),
            ValueType::UInt16 => ScalarValue::UInt16(Some((*value).try_into().expect(fits))),
            ValueType::UInt32 => ScalarValue::UInt32(Some((*value).try_into().expect(fits))),
            ValueType::UInt64 => ScalarValue::UInt64(Some((*value).try_into().expect(fits))),
            other => panic!("an integer of type {other:?}"),
        },
    }
}

/// A value as the answers have it, text of all that is not a float; a sum of floats has last digits that nobody promises.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(crate) enum Cell {
    Exact(String),
    /// Bits.
    Float32(u32),
    Float64(u64),
    About(f64),
}

/// Digits of a float sum that do not depend on the order of additions.
const RELATIVE: f64 = 1e-9;

impl Cell {
    /// Of the reference's answer.
    pub(crate) fn of_scalar(scalar: &Scalar, about: bool) -> Self {
        match scalar {
            Scalar::Null(_) => Self::Exact("NULL".into()),
            Scalar::Bool(truth) => Self::Exact(truth.to_string()),
            Scalar::Int(_, value) => Self::Exact(value.to_string()),
            Scalar::Float32(bits) => Self::Float32(*bits),
            Scalar::Float64(bits) if about => Self::About(f64::from_bits(*bits)),
            Scalar::Float64(bits) => Self::Float64(*bits),
            Scalar::Decimal { value, scale, .. } => Self::Exact(format!("{value}e{}", -i16::from(*scale))),
            Scalar::Utf8(text) => Self::Exact(format!("{text:?}")),
        }
    }

    /// Of DataFusion's answer.
    pub(crate) fn of_value(value: &ScalarValue, about: bool) -> Self {
        match value {
            ScalarValue::Dictionary(_, value) => Self::of_value(value, about),
            value if value.is_null() => Self::Exact("NULL".into()),
            ScalarValue::Float32(Some(number)) => Self::Float32(number.to_bits()),
            ScalarValue::Float64(Some(number)) if about => Self::About(*number),
            ScalarValue::Float64(Some(number)) => Self::Float64(number.to_bits()),
            ScalarValue::Decimal128(Some(value), _, scale) => Self::Exact(format!("{value}e{}", -i16::from(*scale))),
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
                Self::Exact(format!("{text:?}"))
            }
            ScalarValue::Date32(Some(days)) => Self::Exact(days.to_string()),
            other => Self::Exact(other.to_string()),
        }
    }

    /// With one NaN for all.
    pub(crate) fn canonical(&self) -> Self {
        match self {
            Self::Float32(bits) if f32::from_bits(*bits).is_nan() => Self::Float32(f32::NAN.to_bits()),
            Self::Float64(bits) if f64::from_bits(*bits).is_nan() => Self::Float64(f64::NAN.to_bits()),
            other => other.clone(),
        }
    }

    /// Whether this is the same answer.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::About(left), Self::About(right)) => {
                left == right
                    || (left.is_nan() && right.is_nan())
                    || (left - right).abs() <= RELATIVE * left.abs().max(right.abs())
            }
            (left, right) => left == right,
        }
    }
}
