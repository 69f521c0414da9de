//! The specification: what a verified program does, one instruction at a time.
//!
//! Plain rather than fast. The JIT does exactly the same; where the two differ, this one is right.

mod alu;
mod calls;
pub(crate) mod packet;

use nearside_programs::isa::{AtomicOp, CallTarget, Instruction, Operand, Reg, Size, Width};

use crate::fuel::Fuel;
use crate::helpers::Helpers;
use crate::memory::{Memory, Operation, STACK_TOP};
use crate::trap::Trap;
use crate::verify::{Program, jump_cost, jump_target};
use calls::Frame;

/// What a run works on.
pub(crate) struct Run<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) fuel: &'a mut Fuel,
    pub(crate) helpers: &'a mut dyn Helpers,
}

/// Runs function `entry` on `arguments`; tells `observe` the slot of every instruction before it is executed.
///
/// r1 to r5 hold the arguments, r10 the end of the frame, every other register 0.
pub(crate) fn run<'a>(
    program: &'a Program,
    entry: usize,
    arguments: [u64; 5],
    run: Run<'a>,
    mut observe: impl FnMut(usize),
) -> Result<u64, Trap> {
    let mut machine = Machine { program, run, registers: [0; 11], callers: Vec::new(), tail_calls: 0 };
    machine.registers[1..6].copy_from_slice(&arguments);
    machine.registers[10] = u64::from(STACK_TOP);
    let mut pc = machine.enter(entry)?;
    loop {
        observe(pc);
        match machine.step(pc)? {
            Some(next) => pc = next,
            None => return Ok(machine.get(Reg::R0)),
        }
    }
}

struct Machine<'a> {
    program: &'a Program,
    run: Run<'a>,
    registers: [u64; 11],
    callers: Vec<Frame>,
    /// Tail calls so far.
    tail_calls: u32,
}

impl Machine<'_> {
    /// Executes one instruction; returns the slot of the next one, or `None` when the entry point exits.
    fn step(&mut self, pc: usize) -> Result<Option<usize>, Trap> {
        let instruction = self.program.instructions[pc];
        match instruction {
            Instruction::Alu { width, op, dst, src } => {
                let value = alu::compute(width, op, self.get(dst), self.operand(src));
                self.set(dst, value);
            }
            Instruction::Neg { width, dst } => self.set(dst, alu::truncate(width, self.get(dst).wrapping_neg())),
            Instruction::MoveSigned { width, dst, src, bits } => {
                self.set(dst, alu::truncate(width, alu::sign_extend(self.get(src), bits)));
            }
            Instruction::Endian { order, dst, bits } => self.set(dst, alu::convert(order, self.get(dst), bits)),
            Instruction::LoadImm64 { dst, source, value } => self.set(dst, self.program.wide(pc, source, value)),
            Instruction::Load { size, signed, dst, base, offset } => {
                let value = self.load(pc, self.address(base, offset), size)?;
                self.set(dst, if signed { alu::sign_extend(value, size.bytes() as u8 * 8) } else { value });
            }
            Instruction::Store { size, base, offset, src } => {
                self.store(pc, self.address(base, offset), size, self.operand(src))?;
            }
            Instruction::Atomic { size, op, fetch, base, offset, src } => {
                self.atomic(pc, size, op, fetch, self.address(base, offset), src)?;
            }
            Instruction::Jump { offset, .. } => return self.jump(pc, offset).map(Some),
            Instruction::Branch { width, op, dst, src, offset } => {
                if alu::holds(width, op, self.get(dst), self.operand(src)) {
                    return self.jump(pc, offset.into()).map(Some);
                }
            }
            Instruction::Call(CallTarget::Local(offset)) => {
                let callee = self.program.function_at(jump_target(pc, offset));
                return self.call(pc, callee, 0).map(Some);
            }
            Instruction::Call(CallTarget::Register(register)) => return self.call_register(pc, register).map(Some),
            Instruction::Call(CallTarget::Helper(number)) => return self.helper(pc, number).map(Some),
            Instruction::LoadPacket { size, index, imm } => {
                if !self.load_packet(pc, size, index, imm)? {
                    return self.leave();
                }
            }
            Instruction::Exit => return self.leave(),
            Instruction::Call(CallTarget::HelperByBtf(_)) => unreachable!("the verifier refuses {instruction:?}"),
        }
        Ok(Some(pc + instruction.slot_count()))
    }

    fn get(&self, register: Reg) -> u64 {
        self.registers[register.index()]
    }

    fn set(&mut self, register: Reg, value: u64) {
        self.registers[register.index()] = value;
    }

    /// The second operand, an immediate sign-extended to 64 bits.
    fn operand(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Reg(register) => self.get(register),
            Operand::Imm(value) => i64::from(value) as u64,
        }
    }

    /// Only the low 32 bits of a register and the sum count.
    fn address(&self, base: Reg, offset: i16) -> u32 {
        (self.get(base) as u32).wrapping_add_signed(offset.into())
    }

    fn jump(&mut self, pc: usize, offset: i32) -> Result<usize, Trap> {
        let target = jump_target(pc, offset);
        self.charge(pc, jump_cost(pc, target))?;
        Ok(target)
    }

    fn charge(&mut self, pc: usize, amount: u64) -> Result<(), Trap> {
        self.run.fuel.charge(amount).map_err(|_| Trap::OutOfFuel { pc: pc as u32 })
    }

    fn load(&self, pc: usize, address: u32, size: Size) -> Result<u64, Trap> {
        let trap = |address| Trap::Memory { pc: pc as u32, operation: Operation::Load, address };
        self.run.memory.load(address, size).map_err(trap)
    }

    fn store(&mut self, pc: usize, address: u32, size: Size, value: u64) -> Result<(), Trap> {
        let trap = |address| Trap::Memory { pc: pc as u32, operation: Operation::Store, address };
        self.run.memory.store(address, size, value).map_err(trap)
    }

    /// The address must be aligned: not every processor can do without, and the same program behaves the same on all.
    fn atomic(&mut self, pc: usize, size: Size, op: AtomicOp, fetch: bool, address: u32, src: Reg) -> Result<(), Trap> {
        let pc = pc as u32;
        if !address.is_multiple_of(size.bytes()) {
            return Err(Trap::Unaligned { pc, address });
        }
        let width = if size == Size::W { Width::W32 } else { Width::W64 };
        let value = alu::truncate(width, self.get(src));
        let expected = alu::truncate(width, self.get(Reg::R0));
        let new = |old: u64| match op {
            AtomicOp::Add => old.wrapping_add(value),
            AtomicOp::Or => old | value,
            AtomicOp::And => old & value,
            AtomicOp::Xor => old ^ value,
            AtomicOp::Exchange => value,
            AtomicOp::CompareExchange if old == expected => value,
            AtomicOp::CompareExchange => old,
        };
        let trap = |address| Trap::Memory { pc, operation: Operation::Store, address };
        let old = self.run.memory.update(address, size, new).map_err(trap)?;
        match op {
            AtomicOp::CompareExchange => self.set(Reg::R0, old),
            _ if fetch => self.set(src, old),
            _ => {}
        }
        Ok(())
    }
}
