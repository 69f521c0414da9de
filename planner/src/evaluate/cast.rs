//! Casts, as arrow-cast 59.3 does them with `safe: false`.

use nearside_programs::{Scalar, ValueType};

use crate::fragment::integer_range;

use super::Fault;

/// The value as another type, NULL as NULL.
pub(super) fn cast(value: &Scalar, to: ValueType) -> Result<Scalar, Fault> {
    if value.value_type() == to {
        return Ok(value.clone());
    }
    let cast = match value {
        Scalar::Null(_) => Some(Scalar::Null(to)),
        Scalar::Int(_, value) => from_integer(*value, to),
        Scalar::Float32(bits) => Some(Scalar::Float64(widen(*bits))),
        Scalar::Float64(bits) => Some(Scalar::Float32(narrow(*bits))),
        Scalar::Decimal { value, precision, scale } => {
            from_decimal(Decimal { value: *value, precision: *precision, scale: *scale }, to)
        }
        Scalar::Bool(_) | Scalar::Utf8(_) => unreachable!("checked: there is no such cast"),
    };
    cast.ok_or(Fault::Cast { to })
}

/// `10^exponent`, if 128 bits hold it.
pub(super) fn power_of_ten(exponent: i8) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// `cast_numeric_arrays`, `cast_integer_to_decimal`; dates are their days.
fn from_integer(value: i128, to: ValueType) -> Option<Scalar> {
    match to {
        // Not by way of binary64: one rounding.
        ValueType::Float32 => Some(Scalar::Float32((value as f32).to_bits())),
        ValueType::Float64 => Some(Scalar::Float64((value as f64).to_bits())),
        ValueType::Decimal128 { precision, scale } => {
            let factor = power_of_ten(scale.checked_abs()?)?;
            let value = if scale < 0 { value / factor } else { value.checked_mul(factor)? };
            fits_precision(value, precision).then_some(Scalar::Decimal { value, precision, scale })
        }
        _ => to_integer(value, to),
    }
}

fn to_integer(value: i128, to: ValueType) -> Option<Scalar> {
    integer_range(to)?.contains(&value).then_some(Scalar::Int(to, value))
}

/// A decimal and its type.
#[derive(Clone, Copy)]
struct Decimal {
    value: i128,
    precision: u8,
    scale: i8,
}

fn from_decimal(from: Decimal, to: ValueType) -> Option<Scalar> {
    // `single_decimal_to_float_lossy`: two roundings, and binary32 a third.
    let float = || from.value as f64 / 10_f64.powi(i32::from(from.scale));
    match to {
        ValueType::Float32 => Some(Scalar::Float32((float() as f32).to_bits())),
        ValueType::Float64 => Some(Scalar::Float64(float().to_bits())),
        ValueType::Decimal128 { precision, scale } => {
            rescale(from, precision, scale).map(|value| Scalar::Decimal { value, precision, scale })
        }
        // `cast_decimal_to_integer`.
        _ => {
            let factor = power_of_ten(from.scale.checked_abs()?)?;
            to_integer(if from.scale < 0 { from.value.checked_mul(factor)? } else { from.value / factor }, to)
        }
    }
}

/// `cast_decimal_to_decimal_same_type`.
fn rescale(from: Decimal, precision: u8, scale: i8) -> Option<i128> {
    if from.scale == scale && from.precision <= precision {
        return Some(from.value);
    }
    let delta = scale - from.scale;
    if delta >= 0 {
        let factor = power_of_ten(delta)?;
        // `make_upscaler`: where the type proves that it fits, nothing is checked.
        if i16::from(from.precision) + i16::from(delta) <= i16::from(precision) {
            return Some(from.value.wrapping_mul(factor));
        }
        from.value.checked_mul(factor).filter(|value| fits_precision(*value, precision))
    } else {
        let Some(divisor) = power_of_ten(-delta) else { return Some(0) };
        let value = round_half_away(from.value, divisor);
        // `make_downscaler`: the same.
        let infallible = i16::from(from.precision) + i16::from(delta) < i16::from(precision);
        (infallible || fits_precision(value, precision)).then_some(value)
    }
}

fn round_half_away(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value / divisor, value % divisor);
    if remainder.abs() >= divisor / 2 { quotient + value.signum() } else { quotient }
}

/// At most that many digits (`validate_decimal_precision`).
fn fits_precision(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10_u128.pow(u32::from(precision))
}

/// Exact; a signalling NaN becomes quiet, as the processor's conversion makes it.
pub(super) fn widen(bits: u32) -> u64 {
    if f32::from_bits(bits).is_nan() {
        let (sign, payload) = (u64::from(bits >> 31), u64::from(bits & 0x7f_ffff));
        return (sign << 63) | 0x7ff8_0000_0000_0000 | (payload << 29);
    }
    f64::from(f32::from_bits(bits)).to_bits()
}

/// Rounds to nearest, ties to even; beyond the range is infinite; a NaN keeps its sign and the high bits of its payload.
fn narrow(bits: u64) -> u32 {
    if f64::from_bits(bits).is_nan() {
        let (sign, payload) = ((bits >> 63) as u32, (bits >> 29) as u32 & 0x7f_ffff);
        return (sign << 31) | 0x7fc0_0000 | payload;
    }
    (f64::from_bits(bits) as f32).to_bits()
}
