//! Nodes to instructions for one row: numbers here, truth values in [`truth`](super::truth).
//!
//! Nothing branches. A value of a NULL row is anything; what is not computed for a row (an untaken `CASE` arm) is computed all the same and not chosen.
//! What SQL calls an error is gathered in [`Emitter::faults`], one bit each, only where the failing operation's operands are not NULL.

use nearside_programs::ValueType;
use nearside_programs::abi::helper::{F64_ADD, F64_MUL, F64_SUB};
use nearside_programs::isa::{AluOp, Size};

use super::bits::Bits;
use super::machine::Value;
use super::node::{Conversion, Number, NumberKind, Truth};
use super::rows::Rows;
use super::wide::{self, Checked, Wide};
use crate::fragment::{ArithmeticOp, Column};

/// Most nodes that are visited for one row: a bound on time, for fragments are untrusted.
const VISITS_MAX: usize = 1 << 16;

/// A number of the current row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) low: Value,
    /// The upper half of a decimal in a general entry point.
    pub(super) high: Option<Value>,
    pub(super) known: Bits,
}

impl Term {
    pub(super) fn narrow(low: Value, known: Bits) -> Self {
        Self { low, high: None, known }
    }

    pub(super) fn from_wide(value: Wide, known: Bits) -> Self {
        Self { low: value.low, high: Some(value.high), known }
    }

    /// The 128 bits of a decimal in a general entry point.
    pub(super) fn wide(&self) -> Option<Wide> {
        self.high.map(|high| Wide { low: self.low, high })
    }

    /// As 128 bits, whichever entry point this is; the type says how a single register is extended.
    pub(super) fn extended(&self, value_type: ValueType, rows: &mut Rows) -> Wide {
        match self.high {
            Some(high) => Wide { low: self.low, high },
            None if value_type == ValueType::UInt64 => wide::from_unsigned(self.low, rows),
            None => wide::from_signed(self.low, rows),
        }
    }
}

