//! Casts to [nodes](super::node), exactly as arrow-cast does them (see [`Expr::Cast`]), or refused.

use nearside_programs::ValueType;
use nearside_programs::abi::helper::{
    F32_FROM_F64, F64_DIV, F64_FROM_F32, F64_FROM_I64, F64_FROM_I128, F64_FROM_U64, I128_DIV, I128_MUL,
};

use super::node::{Conversion, Number, NumberKind};
use super::resolve::Resolver;
use crate::fragment::{Expr, integer_range};
use crate::refusal::Refusal;

/// Digits after the point up to which a power of ten is an exact binary64.
const EXACT_SCALE_MAX: i8 = 22;

impl Resolver<'_> {
    pub(super) fn cast(&mut self, expr: &Expr, to: ValueType) -> Result<Number, Refusal> {
        use ValueType::*;
        let inner = self.number(expr)?;
        let from = inner.value_type;
        match (from, to) {
            _ if from == to => Ok(inner),
            (Decimal128 { precision, scale }, Decimal128 { scale: to_scale, .. }) => {
                let exponent = i16::from(to_scale) - i16::from(scale);
                if exponent < 0 {
                    self.unscaled(inner, exponent.unsigned_abs().into(), precision, to)
                } else {
                    self.scaled(inner, exponent, i16::from(precision), to)
                }
            }
            (_, Decimal128 { scale, .. }) if from.is_integer() => {
                // arrow-rs always checks the digits; a type whose every value passes needs no code for it.
                let digits = integer_range(from).map_or(0, |range| digits(*range.end())) as i16;
                self.scaled(inner, i16::from(scale), digits, to)
            }
            (Decimal128 { scale, .. }, Float64) => self.float_from_decimal(inner, scale, to),
            (Decimal128 { scale, .. }, Float32) => {
                let float = self.float_from_decimal(inner, scale, to)?;
                self.narrowed(float)
            }
            (Decimal128 { scale, .. }, _) if to.is_integer() => self.truncated(inner, scale, to),
            _ if from.is_integer() && to.is_integer() => {
                let ranges = integer_range(from).zip(integer_range(to));
                let always_fits = ranges.is_some_and(|(from, to)| to.contains(from.start()) && to.contains(from.end()));
                Ok(converted(if always_fits { Conversion::Same } else { Conversion::Fit }, inner, to))
            }
            (_, Float64) if from.is_integer() => self.float_from_integer(inner),
            // By way of binary64, which has room for 32 bits, but not for 64: those would be rounded twice.
            (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Float32) => {
                let float = self.float_from_integer(inner)?;
                self.narrowed(float)
            }
            (Float32, Float64) => self.widened(inner),
            (Float64, Float32) => self.narrowed(inner),
            _ => Err(Refusal::Cast { from, to }),
        }
    }

    /// Binary64 from binary32.
    pub(super) fn widened(&self, number: Number) -> Result<Number, Refusal> {
        self.capabilities.need(F64_FROM_F32)?;
        Ok(converted(Conversion::FloatFromFloat32, number, ValueType::Float64))
    }

    /// Binary32 from binary64.
    pub(super) fn narrowed(&self, number: Number) -> Result<Number, Refusal> {
        self.capabilities.need(F32_FROM_F64)?;
        Ok(converted(Conversion::Float32FromFloat, number, ValueType::Float32))
    }

    /// An operand of decimal `+` or `-` at the result's scale, unchecked but for 128 bits.
    pub(super) fn rescaled(&self, number: Number, to_scale: i8) -> Result<Number, Refusal> {
        let ValueType::Decimal128 { precision, scale } = number.value_type else {
            return Ok(number);
        };
        let exponent = u32::from(to_scale.abs_diff(scale));
        if exponent == 0 {
            return Ok(number);
        }
        self.capabilities.need(I128_MUL)?;
        let value_type = ValueType::Decimal128 { precision, scale: to_scale };
        Ok(converted(Conversion::Scale { factor: 10i128.pow(exponent), limit: None }, number, value_type))
    }

    /// A cast to a decimal that multiplies a number of at most `digits` digits by `10^exponent`.
    fn scaled(&self, inner: Number, exponent: i16, digits: i16, to: ValueType) -> Result<Number, Refusal> {
        let refused = Refusal::Cast { from: inner.value_type, to };
        let ValueType::Decimal128 { precision, .. } = to else {
            return Err(refused);
        };
        // Fewer digits than an integer has would take a division.
        let Some(factor) = u32::try_from(exponent).ok().and_then(|exponent| 10i128.checked_pow(exponent)) else {
            return Err(refused);
        };
        if factor != 1 {
            self.capabilities.need(I128_MUL)?;
        }
        let never_fails = digits + exponent <= i16::from(precision);
        let limit = (!never_fails).then(|| limit(precision));
        Ok(converted(Conversion::Scale { factor, limit }, inner, to))
    }

    /// A cast of a decimal of `digits` digits to one with `exponent` fewer of them after the point.
    fn unscaled(&self, inner: Number, exponent: u32, digits: u8, to: ValueType) -> Result<Number, Refusal> {
        let ValueType::Decimal128 { precision, .. } = to else {
            return Err(Refusal::Cast { from: inner.value_type, to });
        };
        self.capabilities.need(I128_DIV)?;
        self.capabilities.need(I128_MUL)?;
        // Rounding may add a digit.
        let never_fails = u32::from(digits) < u32::from(precision) + exponent;
        let limit = (!never_fails).then(|| limit(precision));
        Ok(converted(Conversion::Unscale { divisor: 10i128.checked_pow(exponent), limit }, inner, to))
    }

    /// A cast of a decimal to an integer.
    fn truncated(&self, inner: Number, scale: i8, to: ValueType) -> Result<Number, Refusal> {
        if scale < 0 {
            let whole = self.rescaled(inner, 0)?;
            return Ok(converted(Conversion::Truncate { divisor: 1 }, whole, to));
        }
        if scale > 0 {
            self.capabilities.need(I128_DIV)?;
        }
        Ok(converted(Conversion::Truncate { divisor: 10i128.pow(scale.unsigned_abs().into()) }, inner, to))
    }

    fn float_from_integer(&self, inner: Number) -> Result<Number, Refusal> {
        self.capabilities.need(if inner.value_type == ValueType::UInt64 { F64_FROM_U64 } else { F64_FROM_I64 })?;
        Ok(converted(Conversion::FloatFromInteger, inner, ValueType::Float64))
    }

    /// Binary64 from a decimal that is to become `to`.
    fn float_from_decimal(&self, inner: Number, scale: i8, to: ValueType) -> Result<Number, Refusal> {
        if !(0..=EXACT_SCALE_MAX).contains(&scale) {
            // What it is divided by would depend on how `powi` rounds.
            return Err(Refusal::Cast { from: inner.value_type, to });
        }
        [F64_FROM_I64, F64_FROM_I128, F64_DIV].into_iter().try_for_each(|helper| self.capabilities.need(helper))?;
        Ok(converted(Conversion::FloatFromDecimal { divisor: 10_f64.powi(scale.into()) }, inner, ValueType::Float64))
    }
}

fn converted(conversion: Conversion, inner: Number, value_type: ValueType) -> Number {
    Number { kind: NumberKind::Convert(conversion, Box::new(inner)), value_type }
}

/// The greatest unscaled value of a precision.
fn limit(precision: u8) -> i128 {
    10i128.pow(u32::from(precision)) - 1
}

fn digits(value: i128) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}
