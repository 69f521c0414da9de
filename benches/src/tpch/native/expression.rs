//! A fragment's expressions as DataFusion's.

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast};
use nearside_planner::fragment::{self, ArithmeticOp, CompareOp};
use nearside_programs::{Scalar, ValueType};

/// An expression over the columns of the fragment.
pub(super) fn translate(expr: &fragment::Expr, columns: &[fragment::Column]) -> Result<Expr> {
    use fragment::Expr as E;
    let part = |expr: &E| translate(expr, columns);
    let boxed = |expr: &E| part(expr).map(Box::new);
    let both = |left: &E, op, right: &E| -> Result<Expr> { Ok(binary_expr(part(left)?, op, part(right)?)) };
    Ok(match expr {
        E::Column(index) => Expr::Column(Column::new_unqualified(&columns[*index].name)),
        E::Literal(value) => literal(value)?,
        E::Arithmetic { op, left, right, .. } => both(left, arithmetic(*op), right)?,
        E::Compare { op, left, right } => both(left, comparison(*op), right)?,
        E::And(left, right) => both(left, Operator::And, right)?,
        E::Or(left, right) => both(left, Operator::Or, right)?,
        E::Not(expr) => Expr::Not(boxed(expr)?),
        E::IsNull(expr) => Expr::IsNull(boxed(expr)?),
        E::IsNotNull(expr) => Expr::IsNotNull(boxed(expr)?),
        E::InList { expr, list, negated } => {
            let list = list.iter().map(literal).collect::<Result<_>>()?;
            Expr::InList(InList::new(boxed(expr)?, list, *negated))
        }
        E::Like { expr, pattern, negated, case_insensitive } => {
            let pattern = Box::new(literal(&Scalar::Utf8(pattern.clone()))?);
            Expr::Like(Like::new(*negated, boxed(expr)?, pattern, None, *case_insensitive))
        }
        E::Case { arms, otherwise } => {
            let arms = arms.iter().map(|(when, then)| Ok((boxed(when)?, boxed(then)?))).collect::<Result<_>>()?;
            Expr::Case(Case::new(None, arms, otherwise.as_deref().map(boxed).transpose()?))
        }
        E::Cast { expr, to } => cast(part(expr)?, data_type(*to)?),
    })
}

fn literal(value: &Scalar) -> Result<Expr> {
    let value = match value {
        Scalar::Null(value_type) => ScalarValue::try_from(&data_type(*value_type)?)?,
        Scalar::Bool(truth) => ScalarValue::Boolean(Some(*truth)),
        // Integers and dates of any width: from the widest, exactly.
        Scalar::Int(value_type, number) => {
            let wide = ScalarValue::Decimal128(Some(*number), 38, 0);
            match data_type(*value_type)? {
                DataType::Date32 => wide.cast_to(&DataType::Int32)?.cast_to(&DataType::Date32)?,
                integer => wide.cast_to(&integer)?,
            }
        }
        Scalar::Float32(bits) => ScalarValue::Float32(Some(f32::from_bits(*bits))),
        Scalar::Float64(bits) => ScalarValue::Float64(Some(f64::from_bits(*bits))),
        Scalar::Decimal { value, precision, scale } => ScalarValue::Decimal128(Some(*value), *precision, *scale),
        Scalar::Utf8(text) => ScalarValue::Utf8View(Some(text.clone())),
    };
    Ok(Expr::Literal(value, None))
}

fn data_type(value_type: ValueType) -> Result<DataType> {
    Ok(match value_type {
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
        ValueType::Utf8 => DataType::Utf8View,
        ValueType::Opaque => return not_impl_err!("computing with an opaque column"),
    })
}

fn arithmetic(op: ArithmeticOp) -> Operator {
    match op {
        ArithmeticOp::Add => Operator::Plus,
        ArithmeticOp::Sub => Operator::Minus,
        ArithmeticOp::Mul => Operator::Multiply,
    }
}

fn comparison(op: CompareOp) -> Operator {
    match op {
        CompareOp::Eq => Operator::Eq,
        CompareOp::Ne => Operator::NotEq,
        CompareOp::Lt => Operator::Lt,
        CompareOp::Le => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::Ge => Operator::GtEq,
    }
}
