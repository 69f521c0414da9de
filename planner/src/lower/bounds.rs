//! Facts about every row that passes, for the device to prune files, row groups and pages with.

use nearside_programs::manifest::{BOUNDS_MAX, Bound, BoundOp};
use nearside_programs::{Scalar, ValueType};

use super::resolve::{Literals, ends};
use crate::fragment::{Column, CompareOp, Expr};

/// The bounds among the conjuncts: `column op literal`, either way round, `IN`, and the NULL tests.
///
/// Only for conjuncts that were lowered: their literals have slots already, so that this adds none.
pub(super) fn bounds(conjuncts: &[&Expr], columns: &[Column], literals: &mut Literals) -> Vec<Bound> {
    let mut bounds = Vec::new();
    conjuncts.iter().for_each(|conjunct| gather(conjunct, columns, literals, &mut bounds));
    // Never needed for the answer.
    bounds.truncate(BOUNDS_MAX);
    bounds
}

fn gather(conjunct: &Expr, columns: &[Column], literals: &mut Literals, bounds: &mut Vec<Bound>) {
    let parameterless = |column: usize, op| Bound { column: column as u32, op, parameter: 0 };
    match conjunct {
        Expr::Compare { op, left, right } => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(literal)) => bounds.extend(compared(*op, *column, literal, literals)),
            (Expr::Literal(literal), Expr::Column(column)) => {
                bounds.extend(compared(op.mirrored(), *column, literal, literals));
            }
            _ => {}
        },
        Expr::IsNull(inner) => {
            if let Expr::Column(column) = **inner {
                bounds.push(parameterless(column, BoundOp::IsNull));
            }
        }
        Expr::IsNotNull(inner) => {
            if let Expr::Column(column) = **inner {
                bounds.push(parameterless(column, BoundOp::IsNotNull));
            }
        }
        Expr::InList { expr, list, negated: false } => {
            if let Expr::Column(column) = **expr {
                in_list(column, list, columns, literals, bounds);
            }
        }
        _ => {}
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

/// The list of texts, or what lies between the ends of a list of numbers.
fn in_list(column: usize, list: &[Scalar], columns: &[Column], literals: &mut Literals, bounds: &mut Vec<Bound>) {
    if columns[column].value_type == ValueType::Utf8 {
        bounds.push(Bound { column: column as u32, op: BoundOp::In, parameter: literals.texts(list) });
        return;
    }
    match ends(list) {
        Some((least, most)) if least == most => bounds.extend(compared(CompareOp::Eq, column, least, literals)),
        Some((least, most)) => {
            bounds.extend(compared(CompareOp::Ge, column, least, literals));
            bounds.extend(compared(CompareOp::Le, column, most, literals));
        }
        None => {}
    }
}