/// Writes what nodes compute.
pub(super) struct Emitter<'a> {
    pub(super) rows: Rows,
    /// Decimals are 8 bytes, and proven to stay so.
    pub(super) narrow: bool,
    pub(super) columns: &'a [Column],
    /// Bits that must stay zero for selected rows.
    pub(super) faults: Vec<Value>,
    visits: usize,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(columns: &'a [Column], narrow: bool, rows: Rows) -> Self {
        Self { rows, narrow, columns, faults: Vec::new(), visits: 0 }
    }

    /// Counts a node; `false` once there were too many.
    pub(super) fn visit(&mut self) -> bool {
        self.visits += 1;
        self.visits <= VISITS_MAX
    }

    /// Nodes visited, and the limit, if they were too many.
    pub(super) fn too_many_visits(&self) -> Option<(usize, usize)> {
        (self.visits > VISITS_MAX).then_some((self.visits, VISITS_MAX))
    }

    /// Goes on to a row of the block.
    pub(super) fn enter_lane(&mut self, lane: u32) {
        self.rows.enter_lane(lane);
        self.visits = 0;
    }

    /// Where a column is not NULL.
    pub(super) fn column_known(&mut self, column: u32) -> Bits {
        match self.columns[column as usize].nullable {
            true => Bits::word(self.rows.column_validity(column)),
            false => Bits::ALWAYS,
        }
    }

    /// The value of a number in the current row.
    pub(super) fn number(&mut self, number: &Number) -> Term {
        if !self.visit() {
            return self.null(number.value_type);
        }
        match &number.kind {
            NumberKind::Column(column) => self.column(*column, number.value_type),
            NumberKind::Parameter(slot) => self.parameter(*slot, number.value_type),
            NumberKind::Null => self.null(number.value_type),
            NumberKind::Truth(truth) => {
                let (bits, known) = (self.is_true(truth), self.is_known(truth));
                Term::narrow(bits.bit(&mut self.rows), known)
            }
            NumberKind::Arithmetic { op, left, right } => self.arithmetic(*op, left, right, number.value_type),
            NumberKind::Convert(conversion, inner) => self.convert(*conversion, inner, number.value_type),
            NumberKind::Case { arms, otherwise } => self.case(arms, otherwise),
        }
    }

    /// A number in the form in which `=` and `<` compare numbers: a float's zero has no sign.
    pub(super) fn compared(&mut self, number: &Number) -> Term {
        let term = self.number(number);
        let rows = &mut self.rows;
        let magnitude = match number.value_type {
            ValueType::Float64 => {
                let low = rows.binary(AluOp::Lsh, term.low, 1);
                rows.binary(AluOp::Rsh, low, 1)
            }
            ValueType::Float32 => rows.binary(AluOp::And, term.low, i32::MAX),
            _ => return term,
        };
        // Sign and magnitude become a two's complement.
        let sign = rows.binary(AluOp::Arsh, term.low, 63);
        let flipped = rows.binary(AluOp::Xor, magnitude, sign);
        Term { low: rows.binary(AluOp::Sub, flipped, sign), ..term }
    }

    /// A number in the form in which values are told apart: floats by total order.
    pub(super) fn key(&mut self, number: &Number) -> Term {
        let term = self.number(number);
        Term { low: self.order_key(number.value_type, term.low), ..term }
    }

    /// One register of a value in that form.
    pub(super) fn order_key(&mut self, value_type: ValueType, low: Value) -> Value {
        let rows = &mut self.rows;
        match value_type {
            ValueType::Float64 => {
                let sign = rows.binary(AluOp::Arsh, low, 63);
                let flip = rows.binary(AluOp::Rsh, sign, 1);
                rows.binary(AluOp::Xor, low, flip)
            }
            ValueType::Float32 => {
                let sign = rows.binary(AluOp::Arsh, low, 63);
                let flip = rows.binary(AluOp::And, sign, i32::MAX);
                rows.binary(AluOp::Xor, low, flip)
            }
            _ => low,
        }
    }

    pub(super) fn is_wide(&self, value_type: ValueType) -> bool {
        matches!(value_type, ValueType::Decimal128 { .. }) && !self.narrow
    }

    fn null(&mut self, value_type: ValueType) -> Term {
        let zero = self.rows.constant(0);
        Term { low: zero, high: self.is_wide(value_type).then_some(zero), known: Bits::Never }
    }

    fn column(&mut self, column: u32, value_type: ValueType) -> Term {
        let known = self.column_known(column);
        let name = &self.columns[column as usize].name;
        if self.is_wide(value_type) {
            let (base, offset) = self.rows.column_element(column, 16);
            let low = self.rows.load_element(Size::D, false, (base, offset), || name.clone());
            let high = self.rows.load_element(Size::D, false, (base, offset + 8), String::new);
            return Term::from_wide(Wide { low, high }, known);
        }
        let (size, signed) = layout(value_type);
        let element = self.rows.column_element(column, size.bytes());
        Term::narrow(self.rows.load_element(size, signed, element, || name.clone()), known)
    }

    fn parameter(&mut self, slot: u32, value_type: ValueType) -> Term {
        let low = self.rows.parameter(slot, 0);
        if self.is_wide(value_type) {
            let high = self.rows.parameter(slot, 1);
            return Term::from_wide(Wide { low, high }, Bits::ALWAYS);
        }
        Term::narrow(self.slot_value(low, value_type), Bits::ALWAYS)
    }

    /// What a register holds of the low 64 bits of a parameter's slot, or of what a helper made: binary32 is zero-extended there, sign-extended here.
    pub(super) fn slot_value(&mut self, low: Value, value_type: ValueType) -> Value {
        if value_type == ValueType::Float32 { self.rows.sign_extend(low, 32) } else { low }
    }

    fn arithmetic(&mut self, op: ArithmeticOp, left: &Number, right: &Number, value_type: ValueType) -> Term {
        let ((l, left_faults), (r, right_faults)) = (self.operand(left), self.operand(right));
        let known = l.known.and(r.known, &mut self.rows);
        left_faults.into_iter().for_each(|fault| self.fault(fault, r.known));
        right_faults.into_iter().for_each(|fault| self.fault(fault, l.known));
        if self.is_wide(value_type) {
            let (l, r) = (l.extended(left.value_type, &mut self.rows), r.extended(right.value_type, &mut self.rows));
            let checked = match op {
                ArithmeticOp::Add => wide::add_checked(l, r, &mut self.rows),
                ArithmeticOp::Sub => wide::sub_checked(l, r, &mut self.rows),
                ArithmeticOp::Mul => wide::mul_checked(l, r, &mut self.rows),
            };
            return self.checked(checked, known);
        }
        if value_type == ValueType::Float64 {
            let helper = match op {
                ArithmeticOp::Add => F64_ADD,
                ArithmeticOp::Sub => F64_SUB,
                ArithmeticOp::Mul => F64_MUL,
            };
            return Term::narrow(self.rows.call(helper, &[l.low, r.low]), known);
        }
        Term::narrow(self.wrapping(op, l.low, r.low, value_type), known)
    }

    /// An operand of arithmetic, apart from the faults of bringing it to the scale of the result: that is part of the operation, which does not
    /// happen where the other operand is NULL.
    fn operand(&mut self, number: &Number) -> (Term, Vec<Value>) {
        let NumberKind::Convert(Conversion::Scale { factor, limit: None }, inner) = &number.kind else {
            return (self.number(number), Vec::new());
        };
        let term = self.number(inner);
        let outer = std::mem::take(&mut self.faults);
        let term = self.scale(term, inner.value_type, *factor, None);
        (term, std::mem::replace(&mut self.faults, outer))
    }

    /// Arithmetic at the width of an integer type; 64 bits for a decimal.
    fn wrapping(&mut self, op: ArithmeticOp, left: Value, right: Value, value_type: ValueType) -> Value {
        let op = match op {
            ArithmeticOp::Add => AluOp::Add,
            ArithmeticOp::Sub => AluOp::Sub,
            ArithmeticOp::Mul => AluOp::Mul,
        };
        if value_type == ValueType::UInt32 {
            return self.rows.binary32(op, left, right);
        }
        let value = self.rows.binary(op, left, right);
        match value_type {
            ValueType::Int8 => self.rows.sign_extend(value, 8),
            ValueType::Int16 => self.rows.sign_extend(value, 16),
            ValueType::Int32 => self.rows.sign_extend(value, 32),
            ValueType::UInt8 => self.rows.binary(AluOp::And, value, 0xff),
            ValueType::UInt16 => self.rows.binary(AluOp::And, value, 0xffff),
            _ => value,
        }
    }

    /// From the last arm to the first, so that the first true one has the last word.
    fn case(&mut self, arms: &[(Truth, Number)], otherwise: &Number) -> Term {
        let outer = std::mem::take(&mut self.faults);
        let mut chosen = self.number(otherwise);
        for (condition, value) in arms.iter().rev() {
            let below = std::mem::take(&mut self.faults);
            let term = self.number(value);
            let above = std::mem::take(&mut self.faults);
            let condition = self.is_true(condition);
            self.merge_faults(condition, above, below);
            let known = self.choose_bits(condition, term.known, chosen.known);
            let mask = condition.mask(&mut self.rows);
            let low = wide::choose_word(chosen.low, term.low, mask, &mut self.rows);
            let high = chosen.high.zip(term.high).map(|(a, b)| wide::choose_word(a, b, mask, &mut self.rows));
            chosen = Term { low, high, known };
        }
        self.faults.extend(outer);
        chosen
    }

    /// `then` where the condition holds, `otherwise` elsewhere.
    pub(super) fn choose_bits(&mut self, condition: Bits, then: Bits, otherwise: Bits) -> Bits {
        if then == otherwise {
            return then;
        }
        let then = condition.and(then, &mut self.rows);
        let not = condition.not(&mut self.rows);
        let otherwise = not.and(otherwise, &mut self.rows);
        then.or(otherwise, &mut self.rows)
    }

    /// Adds faults of a taken arm where the condition holds, those of the others elsewhere.
    pub(super) fn merge_faults(&mut self, condition: Bits, taken: Vec<Value>, otherwise: Vec<Value>) {
        for fault in taken {
            self.fault(fault, condition);
        }
        if !otherwise.is_empty() {
            let not = condition.not(&mut self.rows);
            for fault in otherwise {
                self.fault(fault, not);
            }
        }
    }

    pub(super) fn checked(&mut self, checked: Checked, known: Bits) -> Term {
        self.fault(checked.wrapped, known);
        Term::from_wide(checked.value, known)
    }

    pub(super) fn fault(&mut self, bit: Value, known: Bits) {
        let bit = match known {
            Bits::Never => return,
            Bits::ALWAYS => bit,
            known => {
                let known = known.bit(&mut self.rows);
                self.rows.binary(AluOp::And, bit, known)
            }
        };
        if !self.faults.contains(&bit) {
            self.faults.push(bit);
        }
    }
}

/// How a value that is one register lies in a column, and whether it is sign-extended.
pub(super) fn layout(value_type: ValueType) -> (Size, bool) {
    use ValueType::*;
    match value_type {
        Int8 => (Size::B, true),
        UInt8 | Bool => (Size::B, false),
        Int16 => (Size::H, true),
        UInt16 => (Size::H, false),
        Int32 | Date32 | Float32 => (Size::W, true),
        UInt32 => (Size::W, false),
        Int64 | UInt64 | Float64 | Decimal128 { .. } | Utf8 | Opaque => (Size::D, false),
    }
}
