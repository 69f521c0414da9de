//! Facts about every row that passes, for the device to prune files, row groups and pages with.

use nearside_programs::manifest::{Bound, BoundOp};
use nearside_programs::{Scalar, ValueType};

use super::resolve::{Literals, mirrored};
use crate::fragment::{Column, CompareOp, Expr};

/// The bounds among the conjuncts: `column op literal`, either way round, `IN` over text, and the NULL tests.
///
/// Only for conjuncts that were lowered: their literals have slots already, so that this adds none.
pub(super) fn bounds(conjuncts: &[&Expr], columns: &[Column], literals: &mut Literals) -> Vec<Bound> {
    conjuncts.iter().filter_map(|conjunct| bound(conjunct, columns, literals)).collect()
}

fn bound(conjunct: &Expr, columns: &[Column], literals: &mut Literals) -> Option<Bound> {
    let parameterless = |column: usize, op| Some(Bound { column: column as u32, op, parameter: 0 });
    match conjunct {
        Expr::Compare { op, left, right } => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(literal)) => compared(*op, *column, literal, literals),
            (Expr::Literal(literal), Expr::Column(column)) => compared(mirrored(*op), *column, literal, literals),
            _ => None,
        },
        Expr::IsNull(inner) => match **inner {
            Expr::Column(column) => parameterless(column, BoundOp::IsNull),
            _ => None,
        },
        Expr::IsNotNull(inner) => match **inner {
            Expr::Column(column) => parameterless(column, BoundOp::IsNotNull),
            _ => None,
        },
        Expr::InList { expr, list, negated: false } => match **expr {
            Expr::Column(column) => in_list(column, list, columns, literals),
            _ => None,
        },
        _ => None,
    }
}

fn compared(op: CompareOp, column: usize, literal: &Scalar, literals: &mut Literals) -> Option<Bound> {
    let op = match op {
        CompareOp::Eq => BoundOp::Eq,
        CompareOp::Ne => return None,
        CompareOp::Lt => BoundOp::Lt,
        CompareOp::Le => BoundOp::Le,
        CompareOp::Gt => BoundOp::Gt,
        CompareOp::Ge => BoundOp::Ge,
    };
    let parameter = match literal {
        Scalar::Utf8(text) => literals.text(text),
        literal => literals.scalar(literal)?,
    };
    Some(Bound { column: column as u32, op, parameter })
}

fn in_list(column: usize, list: &[Scalar], columns: &[Column], literals: &mut Literals) -> Option<Bound> {
    let column_type = columns[column].value_type;
    match list {
        [item] if column_type != ValueType::Utf8 => compared(CompareOp::Eq, column, item, literals),
        _ if column_type == ValueType::Utf8 => {
            Some(Bound { column: column as u32, op: BoundOp::In, parameter: literals.texts(list) })
        }
        _ => None,
    }
}
