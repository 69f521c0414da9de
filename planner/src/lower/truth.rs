//! Truth values to instructions, by polarity: where is it true, where is it false.
//!
//! Three-valued logic needs no pairs that way: `NOT a` is true where `a` is false, `a AND b` false where `a` or `b` is; where neither holds, it is NULL.

use super::bits::Bits;
use super::emit::Emitter;
use super::node::{Known, Number, Truth};
use super::order::{Class, compare, compare_wide};
use super::wide::Wide;
use crate::fragment::CompareOp;

impl Emitter<'_> {
    /// Where `truth` is true.
    pub(super) fn is_true(&mut self, truth: &Truth) -> Bits {
        self.holds(truth, true)
    }

    /// Where `truth` is false.
    pub(super) fn is_false(&mut self, truth: &Truth) -> Bits {
        self.holds(truth, false)
    }

    /// Where `truth` is not NULL.
    pub(super) fn is_known(&mut self, truth: &Truth) -> Bits {
        if !self.visit() {
            return Bits::Never;
        }
        match truth {
            Truth::Constant(value) => Bits::constant(value.is_some()),
            Truth::Column(column) => self.column_known(*column),
            Truth::Bitmap { columns, .. } => self.columns_known(columns),
            Truth::Not(inner) => self.is_known(inner),
            Truth::IsKnown(_) => Bits::ALWAYS,
            Truth::Equal(left, right) => {
                let (left, right) = (self.is_known(left), self.is_known(right));
                left.and(right, &mut self.rows)
            }
            Truth::Compare { left, right, .. } => {
                let (left, right) = (self.number(left).known, self.number(right).known);
                left.and(right, &mut self.rows)
            }
            Truth::And(..) | Truth::Or(..) | Truth::Case { .. } => {
                let (yes, no) = (self.is_true(truth), self.is_false(truth));
                yes.or(no, &mut self.rows)
            }
        }
    }

    /// Where something is not NULL.
    pub(super) fn known(&mut self, known: &Known) -> Bits {
        match known {
            Known::Column(column) => self.column_known(*column),
            Known::Number(number) => self.number(number).known,
            Known::Truth(truth) => self.is_known(truth),
        }
    }

    /// Where `truth` is `wanted`.
    fn holds(&mut self, truth: &Truth, wanted: bool) -> Bits {
        if !self.visit() {
            return Bits::Never;
        }
        match truth {
            Truth::Constant(value) => Bits::constant(*value == Some(wanted)),
            Truth::Column(column) => {
                let bits = Bits::word(self.rows.column_bits(*column));
                let known = self.column_known(*column);
                self.bits_are(bits, wanted, known)
            }
            Truth::Bitmap { scratch, columns } => {
                let bits = Bits::word(self.rows.scratch_bits(*scratch));
                let known = self.columns_known(columns);
                self.bits_are(bits, wanted, known)
            }
            Truth::Compare { op, left, right } => self.compare(if wanted { *op } else { inverse(*op) }, left, right),
            Truth::Equal(left, right) => {
                let (yes, no) = (self.is_true(left), self.is_false(left));
                let (same, other) = (self.holds(right, wanted), self.holds(right, !wanted));
                let (yes, no) = (yes.and(same, &mut self.rows), no.and(other, &mut self.rows));
                yes.or(no, &mut self.rows)
            }
            Truth::Not(inner) => self.holds(inner, !wanted),
            Truth::And(left, right) | Truth::Or(left, right) => {
                let (left, right) = (self.holds(left, wanted), self.holds(right, wanted));
                if matches!(truth, Truth::And(..)) == wanted {
                    left.and(right, &mut self.rows)
                } else {
                    left.or(right, &mut self.rows)
                }
            }
            Truth::IsKnown(known) => {
                let known = self.known(known);
                if wanted { known } else { known.not(&mut self.rows) }
            }
            Truth::Case { arms, otherwise } => self.truth_case(arms, otherwise, wanted),
        }
    }

    fn truth_case(&mut self, arms: &[(Truth, Truth)], otherwise: &Truth, wanted: bool) -> Bits {
        let outer = std::mem::take(&mut self.faults);
        let mut chosen = self.holds(otherwise, wanted);
        for (condition, value) in arms.iter().rev() {
            let below = std::mem::take(&mut self.faults);
            let value = self.holds(value, wanted);
            let above = std::mem::take(&mut self.faults);
            let condition = self.is_true(condition);
            self.merge_faults(condition, above, below);
            chosen = self.choose_bits(condition, value, chosen);
        }
        self.faults.extend(outer);
        chosen
    }

    fn compare(&mut self, op: CompareOp, left: &Number, right: &Number) -> Bits {
        let (l, r) = (self.key(left), self.key(right));
        let bit = match (l.high, r.high) {
            (Some(left_high), Some(right_high)) => {
                compare_wide(op, Wide { low: l.low, high: left_high }, Wide { low: r.low, high: right_high }, &mut self.rows)
            }
            _ => compare(op, Class::of(left.value_type), l.low, r.low, &mut self.rows),
        };
        let known = l.known.and(r.known, &mut self.rows);
        Bits::row(bit).and(known, &mut self.rows)
    }

    fn bits_are(&mut self, bits: Bits, wanted: bool, known: Bits) -> Bits {
        let bits = if wanted { bits } else { bits.not(&mut self.rows) };
        bits.and(known, &mut self.rows)
    }

    fn columns_known(&mut self, columns: &[u32]) -> Bits {
        columns.iter().fold(Bits::ALWAYS, |all, column| {
            let known = self.column_known(*column);
            all.and(known, &mut self.rows)
        })
    }
}

fn inverse(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Ne,
        CompareOp::Ne => CompareOp::Eq,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Le => CompareOp::Gt,
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Ge => CompareOp::Lt,
    }
}
