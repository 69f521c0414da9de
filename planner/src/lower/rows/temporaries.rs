//! Helpers on 128-bit integers: their operands and results pass through temporaries at the frame's end.

use super::{Argument, Op, Place, Rows, Value};

/// What a helper makes of two 128-bit integers.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct WideResult {
    pub(in super::super) low: Value,
    pub(in super::super) high: Value,
    /// 1 if it wrapped.
    pub(in super::super) wrapped: Value,
}

/// Bytes for the operands and the result of a 128-bit helper.
const WIDE_TEMPORARIES: usize = 48;

impl Rows {
    /// A helper's arithmetic on two 128-bit integers: operands and result pass through temporaries.
    pub(in super::super) fn wide_call(&mut self, helper: u32, operands: [Value; 4]) -> WideResult {
        if let Some(result) = self.wide_results.get(&(helper, operands)) {
            return *result;
        }
        let place = self.store_temporaries(&operands);
        let [low, high, wrapped] = [(); 3].map(|()| self.fresh(place));
        let arguments = vec![Argument::Frame(-48), Argument::Frame(-32), Argument::Frame(-16)];
        self.push(place, Op::Call { helper, arguments, dst: Some(wrapped) });
        self.push(place, Op::FrameLoad { dst: low, offset: -48 });
        self.push(place, Op::FrameLoad { dst: high, offset: -40 });
        let result = WideResult { low, high, wrapped };
        self.wide_results.insert((helper, operands), result);
        result
    }

    /// The binary64 that a helper makes of a 128-bit integer.
    pub(in super::super) fn wide_float(&mut self, helper: u32, operand: [Value; 2]) -> Value {
        if let Some(float) = self.wide_floats.get(&operand) {
            return *float;
        }
        let place = self.store_temporaries(&operand);
        let float = self.fresh(place);
        self.push(place, Op::Call { helper, arguments: vec![Argument::Frame(-32)], dst: Some(float) });
        self.wide_floats.insert(operand, float);
        float
    }

    /// Stores a helper's operands from 32 bytes below the frame's end; where that is done.
    fn store_temporaries(&mut self, operands: &[Value]) -> Place {
        self.temporary_len = WIDE_TEMPORARIES;
        let place = operands.iter().map(|operand| self.place(*operand)).max().unwrap_or(Place::Batch);
        for (index, operand) in (0..).zip(operands) {
            self.push(place, Op::FrameStore { offset: -32 + 8 * index, src: *operand });
        }
        place
    }
}
