//! Truth values to instructions, by polarity: where is it true, where is it false.
//!
//! Three-valued logic needs no pairs that way: `NOT a` is true where `a` is false, `a AND b` false where `a` or `b` is; where neither holds, it is NULL.

use super::bits::Bits;
use super::emit::Emitter;
use super::node::{Known, Number, Truth};
use super::order::{Class, compare, compare_wide};
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
            Truth::CompareTruths { left, right, .. } => {
                let (left, right) = (self.is_known(left), self.is_known(right));
                left.and(right, &mut self.rows)
            }
            Truth::InSorted { number, .. } | Truth::InBits { number, .. } => self.number(number).known,
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
            Truth::Compare { op, left, right } => self.compare(if wanted { *op } else { op.inverse() }, left, right),
            Truth::InSorted { number, first, count } => {
                let key = self.key(number);
                let bit = self.is_one_of(&key, number.value_type, *first, *count);
                self.bits_are(Bits::row(bit), wanted, key.known)
            }
            Truth::InBits { number, bits } => {
                let key = self.key(number);
                let bit = self.has_bit(&key, *bits);
                self.bits_are(Bits::row(bit), wanted, key.known)
            }
            Truth::CompareTruths { op, left, right } => {
                let op = if wanted { *op } else { op.inverse() };
                match op {
                    CompareOp::Gt | CompareOp::Ge => self.compare_truths(op.mirrored(), right, left),
                    _ => self.compare_truths(op, left, right),
                }
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
        let (l, r) = (self.compared(left), self.compared(right));
        let bit = match (l.wide(), r.wide()) {
            (Some(left), Some(right)) => compare_wide(op, left, right, &mut self.rows),
            _ => compare(op, Class::of(left.value_type), l.low, r.low, &mut self.rows),
        };
        let known = l.known.and(r.known, &mut self.rows);
        Bits::row(bit).and(known, &mut self.rows)
    }

    /// `=`, `<>`, `<` or `<=`; `false` before `true`.
    fn compare_truths(&mut self, op: CompareOp, left: &Truth, right: &Truth) -> Bits {
        let (yes, no) = (self.is_true(left), self.is_false(left));
        let (right_yes, right_no) = (self.is_true(right), self.is_false(right));
        let (with_yes, with_no) = match op {
            CompareOp::Eq => (right_yes, right_no),
            CompareOp::Ne => (right_no, right_yes),
            CompareOp::Lt => (Bits::Never, right_yes),
            _ => (right_yes, right_yes.or(right_no, &mut self.rows)),
        };
        let (yes, no) = (yes.and(with_yes, &mut self.rows), no.and(with_no, &mut self.rows));
        yes.or(no, &mut self.rows)
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
