//! Arrow's types and values as programs see them.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use nearside_planner::fragment::Column;
use nearside_programs::{Scalar, ValueType};

use crate::reason::Reason;

/// The type a program gives a column of this Arrow type. Layouts of one logical type are one type.
pub(crate) fn value_type(data_type: &DataType) -> ValueType {
    match data_type {
        DataType::Boolean => ValueType::Bool,
        DataType::Int8 => ValueType::Int8,
        DataType::Int16 => ValueType::Int16,
        DataType::Int32 => ValueType::Int32,
        DataType::Int64 => ValueType::Int64,
        DataType::UInt8 => ValueType::UInt8,
        DataType::UInt16 => ValueType::UInt16,
        DataType::UInt32 => ValueType::UInt32,
        DataType::UInt64 => ValueType::UInt64,
        DataType::Float32 => ValueType::Float32,
        DataType::Float64 => ValueType::Float64,
        DataType::Date32 => ValueType::Date32,
        DataType::Decimal128(precision, scale) => ValueType::Decimal128 { precision: *precision, scale: *scale },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ValueType::Utf8,
        // A dictionary of anything but text is decoded by nobody for us: it is passed through.
        DataType::Dictionary(_, values) if value_type(values) == ValueType::Utf8 => ValueType::Utf8,
        _ => ValueType::Opaque,
    }
}

/// The type that an expression computes with; refused if programs cannot.
pub(crate) fn computed_type(data_type: &DataType) -> Result<ValueType, Reason> {
    match value_type(data_type) {
        ValueType::Opaque => Err(Reason::Type { data_type: data_type.to_string() }),
        known => Ok(known),
    }
}

/// A table's column as a fragment has it.
pub(crate) fn column(field: &FieldRef) -> Column {
    Column { name: field.name().clone(), value_type: value_type(field.data_type()), nullable: field.is_nullable() }
}

/// A literal as programs have it.
pub(crate) fn scalar(value: &ScalarValue) -> Result<Scalar, Reason> {
    if let ScalarValue::Dictionary(_, value) = value {
        return scalar(value);
    }
    let value_type = computed_type(&value.data_type())?;
    if value.is_null() {
        return Ok(Scalar::Null(value_type));
    }
    let int = |number: i128| Scalar::Int(value_type, number);
    Ok(match value {
        ScalarValue::Boolean(Some(truth)) => Scalar::Bool(*truth),
        ScalarValue::Int8(Some(number)) => int((*number).into()),
        ScalarValue::Int16(Some(number)) => int((*number).into()),
        ScalarValue::Int32(Some(number)) | ScalarValue::Date32(Some(number)) => int((*number).into()),
        ScalarValue::Int64(Some(number)) => int((*number).into()),
        ScalarValue::UInt8(Some(number)) => int((*number).into()),
        ScalarValue::UInt16(Some(number)) => int((*number).into()),
        ScalarValue::UInt32(Some(number)) => int((*number).into()),
        ScalarValue::UInt64(Some(number)) => int((*number).into()),
        ScalarValue::Float32(Some(number)) => Scalar::Float32(number.to_bits()),
        ScalarValue::Float64(Some(number)) => Scalar::Float64(number.to_bits()),
        ScalarValue::Decimal128(Some(value), precision, scale) => {
            Scalar::Decimal { value: *value, precision: *precision, scale: *scale }
        }
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Scalar::Utf8(text.clone())
        }
        other => return Err(Reason::Expression { expression: format!("literal {other}") }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layouts are one type; what programs do not know is opaque.
    #[test]
    fn layouts_of_text_are_one_type() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        for text in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary(DataType::Utf8)] {
            assert_eq!(value_type(&text), ValueType::Utf8, "{text}");
        }
        for opaque in [dictionary(DataType::Int64), DataType::Decimal256(40, 2), DataType::Binary, DataType::Date64] {
            assert_eq!(value_type(&opaque), ValueType::Opaque, "{opaque}");
        }
    }

    /// Values keep their bits, NULL keeps its type.
    #[test]
    fn literals_keep_value_and_type() {
        let check = |value: ScalarValue, expected| assert_eq!(scalar(&value), Ok(expected));
        check(ScalarValue::UInt64(Some(u64::MAX)), Scalar::Int(ValueType::UInt64, u64::MAX.into()));
        check(ScalarValue::Date32(None), Scalar::Null(ValueType::Date32));
        check(ScalarValue::Float64(Some(-0.0)), Scalar::Float64(1 << 63));
        let text = ScalarValue::Utf8View(Some("a".into()));
        check(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(text)), Scalar::Utf8("a".into()));
        assert!(scalar(&ScalarValue::Binary(None)).is_err());
    }
}
