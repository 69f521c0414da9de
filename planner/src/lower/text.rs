//! Predicates on text: helpers read columns alone, literals are compared here, and a predicate on a `CASE` is a `CASE` of predicates.

use nearside_programs::abi::helper::{TEXT_COMPARE, TEXT_COMPARE_COLUMNS, TEXT_IN, TEXT_LIKE};
use nearside_programs::{Scalar, ValueType};

use super::node::Truth;
use super::resolve::{Resolver, compare_op};
use crate::evaluate::like;
use crate::fragment::{CompareOp, Expr};
use crate::refusal::Refusal;

/// Makes a predicate on a text that is a column or a literal.
type Predicate<'p, 'r> = &'p mut dyn FnMut(&mut Resolver<'r>, &Expr) -> Result<Truth, Refusal>;

impl<'r> Resolver<'r> {
    pub(super) fn compare_text(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Truth, Refusal> {
        self.over_text(left, &mut |this, left| this.over_text(right, &mut |this, right| this.compare_plain(op, left, right)))
    }

    pub(super) fn like(&mut self, expr: &Expr, pattern: &str, case_insensitive: bool) -> Result<Truth, Refusal> {
        self.over_text(expr, &mut |this, text| match text {
            Expr::Column(column) => {
                let slot = this.literals.text(pattern);
                this.bitmap(TEXT_LIKE, vec![*column as i32, i32::from(case_insensitive), slot as i32], &[*column])
            }
            text => Ok(Truth::Constant(literal(text)?.map(|text| like(text, pattern, case_insensitive)))),
        })
    }

    /// Whether it is one of the texts of a list, whatever its NULLs.
    pub(super) fn in_texts(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        self.over_text(expr, &mut |this, text| match text {
            Expr::Column(column) => {
                let slot = this.literals.texts(list);
                this.bitmap(TEXT_IN, vec![*column as i32, slot as i32], &[*column])
            }
            text => {
                let is_item = |text: &str| list.iter().any(|item| matches!(item, Scalar::Utf8(item) if item == text));
                Ok(Truth::Constant(literal(text)?.map(is_item)))
            }
        })
    }

    pub(super) fn text_is_known(&mut self, expr: &Expr) -> Result<Truth, Refusal> {
        self.over_text(expr, &mut |this, text| match text {
            Expr::Column(column) => Ok(this.column_is_known(*column)),
            text => Ok(Truth::Constant(Some(literal(text)?.is_some()))),
        })
    }

    fn over_text(&mut self, text: &Expr, predicate: Predicate<'_, 'r>) -> Result<Truth, Refusal> {
        match text {
            Expr::Case { arms, otherwise } => {
                let mut resolved = Vec::with_capacity(arms.len());
                for (condition, value) in arms {
                    resolved.push((self.truth(condition)?, self.over_text(value, predicate)?));
                }
                let null = Expr::Literal(Scalar::Null(ValueType::Utf8));
                let otherwise = self.over_text(otherwise.as_deref().unwrap_or(&null), predicate)?;
                Ok(Truth::Case { arms: resolved, otherwise: Box::new(otherwise) })
            }
            // Only text to text is a cast to text.
            Expr::Cast { expr, .. } => self.over_text(expr, predicate),
            text => predicate(self, text),
        }
    }

    /// Of two texts each of which is a column or a literal.
    fn compare_plain(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Truth, Refusal> {
        match (left, right) {
            (Expr::Column(left), Expr::Column(right)) => {
                self.bitmap(TEXT_COMPARE_COLUMNS, vec![*left as i32, compare_op(op), *right as i32], &[*left, *right])
            }
            (Expr::Column(column), right) => {
                let Some(text) = literal(right)? else { return Ok(Truth::Constant(None)) };
                let slot = self.literals.text(text);
                self.bitmap(TEXT_COMPARE, vec![*column as i32, compare_op(op), slot as i32], &[*column])
            }
            (_, Expr::Column(_)) => self.compare_plain(op.mirrored(), right, left),
            (left, right) => {
                let order = literal(left)?.zip(literal(right)?).map(|(left, right)| left.cmp(right));
                Ok(Truth::Constant(order.map(|order| op.holds(order))))
            }
        }
    }
}

/// A text literal; `None` for NULL.
fn literal(text: &Expr) -> Result<Option<&str>, Refusal> {
    match text {
        Expr::Literal(Scalar::Utf8(text)) => Ok(Some(text)),
        Expr::Literal(_) => Ok(None),
        _ => Err(Refusal::ComputedText { place: "a text operand" }),
    }
}
