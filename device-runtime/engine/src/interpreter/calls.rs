//! Calls: local functions, helpers, intrinsics.
//!
//! A callee finds its arguments in r1 to r5 and 0 in r0 and r6 to r9. After any call the caller finds the result in r0, its own
//! r6 to r10, and 0 in r1 to r5, which the calling convention lets a callee overwrite.

use nearside_programs::isa::{Reg, Size};

use super::Machine;
use crate::helpers::{helper_trap, invoke};
use crate::intrinsic::{
    Intrinsic, WideOp, float_from_int, float_from_single, float_from_unsigned, float_from_wide, single_from_float, wide_compare,
};
use crate::trap::Trap;
use crate::verify::{CODE_BASE, FRAME_LEN, FRAMES_MAX, helper_in_register};

/// What a caller gets back.
pub(super) struct Frame {
    return_pc: usize,
    /// r6 to r9.
    saved: [u64; 4],
}

impl Machine<'_> {
    /// Charges a function's entry and returns its first slot.
    pub(super) fn enter(&mut self, function: usize) -> Result<usize, Trap> {
        let function = self.program.functions[function];
        self.charge(function.start, function.cost())?;
        Ok(function.start)
    }

    /// Calls function `callee`; `None` is the trap of a `callx` whose register held `value`.
    pub(super) fn call(&mut self, pc: usize, callee: Option<usize>, value: u64) -> Result<usize, Trap> {
        let callee = callee.ok_or(Trap::NotAFunction { pc: pc as u32, value })?;
        if self.callers.len() + 1 == FRAMES_MAX as usize {
            return Err(Trap::CallDepth { pc: pc as u32 });
        }
        let saved = [self.registers[6], self.registers[7], self.registers[8], self.registers[9]];
        self.callers.push(Frame { return_pc: pc + 1, saved });
        self.registers[0] = 0;
        self.registers[6..10].fill(0);
        self.registers[10] -= u64::from(FRAME_LEN);
        self.enter(callee)
    }

    pub(super) fn call_register(&mut self, pc: usize, register: Reg) -> Result<usize, Trap> {
        let value = self.get(register);
        if let Some(number) = helper_in_register(self.program.target, value) {
            return self.helper(pc, number).map(|()| pc + 1);
        }
        let index = value.checked_sub(CODE_BASE).filter(|&index| index < self.program.functions.len() as u64);
        self.call(pc, index.map(|index| index as usize), value)
    }

    /// Returns to the caller; `None` if this is the entry point.
    pub(super) fn leave(&mut self) -> Option<usize> {
        let frame = self.callers.pop()?;
        self.registers[1..6].fill(0);
        self.registers[6..10].copy_from_slice(&frame.saved);
        self.registers[10] += u64::from(FRAME_LEN);
        Some(frame.return_pc)
    }

    pub(super) fn helper(&mut self, pc: usize, number: u32) -> Result<(), Trap> {
        let [_, a, b, c, d, e, ..] = self.registers;
        let result = match Intrinsic::by_number(number) {
            Some(intrinsic) => self.intrinsic(pc, intrinsic, [a, b, c])?,
            None => invoke(self.run.helpers, number, [a, b, c, d, e], &mut self.run.memory, self.run.fuel)
                .map_err(|fault| helper_trap(pc as u32, number, fault))?,
        };
        self.registers[0] = result;
        self.registers[1..6].fill(0);
        Ok(())
    }

    fn intrinsic(&mut self, pc: usize, intrinsic: Intrinsic, [a, b, c]: [u64; 3]) -> Result<u64, Trap> {
        Ok(match intrinsic {
            Intrinsic::Wide(op) => self.wide_arithmetic(pc, op, [a, b, c])?,
            Intrinsic::WideCompare => wide_compare(self.load_wide(pc, a)?, self.load_wide(pc, b)?),
            Intrinsic::Float(op) => op.apply(a, b),
            Intrinsic::FloatFromInt => float_from_int(a),
            Intrinsic::FloatFromUnsigned => float_from_unsigned(a),
            Intrinsic::FloatFromSingle => float_from_single(a),
            Intrinsic::FloatFromWide => float_from_wide(self.load_wide(pc, a)?),
            Intrinsic::SingleFromFloat => single_from_float(a),
        })
    }

    fn wide_arithmetic(&mut self, pc: usize, op: WideOp, [dst, a, b]: [u64; 3]) -> Result<u64, Trap> {
        let (result, wrapped) = op.apply(self.load_wide(pc, a)?, self.load_wide(pc, b)?);
        self.store(pc, dst as u32, Size::D, result as u64)?;
        self.store(pc, (dst as u32).wrapping_add(8), Size::D, (result >> 64) as u64)?;
        Ok(wrapped.into())
    }

    /// Two accesses of 8 bytes, the low half first.
    fn load_wide(&self, pc: usize, address: u64) -> Result<i128, Trap> {
        let low = self.load(pc, address as u32, Size::D)?;
        let high = self.load(pc, (address as u32).wrapping_add(8), Size::D)?;
        Ok(i128::from(high.cast_signed()) << 64 | i128::from(low))
    }
}
