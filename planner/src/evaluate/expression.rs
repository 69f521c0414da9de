//! The value of an expression in a row.
//!
//! The expression has been checked: what its types rule out is unreachable, and says so.

use std::cmp::Ordering;

use nearside_programs::{Scalar, ValueType};

use crate::fragment::{ArithmeticOp, Expr, integer_range};

use super::cast::{cast, power_of_ten};
use super::{Fault, like};

/// The value of a checked expression.
pub(super) fn evaluate_expr(expr: &Expr, row: &[Scalar]) -> Result<Scalar, Fault> {
    let truth = |expr: &Expr| evaluate_expr(expr, row).map(truth);
    Ok(match expr {
        Expr::Column(index) => row[*index].clone(),
        Expr::Literal(literal) => literal.clone(),
        Expr::Arithmetic { op, left, right, value_type } => {
            arithmetic(*op, &evaluate_expr(left, row)?, &evaluate_expr(right, row)?, *value_type)?
        }
        Expr::Compare { op, left, right } => {
            let order = order(&unsigned_zero(evaluate_expr(left, row)?), &unsigned_zero(evaluate_expr(right, row)?));
            from_truth(order.map(|order| op.holds(order)))
        }
        Expr::And(left, right) => from_truth(and(truth(left)?, truth(right)?)),
        Expr::Or(left, right) => from_truth(or(truth(left)?, truth(right)?)),
        Expr::Not(expr) => from_truth(truth(expr)?.map(|value| !value)),
        Expr::IsNull(expr) => Scalar::Bool(is_null(&evaluate_expr(expr, row)?)),
        Expr::IsNotNull(expr) => Scalar::Bool(!is_null(&evaluate_expr(expr, row)?)),
        Expr::InList { expr, list, negated } => {
            from_truth(in_list(&evaluate_expr(expr, row)?, list).map(|found| found != *negated))
        }
        Expr::Like { expr, pattern, negated, case_insensitive } => match evaluate_expr(expr, row)? {
            Scalar::Utf8(text) => Scalar::Bool(like(&text, pattern, *case_insensitive) != *negated),
            _ => Scalar::Null(ValueType::Bool),
        },
        Expr::Case { arms, otherwise } => case(arms, otherwise.as_deref(), row)?,
        Expr::Cast { expr, to } => cast(&evaluate_expr(expr, row)?, *to)?,
    })
}

fn case(arms: &[(Expr, Expr)], otherwise: Option<&Expr>, row: &[Scalar]) -> Result<Scalar, Fault> {
    for (condition, value) in arms {
        if truth(evaluate_expr(condition, row)?) == Some(true) {
            return evaluate_expr(value, row);
        }
    }
    match otherwise {
        Some(otherwise) => evaluate_expr(otherwise, row),
        None => Ok(Scalar::Null(type_of(&arms[0].1, row))),
    }
}

/// The type of a checked expression, for a NULL that no value stands behind; `row` knows the columns' types.
fn type_of(expr: &Expr, row: &[Scalar]) -> ValueType {
    match expr {
        Expr::Column(index) => row[*index].value_type(),
        Expr::Literal(literal) => literal.value_type(),
        Expr::Arithmetic { value_type, .. } => *value_type,
        Expr::Cast { to, .. } => *to,
        Expr::Case { arms, .. } => type_of(&arms[0].1, row),
        _ => ValueType::Bool,
    }
}

pub(super) fn is_null(value: &Scalar) -> bool {
    matches!(value, Scalar::Null(_))
}

fn truth(value: Scalar) -> Option<bool> {
    match value {
        Scalar::Bool(value) => Some(value),
        _ => None,
    }
}

