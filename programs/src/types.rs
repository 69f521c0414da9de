//! The types a program computes with, and literal values of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A column's or expression's type, as programs see it.
///
/// Arrow's layouts of one logical type (plain, large, view, dictionary) are one type here: the device resolves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// One bit a row, least significant first.
    Bool,
    /// Signed, 1 byte.
    Int8,
    /// Signed, 2 bytes.
    Int16,
    /// Signed, 4 bytes.
    Int32,
    /// Signed, 8 bytes.
    Int64,
    /// Unsigned, 1 byte.
    UInt8,
    /// Unsigned, 2 bytes.
    UInt16,
    /// Unsigned, 4 bytes.
    UInt32,
    /// Unsigned, 8 bytes.
    UInt64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// Days since 1970-01-01, signed, 4 bytes.
    Date32,
    /// `unscaled × 10^-scale`, 16 bytes (8 in a narrow entry point).
    Decimal128 {
        /// Digits, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// UTF-8 text; only helpers read it, by column handle.
    Utf8,
    /// Anything else: only passed through, never computed with.
    Opaque,
}

/// A literal. `Null` is typed: three-valued logic needs the type, programs do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// NULL of a type.
    Null(ValueType),
    /// A truth value.
    Bool(bool),
    /// Any integer type, date included; within the type's range.
    Int(ValueType, i128),
    /// Binary32, by its bits: `NaN`s and signed zeros stay what they are.
    Float32(u32),
    /// Binary64, by its bits.
    Float64(u64),
    /// An unscaled decimal.
    Decimal {
        /// Unscaled value.
        value: i128,
        /// Digits.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// Text.
    Utf8(String),
}

impl Scalar {
    /// The type of this literal.
    pub fn value_type(&self) -> ValueType {
        match *self {
            Self::Null(t) | Self::Int(t, _) => t,
            Self::Bool(_) => ValueType::Bool,
            Self::Float32(_) => ValueType::Float32,
            Self::Float64(_) => ValueType::Float64,
            Self::Decimal { precision, scale, .. } => ValueType::Decimal128 { precision, scale },
            Self::Utf8(_) => ValueType::Utf8,
        }
    }
}

impl ValueType {
    /// Integers and dates: types whose values are one machine integer.
    pub fn is_integer(self) -> bool {
        use ValueType::*;
        matches!(self, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Date32)
    }

    /// Bytes a value takes in a column of the cage in a general (wide) entry point; `None` where it is not
    /// a whole number of bytes ([`ValueType::Bool`]) or never there ([`ValueType::Utf8`], [`ValueType::Opaque`]).
    pub fn byte_width(self) -> Option<u32> {
        use ValueType::*;
        match self {
            Int8 | UInt8 => Some(1),
            Int16 | UInt16 => Some(2),
            Int32 | UInt32 | Float32 | Date32 => Some(4),
            Int64 | UInt64 | Float64 => Some(8),
            Decimal128 { .. } => Some(16),
            Bool | Utf8 | Opaque => None,
        }
    }
}

/// As in the text form of fragments: `i64`, `decimal(15,2)`.
impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int8 => "i8",
            Self::Int16 => "i16",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::UInt8 => "u8",
            Self::UInt16 => "u16",
            Self::UInt32 => "u32",
            Self::UInt64 => "u64",
            Self::Float32 => "f32",
            Self::Float64 => "f64",
            Self::Date32 => "date",
            Self::Decimal128 { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Utf8 => "utf8",
            Self::Opaque => "opaque",
        })
    }
}
