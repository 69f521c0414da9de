//! What leaves the device: values of the cage as Arrow arrays.

use arrow::array::{ArrayData, ArrayRef, BooleanBufferBuilder, make_array};
use arrow::buffer::{Buffer, MutableBuffer, NullBuffer};
use nearside_programs::ValueType;

use super::load::arrow_type;
use crate::DeviceError;

/// Values of fixed width, gathered.
pub(super) enum Values {
    /// Booleans.
    Bits(BooleanBufferBuilder),
    /// Everything else: `width` bytes each, little-endian.
    Bytes { values: MutableBuffer, width: usize },
}

impl Values {
    /// None yet.
    pub(super) fn new(value_type: ValueType) -> Self {
        match value_type.byte_width() {
            Some(width) => Self::Bytes { values: MutableBuffer::new(0), width: width as usize },
            None => Self::Bits(BooleanBufferBuilder::new(0)),
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
    let failed = |reason: String| DeviceError::Internal { reason };
    let data_type = arrow_type(value_type).ok_or_else(|| failed("an opaque column cannot be computed".into()))?;
    let data = ArrayData::builder(data_type).len(values.len()).nulls(nulls).add_buffer(values.into_buffer());
    Ok(make_array(data.build().map_err(|error| failed(error.to_string()))?))
}
