//! 128-bit integers as two registers.

use nearside_programs::abi::helper::{I128_DIV, I128_MUL};
use nearside_programs::isa::AluOp;

use super::machine::Value;
use super::order::{Class, less as less_word};
use super::rows::Rows;

/// Low and high 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) low: Value,
    pub(super) high: Value,
}

/// A result, and 1 if it wrapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) value: Wide,
    pub(super) wrapped: Value,
}

pub(super) fn constant(value: i128, rows: &mut Rows) -> Wide {
    Wide { low: rows.constant(value as i64), high: rows.constant((value >> 64) as i64) }
}

/// Sign extension of a 64-bit value.
pub(super) fn from_signed(value: Value, rows: &mut Rows) -> Wide {
    Wide { low: value, high: rows.binary(AluOp::Arsh, value, 63) }
}

pub(super) fn from_unsigned(value: Value, rows: &mut Rows) -> Wide {
    Wide { low: value, high: rows.constant(0) }
}

/// `a + b`, wrapping.
pub(super) fn add(a: Wide, b: Wide, rows: &mut Rows) -> Wide {
    let low = rows.binary(AluOp::Add, a.low, b.low);
    let carry = less_word(Class::Unsigned, low, b.low, rows);
    let high = rows.binary(AluOp::Add, a.high, b.high);
    Wide { low, high: rows.binary(AluOp::Add, high, carry) }
}

pub(super) fn add_checked(a: Wide, b: Wide, rows: &mut Rows) -> Checked {
    let value = add(a, b, rows);
    // It wrapped if both signs differ from the sum's.
    let left = rows.binary(AluOp::Xor, a.high, value.high);
    let right = rows.binary(AluOp::Xor, b.high, value.high);
    let both = rows.binary(AluOp::And, left, right);
    Checked { value, wrapped: rows.binary(AluOp::Rsh, both, 63) }
}

/// `a - b`, wrapping.
fn sub(a: Wide, b: Wide, rows: &mut Rows) -> Wide {
    Wide { low: rows.binary(AluOp::Sub, a.low, b.low), high: difference_high(a, b, rows) }
}

pub(super) fn sub_checked(a: Wide, b: Wide, rows: &mut Rows) -> Checked {
    let value = sub(a, b, rows);
    // It wrapped if the operands' signs differ, and the result's is not the left one's.
    let operands = rows.binary(AluOp::Xor, a.high, b.high);
    let result = rows.binary(AluOp::Xor, a.high, value.high);
    let both = rows.binary(AluOp::And, operands, result);
    Checked { value, wrapped: rows.binary(AluOp::Rsh, both, 63) }
}

pub(super) fn mul_checked(a: Wide, b: Wide, rows: &mut Rows) -> Checked {
    call(I128_MUL, a, b, rows)
}

/// `a / divisor`, towards zero. The divisor is positive.
pub(super) fn div(a: Wide, divisor: i128, rows: &mut Rows) -> Wide {
    let divisor = constant(divisor, rows);
    call(I128_DIV, a, divisor, rows).value
}

/// `a / divisor`, halves away from zero. The divisor is positive and even.
pub(super) fn div_rounded(a: Wide, divisor: i128, rows: &mut Rows) -> Wide {
    let quotient = div(a, divisor, rows);
    let by = constant(divisor, rows);
    let whole = mul_checked(quotient, by, rows).value;
    let sign = rows.binary(AluOp::Arsh, a.high, 63);
    let rest = sub(a, whole, rows);
    let flipped = Wide { low: rows.binary(AluOp::Xor, rest.low, sign), high: rows.binary(AluOp::Xor, rest.high, sign) };
    let magnitude = sub(flipped, Wide { low: sign, high: sign }, rows);
    let half = constant(divisor / 2, rows);
    // -1 where the rest is less than half, 0 elsewhere.
    let below = less(magnitude, half, rows);
    let below = rows.negate(below);
    let away = rows.binary(AluOp::Or, sign, 1);
    let stays = rows.binary(AluOp::And, away, below);
    let step = rows.binary(AluOp::Sub, away, stays);
    let step = from_signed(step, rows);
    add(quotient, step, rows)
}

fn call(helper: u32, a: Wide, b: Wide, rows: &mut Rows) -> Checked {
    let result = rows.wide_call(helper, [a.low, a.high, b.low, b.high]);
    Checked { value: Wide { low: result.low, high: result.high }, wrapped: result.wrapped }
}

/// `a < b`, signed: 0 or 1.
pub(super) fn less(a: Wide, b: Wide, rows: &mut Rows) -> Value {
    let difference = difference_high(a, b, rows);
    let differ = rows.binary(AluOp::Xor, a.high, b.high);
    let change = rows.binary(AluOp::Xor, a.high, difference);
    let change = rows.binary(AluOp::And, change, differ);
    let sign = rows.binary(AluOp::Xor, change, difference);
    rows.binary(AluOp::Rsh, sign, 63)
}

/// `a` where the mask is zero, `b` where it is -1.
pub(super) fn choose(a: Wide, b: Wide, mask: Value, rows: &mut Rows) -> Wide {
    Wide { low: choose_word(a.low, b.low, mask, rows), high: choose_word(a.high, b.high, mask, rows) }
}

pub(super) fn choose_word(a: Value, b: Value, mask: Value, rows: &mut Rows) -> Value {
    let change = rows.binary(AluOp::Xor, a, b);
    let change = rows.binary(AluOp::And, change, mask);
    rows.binary(AluOp::Xor, change, a)
}

/// `accumulator + value` where the value is a 64-bit one, in fewer operations than [`add`].
///
/// The high half changes only where the low half's top bit does, and differs from the value's sign; then by one, towards the value's sign.
pub(super) fn add_signed(accumulator: Wide, value: Value, rows: &mut Rows) -> Wide {
    let low = rows.binary(AluOp::Add, accumulator.low, value);
    let changed = rows.binary(AluOp::Xor, accumulator.low, low);
    let opposed = rows.binary(AluOp::Xor, accumulator.low, value);
    let carries = rows.binary(AluOp::And, changed, opposed);
    let carries = rows.binary(AluOp::Arsh, carries, 63);
    let step = rows.binary(AluOp::Arsh, value, 63);
    let step = rows.binary(AluOp::Or, step, 1);
    let step = rows.binary(AluOp::And, step, carries);
    Wide { low, high: rows.binary(AluOp::Add, accumulator.high, step) }
}

fn difference_high(a: Wide, b: Wide, rows: &mut Rows) -> Value {
    let borrow = less_word(Class::Unsigned, a.low, b.low, rows);
    let high = rows.binary(AluOp::Sub, a.high, b.high);
    rows.binary(AluOp::Sub, high, borrow)
}
