//! Arrow arrays into the cage: values in the ABI's width, and what the narrow proof wants to know about them.
//!
//! An array comes in the type the table gives it; [`plain`] resolves dictionaries first. Everything here copies one batch.

use std::borrow::Cow;
use std::ops::Deref;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, PrimitiveArray};
use arrow::compute::{max, min, take};
use arrow::datatypes::{
    ArrowNumericType, ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use nearside_programs::ValueType;

use super::bitmap;
use super::proof::Interval;
use crate::DeviceError;

// Columns are copied as they are.
const _: () = assert!(cfg!(target_endian = "little"));

/// The Arrow type that holds computed values of a value type; `None` for [`ValueType::Opaque`].
pub(super) fn arrow_type(value_type: ValueType) -> Option<DataType> {
    Some(match value_type {
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
        ValueType::Utf8 => DataType::Utf8,
        ValueType::Opaque => return None,
    })
}

/// Whether an Arrow type, in any layout, holds values of that value type.
pub(super) fn accepts(value_type: ValueType, data_type: &DataType) -> bool {
    let values = match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    match value_type {
        ValueType::Opaque => true,
        ValueType::Utf8 => matches!(values, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        other => arrow_type(other).as_ref() == Some(values),
    }
}

/// An array without a dictionary: the table's, or one made of it.
pub(super) struct Plain<'a>(Cow<'a, ArrayRef>);

impl Deref for Plain<'_> {
    type Target = dyn Array;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().as_ref()
    }
}

/// The array without its dictionary, if it has one.
pub(super) fn plain(array: &ArrayRef) -> Result<Plain<'_>, DeviceError> {
    match array.as_ref().as_any_dictionary_opt() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None)
            .map(|resolved| Plain(Cow::Owned(resolved)))
            .map_err(|error| DeviceError::Internal { reason: format!("dictionary: {error}") }),
        None => Ok(Plain(Cow::Borrowed(array))),
    }
}

