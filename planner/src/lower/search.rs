//! Looking a value up in a list of parameters, without branches: its bit in a set, or a binary search of the same number of steps for every row.

use nearside_programs::ValueType;
use nearside_programs::abi::columnar::PARAMETERS;
use nearside_programs::isa::{AluOp, Size};

use super::bits::Bits;
use super::emit::{Emitter, Term};
use super::machine::Value;
use super::node::BitSet;
use super::order::{Class, compare, compare_wide, less};
use super::wide::Wide;
use crate::fragment::{CompareOp, is_decimal};

/// Bytes of a parameter slot.
const SLOT_LEN: u32 = nearside_programs::Parameters::SLOT_LEN as u32;

impl Emitter<'_> {
    /// 1 if one of `count` (a power of two) parameters, ascending from slot `first`, is the number with this [key](Self::key), else 0.
    pub(super) fn is_one_of(&mut self, key: &Term, value_type: ValueType, first: u32, count: u32) -> Value {
        // Ends at the last item that is not above the key, or at the first of all.
        let mut base = self.rows.field(PARAMETERS);
        let mut half = count / 2;
        while half > 0 {
            let item = self.item(base, first + half, value_type);
            let is_below = self.compare_keys(CompareOp::Le, &item, key, value_type);
            let step = self.rows.binary(AluOp::Lsh, is_below, (half * SLOT_LEN).trailing_zeros() as i32);
            base = self.rows.binary(AluOp::Add, base, step);
            half /= 2;
        }
        let item = self.item(base, first, value_type);
        self.compare_keys(CompareOp::Eq, &item, key, value_type)
    }

    /// 1 if the integer is in the set, else 0.
    pub(super) fn has_bit(&mut self, key: &Term, bits: BitSet) -> Value {
        let least = self.rows.parameter(bits.least, 0);
        let position = self.rows.binary(AluOp::Sub, key.low, least);
        let end = self.rows.constant(i64::from(bits.slots) * i64::from(BitSet::SLOT_BITS));
        let is_inside = less(Class::Unsigned, position, end, &mut self.rows);
        // Outside, bit 0 is looked at in vain.
        let mask = self.rows.negate(is_inside);
        let position = self.rows.binary(AluOp::And, position, mask);
        let byte = self.rows.binary(AluOp::Rsh, position, 3);
        let word = self.rows.binary(AluOp::And, byte, -8);
        let parameters = self.rows.field(PARAMETERS);
        let (base, offset) = self.rows.element(parameters, i64::from(bits.first * SLOT_LEN));
        let address = self.rows.binary(AluOp::Add, base, word);
        let word = self.rows.load(Size::D, false, address, offset);
        // A shift takes the lowest six bits of its distance.
        let bit = self.rows.binary(AluOp::Rsh, word, position);
        self.rows.binary(AluOp::And, bit, is_inside)
    }

    /// The key of the parameter that is `slot` slots from `base`.
    fn item(&mut self, base: Value, slot: u32, value_type: ValueType) -> Term {
        let (base, offset) = self.rows.element(base, i64::from(slot * SLOT_LEN));
        let low = self.rows.load(Size::D, false, base, offset);
        if self.is_wide(value_type) {
            let high = self.rows.load(Size::D, false, base, offset + 8);
            return Term::from_wide(Wide { low, high }, Bits::ALWAYS);
        }
        let low = self.slot_value(low, value_type);
        Term::narrow(self.order_key(value_type, low), Bits::ALWAYS)
    }

    fn compare_keys(&mut self, op: CompareOp, left: &Term, right: &Term, value_type: ValueType) -> Value {
        if let (Some(left), Some(right)) = (left.wide(), right.wide()) {
            return compare_wide(op, left, right, &mut self.rows);
        }
        // That every item fits is proven, differences are not.
        let class = if is_decimal(value_type) { Class::Signed } else { Class::of(value_type) };
        compare(op, class, left.low, right.low, &mut self.rows)
    }
}
