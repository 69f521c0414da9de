//! Comparisons without branches: 0 or 1 from two values.

use nearside_programs::ValueType;
use nearside_programs::isa::AluOp;

use super::machine::Value;
use super::rows::Rows;
use super::wide::{self, Wide};
use crate::fragment::CompareOp;

/// What is known of the values that are compared, and with it the shortest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// 32 bits or fewer, extended to 64: a difference never overflows, and the low half tells values apart.
    Small,
    /// The proof of the narrow entry point covers the difference.
    Proven,
    Signed,
    Unsigned,
}

impl Class {
    /// The class of a type whose values are one register; decimals are those of a narrow entry point.
    pub(super) fn of(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Decimal128 { .. } => Self::Proven,
            // Floats by their total-order keys.
            ValueType::Int64 | ValueType::Float64 => Self::Signed,
            ValueType::UInt64 => Self::Unsigned,
            _ => Self::Small,
        }
    }
}

/// `left op right`.
pub(super) fn compare(op: CompareOp, class: Class, left: Value, right: Value, rows: &mut Rows) -> Value {
    match op {
        CompareOp::Eq => equal(class, left, right, rows),
        CompareOp::Ne => different(class, left, right, rows),
        CompareOp::Lt => less(class, left, right, rows),
        CompareOp::Gt => less(class, right, left, rows),
        CompareOp::Le => less_or_equal(class, left, right, rows),
        CompareOp::Ge => less_or_equal(class, right, left, rows),
    }
}

/// `left op right` for 128-bit values.
pub(super) fn compare_wide(op: CompareOp, left: Wide, right: Wide, rows: &mut Rows) -> Value {
    match op {
        CompareOp::Eq => {
            let different = compare_wide(CompareOp::Ne, left, right, rows);
            rows.binary(AluOp::Xor, different, 1)
        }
        CompareOp::Ne => {
            let low = rows.binary(AluOp::Xor, left.low, right.low);
            let high = rows.binary(AluOp::Xor, left.high, right.high);
            let any = rows.binary(AluOp::Or, low, high);
            is_not_zero(any, rows)
        }
        CompareOp::Lt => wide::less(left, right, rows),
        CompareOp::Gt => wide::less(right, left, rows),
        CompareOp::Le => {
            let greater = wide::less(right, left, rows);
            rows.binary(AluOp::Xor, greater, 1)
        }
        CompareOp::Ge => {
            let less = wide::less(left, right, rows);
            rows.binary(AluOp::Xor, less, 1)
        }
    }
}

/// `left < right`.
pub(super) fn less(class: Class, left: Value, right: Value, rows: &mut Rows) -> Value {
    let difference = rows.binary(AluOp::Sub, left, right);
    let sign = match class {
        Class::Small | Class::Proven => difference,
        // Where the signs differ they decide, else the difference does: Hacker's Delight §2-12, as a bitwise choice.
        Class::Signed => choose_by_sign(left, right, left, difference, rows),
        Class::Unsigned => choose_by_sign(left, right, right, difference, rows),
    };
    rows.binary(AluOp::Rsh, sign, 63)
}

/// In the top bit: `decides` where those of `a` and `b` differ, else `difference`.
fn choose_by_sign(a: Value, b: Value, decides: Value, difference: Value, rows: &mut Rows) -> Value {
    let differ = rows.binary(AluOp::Xor, a, b);
    let change = rows.binary(AluOp::Xor, decides, difference);
    let change = rows.binary(AluOp::And, change, differ);
    rows.binary(AluOp::Xor, change, difference)
}

fn less_or_equal(class: Class, left: Value, right: Value, rows: &mut Rows) -> Value {
    match class {
        Class::Small | Class::Proven => {
            // `left - right - 1`, the one taken from whichever operand is known earlier; 64-bit sums may wrap on the way.
            let difference = if rows.is_known_before(right, left) {
                let bound = rows.binary(AluOp::Add, right, 1);
                rows.binary(AluOp::Sub, left, bound)
            } else {
                let bound = rows.binary(AluOp::Add, left, -1);
                rows.binary(AluOp::Sub, bound, right)
            };
            rows.binary(AluOp::Rsh, difference, 63)
        }
        Class::Signed | Class::Unsigned => {
            let greater = less(class, right, left, rows);
            rows.binary(AluOp::Xor, greater, 1)
        }
    }
}

fn equal(class: Class, left: Value, right: Value, rows: &mut Rows) -> Value {
    if class == Class::Small {
        let difference = rows.binary32(AluOp::Xor, left, right);
        let below = rows.binary(AluOp::Sub, difference, 1);
        return rows.binary(AluOp::Rsh, below, 63);
    }
    // The top bit of `!x & (x - 1)` is set only for zero.
    let difference = rows.binary(AluOp::Xor, left, right);
    let below = rows.binary(AluOp::Sub, difference, 1);
    let inverted = rows.binary(AluOp::Xor, difference, -1);
    let both = rows.binary(AluOp::And, below, inverted);
    rows.binary(AluOp::Rsh, both, 63)
}

fn different(class: Class, left: Value, right: Value, rows: &mut Rows) -> Value {
    if class == Class::Small {
        let difference = rows.binary32(AluOp::Xor, left, right);
        let negative = rows.negate(difference);
        return rows.binary(AluOp::Rsh, negative, 63);
    }
    let difference = rows.binary(AluOp::Xor, left, right);
    is_not_zero(difference, rows)
}

fn is_not_zero(value: Value, rows: &mut Rows) -> Value {
    let negative = rows.negate(value);
    let either = rows.binary(AluOp::Or, negative, value);
    rows.binary(AluOp::Rsh, either, 63)
}
