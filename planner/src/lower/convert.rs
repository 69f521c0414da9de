//! Numbers of one type from numbers of another, for one row.

use nearside_programs::ValueType;
use nearside_programs::abi::helper::{F32_FROM_F64, F64_DIV, F64_FROM_F32, F64_FROM_I64, F64_FROM_I128, F64_FROM_U64};
use nearside_programs::isa::AluOp;

use super::emit::{Emitter, Term};
use super::machine::Value;
use super::node::{Conversion, Number};
use super::order::{Class, less};
use super::wide::{self, Wide};
use crate::fragment::integer_range;

impl Emitter<'_> {
    /// A number as another type.
    pub(super) fn convert(&mut self, conversion: Conversion, inner: &Number, to: ValueType) -> Term {
        let term = self.number(inner);
        match conversion {
            Conversion::Scale { factor, limit } => self.scale(term, inner.value_type, factor, limit),
            Conversion::Unscale { divisor, limit } => self.unscale(term, divisor, limit),
            Conversion::Truncate { divisor } => self.truncate(term, divisor, to),
            Conversion::Fit => self.fit(term, inner.value_type, to),
            Conversion::Same => term,
            Conversion::FloatFromInteger if inner.value_type == ValueType::UInt64 => self.converted(term, F64_FROM_U64),
            Conversion::FloatFromInteger => self.converted(term, F64_FROM_I64),
            Conversion::FloatFromDecimal { divisor } => self.float_from_decimal(term, divisor),
            Conversion::FloatFromFloat32 => self.converted(term, F64_FROM_F32),
            Conversion::Float32FromFloat => {
                let Term { low, known, .. } = self.converted(term, F32_FROM_F64);
                Term::narrow(self.slot_value(low, to), known)
            }
        }
    }

    /// A decimal times `factor`.
    pub(super) fn scale(&mut self, term: Term, from: ValueType, factor: i128, limit: Option<i128>) -> Term {
        let term = if self.narrow {
            let low = match i64::try_from(factor) {
                Ok(1) => term.low,
                Ok(factor) => self.rows.with_constant(AluOp::Mul, term.low, factor),
                // No proof covers such a factor, see `proof`: this entry point is thrown away.
                Err(_) => term.low,
            };
            Term::narrow(low, term.known)
        } else {
            let value = term.extended(from, &mut self.rows);
            if factor == 1 {
                Term::from_wide(value, term.known)
            } else {
                let factor = wide::constant(factor, &mut self.rows);
                let product = wide::mul_checked(value, factor, &mut self.rows);
                self.checked(product, term.known)
            }
        };
        self.check_limit(&term, limit);
        term
    }

    /// A decimal divided by `divisor`, halves away from zero.
    fn unscale(&mut self, term: Term, divisor: Option<i128>, limit: Option<i128>) -> Term {
        let term = match (divisor, term.wide()) {
            (None, Some(_)) => Term::from_wide(wide::constant(0, &mut self.rows), term.known),
            (Some(divisor), Some(value)) => Term::from_wide(wide::div_rounded(value, divisor, &mut self.rows), term.known),
            (divisor, None) => {
                let divisor = divisor.and_then(|divisor| u64::try_from(divisor).ok());
                // Half of a larger divisor is more than 64 bits hold.
                let low = match divisor {
                    Some(divisor) => self.div_rounded(term.low, divisor),
                    None => self.rows.constant(0),
                };
                Term::narrow(low, term.known)
            }
        };
        self.check_limit(&term, limit);
        term
    }

    /// `value / divisor` in 64 bits, halves away from zero: the sum with half a divisor fits them without sign.
    fn div_rounded(&mut self, value: Value, divisor: u64) -> Value {
        let rows = &mut self.rows;
        let sign = rows.binary(AluOp::Arsh, value, 63);
        let flipped = rows.binary(AluOp::Xor, value, sign);
        let magnitude = rows.binary(AluOp::Sub, flipped, sign);
        let sum = rows.with_constant(AluOp::Add, magnitude, (divisor / 2).cast_signed());
        let quotient = rows.with_constant(AluOp::Div, sum, divisor.cast_signed());
        let flipped = rows.binary(AluOp::Xor, quotient, sign);
        rows.binary(AluOp::Sub, flipped, sign)
    }

    /// An integer from a decimal, towards zero.
    fn truncate(&mut self, term: Term, divisor: i128, to: ValueType) -> Term {
        let range = integer_range(to).unwrap_or(i128::MIN..=i128::MAX);
        let Some(value) = term.wide() else {
            let low = match i64::try_from(divisor) {
                Ok(1) => term.low,
                Ok(divisor) => self.rows.with_constant(AluOp::SDiv, term.low, divisor),
                // More than 64 bits hold.
                Err(_) => self.rows.constant(0),
            };
            // The ends of 64 bits need no check.
            let bound = |bound: i128, end| i64::try_from(bound).ok().filter(|bound| *bound != end);
            let (least, most) = (bound(*range.start(), i64::MIN), bound(*range.end(), i64::MAX));
            self.check_range(Class::Signed, low, least, most, &term);
            return Term::narrow(low, term.known);
        };
        let value = if divisor == 1 { value } else { wide::div(value, divisor, &mut self.rows) };
        self.check_wide_range(value, *range.start(), *range.end(), &term);
        Term::narrow(value.low, term.known)
    }

    fn fit(&mut self, term: Term, from: ValueType, to: ValueType) -> Term {
        let (Some(inner), Some(range)) = (integer_range(from), integer_range(to)) else {
            return term;
        };
        // Bounds that the source type already respects are not checked; the others fit its register.
        let least = (range.start() > inner.start()).then_some(*range.start() as i64);
        let most = (range.end() < inner.end()).then_some(*range.end() as i64);
        self.check_range(Class::of(from), term.low, least, most, &term);
        term
    }

    fn converted(&mut self, term: Term, helper: u32) -> Term {
        Term::narrow(self.rows.call(helper, &[term.low]), term.known)
    }

    fn float_from_decimal(&mut self, term: Term, divisor: f64) -> Term {
        let float = match term.wide() {
            Some(value) => self.rows.wide_float(F64_FROM_I128, [value.low, value.high]),
            None => self.rows.call(F64_FROM_I64, &[term.low]),
        };
        if divisor == 1.0 {
            return Term::narrow(float, term.known);
        }
        let divisor = self.rows.constant(divisor.to_bits().cast_signed());
        Term::narrow(self.rows.call(F64_DIV, &[float, divisor]), term.known)
    }

    /// Fails a decimal beyond `limit`, either way.
    fn check_limit(&mut self, term: &Term, limit: Option<i128>) {
        let Some(limit) = limit else { return };
        match term.wide() {
            Some(value) => self.check_wide_range(value, -limit, limit, term),
            None => {
                let limit = i64::try_from(limit).ok();
                self.check_range(Class::Signed, term.low, limit.map(|limit| -limit), limit, term);
            }
        }
    }

    fn check_wide_range(&mut self, value: Wide, least: i128, most: i128, of: &Term) {
        let (least, most) = (wide::constant(least, &mut self.rows), wide::constant(most, &mut self.rows));
        let below = wide::less(value, least, &mut self.rows);
        let above = wide::less(most, value, &mut self.rows);
        let outside = self.rows.binary(AluOp::Or, below, above);
        self.fault(outside, of.known);
    }

    fn check_range(&mut self, class: Class, value: Value, least: Option<i64>, most: Option<i64>, of: &Term) {
        if let Some(least) = least {
            let least = self.rows.constant(least);
            let below = less(class, value, least, &mut self.rows);
            self.fault(below, of.known);
        }
        if let Some(most) = most {
            let most = self.rows.constant(most);
            let above = less(class, most, value, &mut self.rows);
            self.fault(above, of.known);
        }
    }
}
