//! What leaves the device: values of the cage as Arrow arrays.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use nearside_programs::ValueType;

use crate::DeviceError;

/// Values of fixed width, gathered.
pub(super) enum Values {
    /// Booleans.
    Bits(BooleanBufferBuilder),
    /// Everything else: `width` bytes each, little-endian.
    Bytes { values: MutableBuffer, width: usize },
}

impl Values {
    /// None yet, and room for `capacity`.
    pub(super) fn new(value_type: ValueType, capacity: usize) -> Self {
        match value_type.byte_width() {
            Some(width) => Self::Bytes { values: MutableBuffer::new(capacity * width as usize), width: width as usize },
            None => Self::Bits(BooleanBufferBuilder::new(capacity)),
        }
    }

    /// Adds one: the low bytes, or the lowest bit.
    pub(super) fn push(&mut self, value: i128) {
        match self {
            Self::Bits(bits) => bits.append(value & 1 == 1),
            Self::Bytes { values, width } => values.extend_from_slice(&value.to_le_bytes()[..*width]),
        }
    }

    /// Adds the first `count` values of a computed column in the cage.
    pub(super) fn extend(&mut self, cage: &[u8], count: usize) {
        match self {
            Self::Bits(bits) => bits.append_packed_range(0..count, cage),
            Self::Bytes { values, width } => values.extend_from_slice(&cage[..count * *width]),
        }
    }

    /// Adds zeros.
    pub(super) fn extend_zeros(&mut self, count: usize) {
        match self {
            Self::Bits(bits) => bits.append_n(count, false),
            Self::Bytes { values, width } => values.extend_zeros(count * *width),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bits(bits) => bits.len(),
            Self::Bytes { values, width } => values.len() / *width,
        }
    }

    fn into_buffer(self) -> Buffer {
        match self {
            Self::Bits(bits) => bits.build().into_inner(),
            Self::Bytes { values, .. } => values.into(),
        }
    }
}

/// An array of computed values, in the Arrow type of their value type.
pub(super) fn array(value_type: ValueType, values: Values, nulls: Option<NullBuffer>) -> Result<ArrayRef, DeviceError> {
    let (rows, buffer) = (values.len(), values.into_buffer());
    let array = match value_type {
        ValueType::Bool => Ok(Arc::new(BooleanArray::new(BooleanBuffer::new(buffer, 0, rows), nulls)) as ArrayRef),
        ValueType::Int8 => primitive::<Int8Type>(buffer, nulls),
        ValueType::Int16 => primitive::<Int16Type>(buffer, nulls),
        ValueType::Int32 => primitive::<Int32Type>(buffer, nulls),
        ValueType::Int64 => primitive::<Int64Type>(buffer, nulls),
        ValueType::UInt8 => primitive::<UInt8Type>(buffer, nulls),
        ValueType::UInt16 => primitive::<UInt16Type>(buffer, nulls),
        ValueType::UInt32 => primitive::<UInt32Type>(buffer, nulls),
        ValueType::UInt64 => primitive::<UInt64Type>(buffer, nulls),
        ValueType::Float32 => primitive::<Float32Type>(buffer, nulls),
        ValueType::Float64 => primitive::<Float64Type>(buffer, nulls),
        ValueType::Date32 => primitive::<Date32Type>(buffer, nulls),
        ValueType::Decimal128 { precision, scale } => {
            let data_type = DataType::Decimal128(precision, scale);
            PrimitiveArray::<Decimal128Type>::try_new(buffer.into(), nulls)
                .map(|array| Arc::new(array.with_data_type(data_type)) as _)
        }
        ValueType::Utf8 | ValueType::Opaque => {
            return Err(DeviceError::Internal { reason: format!("{value_type:?} cannot be computed") });
        }
    };
    array.map_err(|error| DeviceError::Internal { reason: error.to_string() })
}

fn primitive<T: ArrowPrimitiveType>(values: Buffer, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls)?))
}
