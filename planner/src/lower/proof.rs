//! What must hold for a batch so that 64 bits are enough for its decimals: the proof of a narrow entry point.
//!
//! Follows the nodes as the narrow code computes them: every decimal that is computed, and the differences that comparisons take. `None` where intervals of
//! 64 bits cannot prove it for any batch.

use nearside_programs::ValueType;
use nearside_programs::manifest::RangeStep;

use super::node::{Conversion, Known, Number, NumberKind, Truth};
use crate::fragment::{ArithmeticOp, CompareOp, integer_range, is_decimal};

/// Most steps of a proof; beyond, there is only the general entry point.
const STEPS_MAX: usize = 1024;

/// A proof while it is gathered.
#[derive(Default)]
pub(super) struct Proof {
    /// Stretches that leave the stack as they found it, each once.
    stretches: Vec<Vec<RangeStep>>,
    impossible: bool,
}

impl Proof {
    /// The steps; `None`: no proof.
    pub(super) fn finish(self) -> Option<Vec<RangeStep>> {
        let steps = self.stretches.concat();
        (!self.impossible && steps.len() <= STEPS_MAX).then_some(steps)
    }

    /// A number that is computed.
    pub(super) fn number(&mut self, number: &Number) {
        self.times(number, 1);
    }

    /// A number of which up to `count` are added up in 64 bits.
    pub(super) fn times(&mut self, number: &Number, count: i64) {
        self.inside(number);
        if is_decimal(number.value_type) {
            let factor = (count != 1).then_some([RangeStep::Constant(count), RangeStep::Mul]);
            self.stretch(&[number], factor.iter().flatten().copied());
        }
    }

    pub(super) fn truth(&mut self, truth: &Truth) {
        match truth {
            Truth::Constant(_) | Truth::Column(_) | Truth::Bitmap { .. } => {}
            Truth::Compare { op, left, right } => self.compare(*op, left, right),
            Truth::InSorted { number, first, count } => self.in_sorted(number, *first, *count),
            Truth::InBits { number, .. } => self.number(number),
            Truth::CompareTruths { left, right, .. } | Truth::And(left, right) | Truth::Or(left, right) => {
                self.truth(left);
                self.truth(right);
            }
            Truth::Not(inner) => self.truth(inner),
            Truth::IsKnown(known) => self.known(known),
            Truth::Case { arms, otherwise } => {
                for (condition, value) in arms {
                    self.truth(condition);
                    self.truth(value);
                }
                self.truth(otherwise);
            }
        }
    }

    pub(super) fn known(&mut self, known: &Known) {
        match known {
            Known::Column(_) => {}
            Known::Number(number) => self.number(number),
            Known::Truth(truth) => self.truth(truth),
        }
    }

    fn compare(&mut self, op: CompareOp, left: &Number, right: &Number) {
        self.number(left);
        self.number(right);
        if is_decimal(left.value_type) && !matches!(op, CompareOp::Eq | CompareOp::Ne) {
            // Either polarity takes one of these differences, or one less.
            let one_less = [RangeStep::Sub, RangeStep::Constant(1), RangeStep::Sub];
            self.stretch(&[left, right], one_less);
            self.stretch(&[right, left], one_less);
        }
    }

    /// The items ascend: if the ends fit, all do.
    fn in_sorted(&mut self, number: &Number, first: u32, count: u32) {
        self.number(number);
        if is_decimal(number.value_type) {
            self.stretch(&[], [RangeStep::Parameter(first), RangeStep::Drop, RangeStep::Parameter(first + count - 1)]);
        }
    }

    /// What a number contains beside arithmetic: conditions, and decimals that become something else.
    fn inside(&mut self, number: &Number) {
        match &number.kind {
            NumberKind::Column(_) | NumberKind::Parameter(_) | NumberKind::Null => {}
            NumberKind::Arithmetic { left, right, .. } => {
                self.inside(left);
                self.inside(right);
            }
            NumberKind::Truth(truth) => self.truth(truth),
            NumberKind::Convert(_, inner) if is_decimal(number.value_type) => self.inside(inner),
            NumberKind::Convert(_, inner) => self.number(inner),
            NumberKind::Case { arms, otherwise } => {
                for (condition, value) in arms {
                    self.truth(condition);
                    self.inside(value);
                }
                self.inside(otherwise);
            }
        }
    }

    /// Pushes the numbers, takes `then`, drops the one interval that is left.
    fn stretch(&mut self, numbers: &[&Number], then: impl IntoIterator<Item = RangeStep>) {
        let mut steps = Vec::new();
        let pushed = numbers.iter().try_for_each(|number| push(number, &mut steps));
        steps.extend(then);
        steps.push(RangeStep::Drop);
        self.impossible |= pushed.is_none() || steps.len() > STEPS_MAX || self.stretches.len() > STEPS_MAX;
        if !self.impossible && !self.stretches.contains(&steps) {
            self.stretches.push(steps);
        }
    }
}

/// Steps that push the interval of a number; `None` if there is none within 64 bits, or too much of it.
fn push(number: &Number, steps: &mut Vec<RangeStep>) -> Option<()> {
    if steps.len() > STEPS_MAX {
        return None;
    }
    match &number.kind {
        NumberKind::Column(column) => steps.push(RangeStep::Column(*column)),
        NumberKind::Parameter(slot) => steps.push(RangeStep::Parameter(*slot)),
        NumberKind::Null => steps.push(RangeStep::Constant(0)),
        // Wraps at its own width, which intervals know nothing of.
        NumberKind::Arithmetic { .. } if !is_decimal(number.value_type) => push_range(number.value_type, steps)?,
        NumberKind::Arithmetic { op, left, right } => {
            push(left, steps)?;
            push(right, steps)?;
            steps.push(match op {
                ArithmeticOp::Add => RangeStep::Add,
                ArithmeticOp::Sub => RangeStep::Sub,
                ArithmeticOp::Mul => RangeStep::Mul,
            });
        }
        NumberKind::Convert(Conversion::Scale { factor, .. }, inner) => {
            push(inner, steps)?;
            if *factor != 1 {
                steps.extend([RangeStep::Constant(i64::try_from(*factor).ok()?), RangeStep::Mul]);
            }
        }
        NumberKind::Convert(Conversion::Unscale { .. }, inner) => {
            push(inner, steps)?;
            // Nearer to zero, if anything.
            steps.extend([RangeStep::Constant(0), RangeStep::Union]);
        }
        NumberKind::Convert(Conversion::Same, inner) => push(inner, steps)?,
        // Integers that intervals know nothing of; floats have none.
        NumberKind::Convert(..) | NumberKind::Truth(_) => push_range(number.value_type, steps)?,
        NumberKind::Case { arms, otherwise } => {
            push(otherwise, steps)?;
            for (_, value) in arms {
                push(value, steps)?;
                steps.push(RangeStep::Union);
            }
        }
    }
    Some(())
}

fn push_range(value_type: ValueType, steps: &mut Vec<RangeStep>) -> Option<()> {
    let range = integer_range(value_type)?;
    let (least, most) = (i64::try_from(*range.start()).ok()?, i64::try_from(*range.end()).ok()?);
    steps.extend([RangeStep::Constant(least), RangeStep::Constant(most), RangeStep::Union]);
    Some(())
}
