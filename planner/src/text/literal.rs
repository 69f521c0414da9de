//! Literals: with their types inside expressions, without them where a column gives the type.

use std::fmt::{self, Display, Formatter, Write as _};

use nearside_programs::{Scalar, ValueType};

use super::lex::{Spanned, Token, error_at, lex};
use super::{ParseError, Problem, date};
use crate::fragment::integer_range;

/// As an expression has it: the type can be read from it.
pub(super) fn write_literal(f: &mut Formatter<'_>, literal: &Scalar) -> fmt::Result {
    match literal {
        Scalar::Null(value_type) => write!(f, "null {value_type}"),
        Scalar::Decimal { precision, scale, .. } => write!(f, "{}d({precision},{scale})", Bare(literal)),
        Scalar::Int(ValueType::Date32, days) if date::from_days(*days).is_some() => write!(f, "date {}", Bare(literal)),
        Scalar::Int(ValueType::Date32, days) => write!(f, "{days}date"),
        Scalar::Int(value_type, _) if *value_type != ValueType::Int64 => write!(f, "{}{value_type}", Bare(literal)),
        Scalar::Float32(bits) if f32::from_bits(*bits).is_finite() => write!(f, "{}f32", Bare(literal)),
        Scalar::Float32(_) => write!(f, "f32 {}", Bare(literal)),
        Scalar::Float64(bits) if !f64::from_bits(*bits).is_finite() => write!(f, "f64 {}", Bare(literal)),
        _ => write!(f, "{}", Bare(literal)),
    }
}

pub(super) fn write_text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

/// A value of a known type, as tables of rows have it: `null`, `-3`, `1.50`, `'1998-09-02'`, `0x7ff8000000000000`.
pub fn write_scalar(scalar: &Scalar) -> String {
    Bare(scalar).to_string()
}

struct Bare<'a>(&'a Scalar);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::Null(_) => f.write_str("null"),
            Scalar::Bool(value) => write!(f, "{value}"),
            Scalar::Int(ValueType::Date32, days) => match date::from_days(*days) {
                Some(date) => write!(f, "'{date}'"),
                None => write!(f, "{days}"),
            },
            Scalar::Int(_, value) => write!(f, "{value}"),
            Scalar::Float32(bits) if !f32::from_bits(*bits).is_finite() => write!(f, "{bits:#010x}"),
            Scalar::Float32(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
            Scalar::Float64(bits) if !f64::from_bits(*bits).is_finite() => write!(f, "{bits:#018x}"),
            Scalar::Float64(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Scalar::Decimal { value, scale, .. } => write_decimal(f, *value, *scale),
            Scalar::Utf8(text) => write_text(f, text),
        }
    }
}

/// All digits of the scale, or all zeros of a negative one.
fn write_decimal(f: &mut Formatter<'_>, value: i128, scale: i8) -> fmt::Result {
    if value < 0 {
        f.write_char('-')?;
    }
    let digits = value.unsigned_abs().to_string();
    let fraction = usize::from(scale.max(0).unsigned_abs());
    if fraction == 0 {
        return write!(f, "{digits}{:0<zeros$}", "", zeros = usize::from(scale.unsigned_abs()));
    }
    let padded = format!("{digits:0>width$}", width = fraction + 1);
    let (whole, fraction) = padded.split_at(padded.len() - fraction);
    write!(f, "{whole}.{fraction}")
}

/// Reads what [`write_scalar`] writes.
///
/// # Errors
/// The text is not a value of that type.
pub fn parse_scalar(text: &str, value_type: ValueType) -> Result<Scalar, ParseError> {
    let tokens: Vec<_> = lex(text)?.into_iter().map(|Spanned { token, .. }| token).collect();
    parse_bare(&tokens, value_type).ok_or_else(|| error_at(text, 0, Problem::Literal(value_type)))
}

fn parse_bare(tokens: &[Token<'_>], value_type: ValueType) -> Option<Scalar> {
    let (negative, rest) = match tokens {
        [Token::Symbol("-"), rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let [first, Token::End] = rest else { return None };
    match (first, value_type) {
        (Token::Word("null"), _) if !negative => Some(Scalar::Null(value_type)),
        (Token::Word(word @ ("true" | "false")), ValueType::Bool) if !negative => Some(Scalar::Bool(*word == "true")),
        (Token::Text(text), ValueType::Utf8) if !negative => Some(Scalar::Utf8(text.clone())),
        (Token::Text(text), ValueType::Date32) if !negative => Some(Scalar::Int(value_type, date::to_days(text)?)),
        (Token::Number { value, suffix: "" }, _) => number(value, negative, value_type),
        _ => None,
    }
}

/// A number of a type: digits, or for floats also `0x` and bits.
pub(super) fn number(digits: &str, negative: bool, value_type: ValueType) -> Option<Scalar> {
    let signed = || format!("{}{digits}", if negative { "-" } else { "" });
    match value_type {
        ValueType::Float32 | ValueType::Float64 if digits.starts_with("0x") => {
            (!negative).then(|| float_bits(digits, value_type)).flatten()
        }
        ValueType::Float32 => {
            signed().parse::<f32>().ok().filter(|value| value.is_finite()).map(|value| Scalar::Float32(value.to_bits()))
        }
        ValueType::Float64 => {
            signed().parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| Scalar::Float64(value.to_bits()))
        }
        ValueType::Decimal128 { precision, scale } => {
            decimal(digits, negative, scale).map(|value| Scalar::Decimal { value, precision, scale })
        }
        _ => {
            let range = integer_range(value_type)?;
            signed().parse().ok().filter(|value| range.contains(value)).map(|value| Scalar::Int(value_type, value))
        }
    }
}

/// `0x` and the bits of a float, all of them.
pub(super) fn float_bits(digits: &str, value_type: ValueType) -> Option<Scalar> {
    let digits = digits.strip_prefix("0x")?;
    match value_type {
        ValueType::Float32 if digits.len() == 8 => u32::from_str_radix(digits, 16).ok().map(Scalar::Float32),
        ValueType::Float64 if digits.len() == 16 => u64::from_str_radix(digits, 16).ok().map(Scalar::Float64),
        _ => None,
    }
}

/// The unscaled value; not more digits after the point than the scale has, zeros where a negative one wants them.
fn decimal(digits: &str, negative: bool, scale: i8) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let wanted = usize::from(scale.max(0).unsigned_abs());
    if fraction.len() > wanted {
        return None;
    }
    let unscaled = format!("{}{whole}{fraction:0<wanted$}", if negative { "-" } else { "" });
    let zeros = usize::from(scale.min(0).unsigned_abs());
    let (kept, cut) = unscaled.split_at_checked(unscaled.len().checked_sub(zeros)?)?;
    if cut.bytes().any(|digit| digit != b'0') {
        return None;
    }
    kept.parse().ok()
}