fn from_truth(value: Option<bool>) -> Scalar {
    value.map_or(Scalar::Null(ValueType::Bool), Scalar::Bool)
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// Zero has no sign in a comparison, nor in a group key; in a list, and for `min` and `max`, it has.
pub(super) fn unsigned_zero(value: Scalar) -> Scalar {
    match value {
        Scalar::Float32(bits) if bits << 1 == 0 => Scalar::Float32(0),
        Scalar::Float64(bits) if bits << 1 == 0 => Scalar::Float64(0),
        value => value,
    }
}

/// How two values of one type order (arrow-ord `cmp`): floats by IEEE 754 `totalOrder`, text by its bytes, `false` before `true`; `None` if either is NULL.
pub(super) fn order(left: &Scalar, right: &Scalar) -> Option<Ordering> {
    Some(match (left, right) {
        (Scalar::Null(_), _) | (_, Scalar::Null(_)) => return None,
        (Scalar::Bool(left), Scalar::Bool(right)) => left.cmp(right),
        (Scalar::Int(_, left), Scalar::Int(_, right)) => left.cmp(right),
        (Scalar::Float32(left), Scalar::Float32(right)) => f32::from_bits(*left).total_cmp(&f32::from_bits(*right)),
        (Scalar::Float64(left), Scalar::Float64(right)) => f64::from_bits(*left).total_cmp(&f64::from_bits(*right)),
        (Scalar::Decimal { value: left, .. }, Scalar::Decimal { value: right, .. }) => left.cmp(right),
        (Scalar::Utf8(left), Scalar::Utf8(right)) => left.as_bytes().cmp(right.as_bytes()),
        _ => unreachable!("checked: operands of a comparison have one type"),
    })
}

fn in_list(value: &Scalar, list: &[Scalar]) -> Option<bool> {
    // `None or false` is None, `None or true` is true: SQL defines IN as a disjunction of comparisons. DataFusion's tell zeros apart here.
    list.iter().map(|item| order(value, item).map(Ordering::is_eq)).fold(Some(false), or)
}

/// NULL if an operand is; integers wrap (arrow-arith `add_wrapping`), decimals fail.
fn arithmetic(op: ArithmeticOp, left: &Scalar, right: &Scalar, result: ValueType) -> Result<Scalar, Fault> {
    Ok(match (left, right) {
        (Scalar::Null(_), _) | (_, Scalar::Null(_)) => Scalar::Null(result),
        (Scalar::Int(value_type, left), Scalar::Int(_, right)) => {
            Scalar::Int(*value_type, wrap(*value_type, integer(op, *left, *right)))
        }
        (Scalar::Float32(left), Scalar::Float32(right)) => Scalar::Float32(float32(op, *left, *right)),
        (Scalar::Float64(left), Scalar::Float64(right)) => Scalar::Float64(float64(op, *left, *right)),
        (Scalar::Decimal { value: left, scale: s1, .. }, Scalar::Decimal { value: right, scale: s2, .. }) => {
            let ValueType::Decimal128 { precision, scale } = result else { unreachable!("checked: decimals make decimals") };
            let value = decimal(op, (*left, *s1), (*right, *s2), scale).ok_or(Fault::Overflow { op: op.symbol() })?;
            Scalar::Decimal { value, precision, scale }
        }
        _ => unreachable!("checked: operands of arithmetic have one type"),
    })
}

/// Operands have at most 64 bits: this does not overflow.
fn integer(op: ArithmeticOp, left: i128, right: i128) -> i128 {
    match op {
        ArithmeticOp::Add => left + right,
        ArithmeticOp::Sub => left - right,
        // u64::MAX squared is beyond i128; its low 64 bits are right.
        ArithmeticOp::Mul => left.wrapping_mul(right),
    }
}

/// The low bits of a value, as a value of an integer type.
pub(super) fn wrap(value_type: ValueType, value: i128) -> i128 {
    let range = integer_range(value_type).unwrap_or_else(|| unreachable!("an integer type"));
    let modulus = range.end() - range.start() + 1;
    (value - range.start()).rem_euclid(modulus) + range.start()
}

/// arrow-arith `decimal_op`: both operands are brought to the result's scale, then added, each step checked; factors of one scale are not.
fn decimal(op: ArithmeticOp, (left, left_scale): (i128, i8), (right, right_scale): (i128, i8), scale: i8) -> Option<i128> {
    let rescale = |value: i128, from: i8| value.checked_mul(power_of_ten(scale - from)?);
    match op {
        ArithmeticOp::Mul => left.checked_mul(right),
        ArithmeticOp::Add => rescale(left, left_scale)?.checked_add(rescale(right, right_scale)?),
        ArithmeticOp::Sub => rescale(left, left_scale)?.checked_sub(rescale(right, right_scale)?),
    }
}

/// By bits; a NaN is made as x86-64 makes it: the first operand that is a NaN, made quiet, else the default NaN, whose sign is set.
fn float64(op: ArithmeticOp, left: u64, right: u64) -> u64 {
    const QUIET: u64 = 1 << 51;
    let (a, b) = (f64::from_bits(left), f64::from_bits(right));
    if a.is_nan() {
        return left | QUIET;
    }
    if b.is_nan() {
        return right | QUIET;
    }
    let value = match op {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Sub => a - b,
        ArithmeticOp::Mul => a * b,
    };
    if value.is_nan() { 0xfff8_0000_0000_0000 } else { value.to_bits() }
}

/// [`float64`] in binary32.
fn float32(op: ArithmeticOp, left: u32, right: u32) -> u32 {
    const QUIET: u32 = 1 << 22;
    let (a, b) = (f32::from_bits(left), f32::from_bits(right));
    if a.is_nan() {
        return left | QUIET;
    }
    if b.is_nan() {
        return right | QUIET;
    }
    let value = match op {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Sub => a - b,
        ArithmeticOp::Mul => a * b,
    };
    if value.is_nan() { 0xffc0_0000 } else { value.to_bits() }
}

/// Adds two binary64 by bits, as [`ArithmeticOp::Add`] does.
pub(super) fn float64_add(left: u64, right: u64) -> u64 {
    float64(ArithmeticOp::Add, left, right)
}