/// Copies the values of a plain array of this type to the front of `out` and returns how many bytes that were.
///
/// Booleans become a bitmap. `out` is at least as long as the batch needs; see [`super::layout`].
pub(super) fn values(array: &dyn Array, value_type: ValueType, out: &mut [u8]) -> usize {
    if let Some(bits) = array.as_boolean_opt() {
        bitmap::write(bits.values(), out);
        return out.len();
    }
    let bytes = native(array, value_type);
    out[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

/// The values of a plain array of this type as they stand in memory, `rows × width` bytes; nothing for booleans, text and opaque columns.
pub(super) fn native(array: &dyn Array, value_type: ValueType) -> &[u8] {
    fn bytes<T: ArrowPrimitiveType>(array: &dyn Array) -> &[u8] {
        array.as_primitive::<T>().values().inner().as_slice()
    }
    match value_type {
        ValueType::Int8 => bytes::<Int8Type>(array),
        ValueType::Int16 => bytes::<Int16Type>(array),
        ValueType::Int32 => bytes::<Int32Type>(array),
        ValueType::Int64 => bytes::<Int64Type>(array),
        ValueType::UInt8 => bytes::<UInt8Type>(array),
        ValueType::UInt16 => bytes::<UInt16Type>(array),
        ValueType::UInt32 => bytes::<UInt32Type>(array),
        ValueType::UInt64 => bytes::<UInt64Type>(array),
        ValueType::Float32 => bytes::<Float32Type>(array),
        ValueType::Float64 => bytes::<Float64Type>(array),
        ValueType::Date32 => bytes::<Date32Type>(array),
        ValueType::Decimal128 { .. } => bytes::<Decimal128Type>(array),
        ValueType::Bool | ValueType::Utf8 | ValueType::Opaque => &[],
    }
}

/// Copies decimals as 8-byte integers to the front of `out`; `None` if a value that is not NULL does not fit.
pub(super) fn narrow_decimals(array: &Decimal128Array, out: &mut [u8]) -> Option<Interval> {
    let (out, _) = out.as_chunks_mut::<8>();
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => narrow(array.values(), out, |_| true),
        Some(nulls) => narrow(array.values(), out, |row| nulls.is_valid(row)),
    }
}

/// One pass without branches: the low halves are copied and bounded, and whatever a high half adds to its low half's sign is gathered.
fn narrow(values: &[i128], out: &mut [[u8; 8]], valid: impl Fn(usize) -> bool) -> Option<Interval> {
    let (mut least, mut greatest, mut excess) = (i64::MAX, i64::MIN, 0);
    for (row, (&value, out)) in values.iter().zip(out).enumerate() {
        let (low, high) = (value as i64, (value >> 64) as i64);
        *out = low.to_le_bytes();
        let valid = valid(row);
        excess |= if valid { high ^ (low >> 63) } else { 0 };
        least = if valid { least.min(low) } else { least };
        greatest = if valid { greatest.max(low) } else { greatest };
    }
    let range = Interval { low: i128::from(least), high: i128::from(greatest) };
    (excess == 0).then_some(if least > greatest { Interval::ZERO } else { range })
}

/// The least and greatest non-NULL value of a plain array; `None` for types without integer values.
pub(super) fn range(array: &dyn Array, value_type: ValueType) -> Option<Interval> {
    match value_type {
        ValueType::Bool => Some(Interval { low: 0, high: 1 }),
        ValueType::Int8 => bounds::<Int8Type>(array),
        ValueType::Int16 => bounds::<Int16Type>(array),
        ValueType::Int32 => bounds::<Int32Type>(array),
        ValueType::Int64 => bounds::<Int64Type>(array),
        ValueType::UInt8 => bounds::<UInt8Type>(array),
        ValueType::UInt16 => bounds::<UInt16Type>(array),
        ValueType::UInt32 => bounds::<UInt32Type>(array),
        ValueType::UInt64 => bounds::<UInt64Type>(array),
        ValueType::Date32 => bounds::<Date32Type>(array),
        ValueType::Decimal128 { .. } => bounds::<Decimal128Type>(array),
        ValueType::Float32 | ValueType::Float64 | ValueType::Utf8 | ValueType::Opaque => None,
    }
}

fn bounds<T: ArrowNumericType>(array: &dyn Array) -> Option<Interval>
where
    i128: From<T::Native>,
{
    let array: &PrimitiveArray<T> = array.as_primitive();
    Some(match (min(array), max(array)) {
        (Some(low), Some(high)) => Interval { low: low.into(), high: high.into() },
        _ => Interval::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, DictionaryArray, Float32Array, Int8Array, Int32Array, UInt64Array};

    use super::*;

    /// Values are the slice's own, whatever it was cut from, in the ABI's width.
    #[test]
    fn slices_are_copied_in_the_abi_width() {
        let mut out = vec![0xee; 64];
        let array = Int32Array::from(vec![1, 2, -3, 4]).slice(1, 2);
        assert_eq!(values(&array, ValueType::Int32, &mut out), 8);
        assert_eq!(out[..9], [2, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 0xee]);
        let bits = BooleanArray::from(vec![false, true, false, true]).slice(1, 3);
        assert_eq!(values(&bits, ValueType::Bool, &mut out), 64);
        assert_eq!(out, [&[0b101][..], &[0; 63]].concat());
    }

    /// NULL rows neither bound nor widen; a value of 65 bits forbids the narrow copy.
    #[test]
    fn decimals_narrow_if_all_values_fit() {
        let mut out = vec![0; 64];
        let big = i128::from(i64::MAX) + 1;
        let narrow = |values: Vec<Option<i128>>, out: &mut [u8]| narrow_decimals(&Decimal128Array::from(values), out);
        assert_eq!(narrow(vec![Some(-5), Some(7)], &mut out), Some(Interval { low: -5, high: 7 }));
        assert_eq!(out[..16], [(-5_i64).to_le_bytes(), 7_i64.to_le_bytes()].concat());
        assert_eq!(narrow(vec![Some(3), None], &mut out), Some(Interval::point(3)));
        assert_eq!(narrow(vec![None, None], &mut out), Some(Interval::ZERO));
        assert_eq!(narrow(vec![Some(big), None], &mut out), None);
        assert_eq!(narrow(vec![Some(-big - 1)], &mut out), None);
        assert_eq!(narrow(vec![Some(-big)], &mut out), Some(Interval::point(-big)));
    }

    /// Bounds are over non-NULL values; floats have none.
    #[test]
    fn ranges() {
        let unsigned = UInt64Array::from(vec![Some(u64::MAX), None, Some(1)]);
        assert_eq!(range(&unsigned, ValueType::UInt64), Some(Interval { low: 1, high: i128::from(u64::MAX) }));
        assert_eq!(range(&Int8Array::from(vec![None, None]), ValueType::Int8), Some(Interval::ZERO));
        assert_eq!(range(&Float32Array::from(vec![1.0]), ValueType::Float32), None);
    }

    /// A NULL key and a NULL value are both NULL.
    #[test]
    fn dictionaries_are_resolved() {
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(1)]);
        let dictionary = DictionaryArray::new(keys, Arc::new(Int32Array::from(vec![None, Some(9)])));
        let dictionary: ArrayRef = Arc::new(dictionary);
        let resolved = plain(&dictionary).unwrap();
        assert_eq!(resolved.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(9), None, None, Some(9)]));
    }
}
