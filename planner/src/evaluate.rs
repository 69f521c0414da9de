//! The reference evaluator: row by row, slow, and short enough to be compared with DataFusion's sources line by line.
//!
//! [`evaluate()`] says what a fragment means; the programs that [`crate::compile`] makes are tested against it. Groups come in the order of
//! their first row. An error is what makes DataFusion fail the query where it evaluates that row. Not here: speed.

mod aggregate;
mod cast;
mod expression;
mod like;

use nearside_programs::{Scalar, ValueType};

use crate::check::TypeError;
use crate::fragment::{Column, Expr, Fragment, Named, Output};

use expression::evaluate_expr;
pub use like::like;

/// Why a fragment has no result over some rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The fragment means nothing.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The caller's row is not one of the table's.
    #[error("row {row} has no {expected} in column {column}")]
    Row {
        /// Which row, from 0.
        row: usize,
        /// Which column, from 0.
        column: usize,
        /// What should be there.
        expected: ValueType,
    },
    /// SQL calls it an error: the query fails.
    #[error("row {row}: {fault}")]
    Fault {
        /// Which row, from 0.
        row: usize,
        /// What happened there.
        fault: Fault,
    },
}

/// An error of a row that DataFusion fails the query for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Decimal arithmetic beyond 128 bits.
    #[error("decimal overflow in operator {op}")]
    Overflow {
        /// The operator.
        op: &'static str,
    },
    /// A cast of a value that does not fit.
    #[error("a value does not fit {to}")]
    Cast {
        /// The type it does not fit.
        to: ValueType,
    },
}

/// The rows that a fragment makes of a table's rows; `rows[i][j]` is a value of `fragment.columns[j]`.
///
/// # Errors
/// The fragment does not check, a row is not one of the table's, or an evaluated row fails. Conjuncts are evaluated on the rows that passed
/// those before; everything else on the rows that passed them all.
///
/// ```
/// use nearside_planner::{Fragment, evaluate};
/// use nearside_programs::{Scalar, ValueType};
///
/// let fragment: Fragment = "scan (k: i64 null) | filter k > 10 | emit k, x: k + 1".parse()?;
/// let k = |k| Scalar::Int(ValueType::Int64, k);
/// assert_eq!(evaluate(&fragment, &[vec![k(10)], vec![Scalar::Null(ValueType::Int64)], vec![k(11)]])?, [[k(11), k(12)]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate(fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<Vec<Vec<Scalar>>, EvaluationError> {
    fragment.check()?;
    let mut selected = Vec::new();
    for (index, values) in rows.iter().enumerate() {
        check_row(&fragment.columns, index, values)?;
        let row = Row { index, values };
        if fragment.passes(row)? {
            selected.push(row);
        }
    }
    match &fragment.output {
        Output::Project(outputs) => selected.iter().map(|row| row.evaluate_all(outputs)).collect(),
        Output::Aggregate { keys, aggregates } => aggregate::aggregate(keys, aggregates, &selected),
    }
}

impl Fragment {
    fn passes(&self, row: Row<'_>) -> Result<bool, EvaluationError> {
        for conjunct in &self.filter {
            if !row.is_true(conjunct)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A row of the table, with its number for errors.
#[derive(Clone, Copy)]
struct Row<'a> {
    index: usize,
    values: &'a [Scalar],
}

impl Row<'_> {
    fn evaluate(self, expr: &Expr) -> Result<Scalar, EvaluationError> {
        evaluate_expr(expr, self.values).map_err(|fault| EvaluationError::Fault { row: self.index, fault })
    }

    fn evaluate_all(self, exprs: &[Named]) -> Result<Vec<Scalar>, EvaluationError> {
        exprs.iter().map(|named| self.evaluate(&named.expr)).collect()
    }

    /// NULL does not pass.
    fn is_true(self, condition: &Expr) -> Result<bool, EvaluationError> {
        Ok(self.evaluate(condition)? == Scalar::Bool(true))
    }
}

fn check_row(columns: &[Column], row: usize, values: &[Scalar]) -> Result<(), EvaluationError> {
    for (index, column) in columns.iter().enumerate() {
        let fits = match values.get(index) {
            None => false,
            Some(Scalar::Null(value_type)) => column.nullable && *value_type == column.value_type,
            Some(value) => column.value_type == ValueType::Opaque || value.value_type() == column.value_type,
        };
        if !fits {
            return Err(EvaluationError::Row { row, column: index, expected: column.value_type });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
