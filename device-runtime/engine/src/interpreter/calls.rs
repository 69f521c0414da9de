//! Calls: local functions, helpers, intrinsics.
//!
//! A callee finds its arguments in r1 to r5 and 0 in r0 and r6 to r9. After any call the caller finds the result in r0, its own
//! r6 to r10, and 0 in r1 to r5, which the calling convention lets a callee overwrite. A `loop` is a call for each number; a tail
//! call begins another function in the frame it is in, with r1 and r10 as they are and every other register 0.

use nearside_programs::abi::helper;
use nearside_programs::isa::{Reg, Size};

use super::Machine;
use crate::helpers::{HelperFault, helper_trap, invoke};
use crate::intrinsic::{
    Intrinsic, NO_SUCH_PROGRAM, TAIL_CALLS_MAX, TOO_MANY_TAIL_CALLS, WideOp, check_loop, float_from_int, float_from_single,
    float_from_unsigned, float_from_wide, single_from_float, wide_compare,
};
use crate::trap::Trap;
use crate::verify::{FRAME_LEN, FRAMES_MAX, helper_in_register};

/// What a caller gets back.
pub(super) struct Frame {
    return_pc: usize,
    /// r6 to r9.
    saved: [u64; 4],
    /// The callee is the callback of a loop.
    iteration: Option<Iteration>,
}

/// One call of a `loop`.
#[derive(Clone, Copy)]
struct Iteration {
    /// The `loop`.
    pc: usize,
    callback: usize,
    context: u64,
    index: u32,
    count: u32,
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
        self.push(pc, callee, None)
    }

    fn push(&mut self, pc: usize, callee: usize, iteration: Option<Iteration>) -> Result<usize, Trap> {
        if self.callers.len() + 1 == FRAMES_MAX as usize {
            return Err(Trap::CallDepth { pc: pc as u32 });
        }
        let saved = [self.registers[6], self.registers[7], self.registers[8], self.registers[9]];
        self.callers.push(Frame { return_pc: pc + 1, saved, iteration });
        self.registers[0] = 0;
        self.registers[6..10].fill(0);
        self.registers[10] -= u64::from(FRAME_LEN);
        self.enter(callee)
    }

    pub(super) fn call_register(&mut self, pc: usize, register: Reg) -> Result<usize, Trap> {
        let value = self.get(register);
        if let Some(number) = helper_in_register(self.program.target, value) {
            return self.helper(pc, number);
        }
        self.call(pc, self.program.function_of(value), value)
    }

    /// Returns to the caller, or to the next call of its loop; `None` if this is the entry point.
    pub(super) fn leave(&mut self) -> Result<Option<usize>, Trap> {
        let Some(frame) = self.callers.pop() else { return Ok(None) };
        self.registers[1..6].fill(0);
        self.registers[6..10].copy_from_slice(&frame.saved);
        self.registers[10] += u64::from(FRAME_LEN);
        let Some(iteration) = frame.iteration else { return Ok(Some(frame.return_pc)) };
        let index = iteration.index + 1;
        if self.registers[0] == 0 && index < iteration.count {
            return self.iterate(Iteration { index, ..iteration }).map(Some);
        }
        self.registers[0] = index.into();
        Ok(Some(frame.return_pc))
    }

    fn iterate(&mut self, iteration: Iteration) -> Result<usize, Trap> {
        self.registers[1..6].copy_from_slice(&[iteration.index.into(), iteration.context, 0, 0, 0]);
        self.push(iteration.pc, iteration.callback, Some(iteration))
    }

    /// Calls a helper; returns the slot of the next instruction.
    pub(super) fn helper(&mut self, pc: usize, number: u32) -> Result<usize, Trap> {
        let [_, a, b, c, d, e, ..] = self.registers;
        let result = match Intrinsic::by_number(number) {
            Some(Intrinsic::Loop) => return self.start_loop(pc, [a, b, c, d]),
            Some(Intrinsic::TailCall) => return self.tail_call(pc, b, c),
            Some(intrinsic) => self.intrinsic(pc, intrinsic, [a, b, c])?,
            None => invoke(self.run.helpers, number, [a, b, c, d, e], &mut self.run.memory, self.run.fuel)
                .map_err(|fault| helper_trap(pc as u32, number, fault))?,
        };
        Ok(self.go_on(pc, result))
    }

    /// What a call leaves behind that returns `result`.
    fn go_on(&mut self, pc: usize, result: u64) -> usize {
        self.registers[0] = result;
        self.registers[1..6].fill(0);
        pc + 1
    }

    fn start_loop(&mut self, pc: usize, [count, callback, context, flags]: [u64; 4]) -> Result<usize, Trap> {
        let count = match check_loop(count, flags) {
            Ok(count) => count,
            Err(errno) => return Ok(self.go_on(pc, errno)),
        };
        let function = self.program.function_of(callback);
        let callback = function.ok_or(Trap::NotAFunction { pc: pc as u32, value: callback })?;
        if count == 0 {
            return Ok(self.go_on(pc, 0));
        }
        self.iterate(Iteration { pc, callback, context, index: 0, count })
    }

    fn tail_call(&mut self, pc: usize, programs: u64, index: u64) -> Result<usize, Trap> {
        let fault = HelperFault::Argument { index: 2, value: programs };
        let found = self.run.memory.maps().ok_or(fault).and_then(|maps| maps.program(programs, index as u32));
        let entry = found.map_err(|fault| helper_trap(pc as u32, helper::TAIL_CALL, fault))?;
        let Some(target) = entry.and_then(|entry| self.program.entry(entry)) else {
            return Ok(self.go_on(pc, NO_SUCH_PROGRAM));
        };
        if self.tail_calls == TAIL_CALLS_MAX {
            return Ok(self.go_on(pc, TOO_MANY_TAIL_CALLS));
        }
        self.tail_calls += 1;
        self.registers[0] = 0;
        self.registers[2..10].fill(0);
        self.enter(target)
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
            Intrinsic::Loop | Intrinsic::TailCall => unreachable!("they move control, and do not come here"),
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
