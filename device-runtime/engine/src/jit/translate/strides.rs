//! Registers that a loop of one block that counts only moves, by constants.
//!
//! In the loop there is no such register: where it is left, it has moved as often as there were turns. If the loop addresses memory with it, what is carried around the
//! loop is the address of the processor's: window and 32 bits need not be put together in every turn.
//!
//! Addresses of the cage wrap after 32 bits, the processor's do not, and still they are the same for whoever gets that far: each access of the loop is made in every
//! turn, its address moves less than a guard from one turn to the next, and nothing is mapped where it would have wrapped. It faults in the guard, as the other would.
//! A processor that guesses wrongly that there is another turn would have to guess hundreds of them to get through the guard: [`STRIDE_MAX`].

use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;
use nearside_programs::isa::{AluOp, Instruction, Operand, Reg, Width};

use super::Translator;
use super::turns::OneBlock;
use crate::verify::Program;

/// Bytes that an address moves in a turn at most. On a wrong path nothing retires, and every turn keeps a place in the queue of loads or of stores: Golden Cove has 192 and
/// 114 (Intel's optimization manual). With an offset of 32 KiB a guard of 64 KiB is 511 turns wide.
const STRIDE_MAX: u32 = 64;

/// By register, what stands for it in the loop.
pub(super) type InLoop = [Option<Standing>; 11];

#[derive(Clone, Copy)]
pub(super) enum Standing {
    /// Where the processor finds what it names.
    Address(Variable),
    /// Nothing looks at it.
    Nothing,
}

/// A register, and how far it moves in a turn.
#[derive(Clone, Copy)]
pub(super) struct Stride {
    register: Reg,
    step: i32,
    is_address: bool,
}

impl Translator<'_> {
    /// Computes the addresses, where a loop is entered.
    pub(super) fn begin_strides(&mut self, one: OneBlock) -> Vec<Stride> {
        let strides = strides(self.program, one);
        for Stride { register, is_address, .. } in &strides {
            let standing = if *is_address {
                let value = self.get(Width::W64, *register);
                let native = self.native_of(value);
                let address = self.builder.declare_var(types::I64);
                self.builder.def_var(address, native);
                Standing::Address(address)
            } else {
                Standing::Nothing
            };
            self.in_loop[register.index()] = Some(standing);
        }
        strides
    }

    /// Moves what stands for a register, if anything does.
    pub(super) fn stride(&mut self, op: AluOp, register: Reg, src: Operand) -> bool {
        let (Some(standing), Some(step)) = (self.in_loop[register.index()], step(op, src)) else { return false };
        if let Standing::Address(address) = standing {
            let value = self.builder.use_var(address);
            let value = self.builder.ins().iadd_imm_s(value, i64::from(step));
            self.builder.def_var(address, value);
        }
        true
    }

    /// A register's address, if that stands for it.
    pub(super) fn pointer(&mut self, register: Reg) -> Option<Value> {
        match self.in_loop[register.index()]? {
            Standing::Address(address) => Some(self.builder.use_var(address)),
            Standing::Nothing => None,
        }
    }

    /// Moves the registers themselves, after so many turns. Not by their addresses: all that needs those is to be in the loop.
    pub(super) fn end_strides(&mut self, strides: &[Stride], turns: Value) {
        for Stride { register, step, .. } in strides {
            let way = self.builder.ins().imul_imm_s(turns, i64::from(*step));
            let value = self.get(Width::W64, *register);
            let value = self.builder.ins().iadd(value, way);
            self.set(*register, value);
            self.in_loop[register.index()] = None;
        }
    }
}

/// Registers that a loop only moves, and may address memory with, and count by.
fn strides(program: &Program, one: OneBlock) -> Vec<Stride> {
    // By register: how far it is from where the turn began; `None` if it is used for something else.
    let mut moved = [Some(0_i32); 11];
    // How far it gets on the way.
    let mut reaches = [0_u32; 11];
    let (mut steps, mut addresses) = ([false; 11], [false; 11]);
    for (_, instruction) in one.body(program) {
        let mut other = |operand: Operand| {
            if let Operand::Reg(register) = operand {
                moved[register.index()] = None;
            }
        };
        match instruction {
            Instruction::Alu { width, op, dst, src } => {
                other(src);
                let by = step(op, src).filter(|_| width == Width::W64);
                let place = &mut moved[dst.index()];
                *place = place.zip(by).and_then(|(place, by)| place.checked_add(by));
                reaches[dst.index()] = reaches[dst.index()].max(place.unwrap_or(0).unsigned_abs());
                steps[dst.index()] = true;
            }
            Instruction::Load { dst, base, .. } => {
                addresses[base.index()] = true;
                other(Operand::Reg(dst));
            }
            Instruction::Store { base, src, .. } => {
                addresses[base.index()] = true;
                other(src);
            }
            Instruction::Neg { dst, .. } | Instruction::Endian { dst, .. } | Instruction::LoadImm64 { dst, .. } => {
                other(Operand::Reg(dst));
            }
            Instruction::MoveSigned { dst, src, .. } => {
                other(Operand::Reg(dst));
                other(Operand::Reg(src));
            }
            // None of these is inside a block.
            Instruction::Atomic { .. }
            | Instruction::Branch { .. }
            | Instruction::Jump { .. }
            | Instruction::Call(_)
            | Instruction::LoadPacket { .. }
            | Instruction::Exit => return Vec::new(),
        }
    }
    let stride = |register: Reg| {
        let is_address = addresses[register.index()];
        let step = moved[register.index()].filter(|_| steps[register.index()])?;
        let is_near = !is_address || reaches[register.index()] <= STRIDE_MAX;
        is_near.then_some(Stride { register, step, is_address })
    };
    (0..10).filter_map(Reg::new_checked).filter_map(stride).collect()
}

/// How far an operation moves a register, if it does nothing else.
pub(super) fn step(op: AluOp, src: Operand) -> Option<i32> {
    match (op, src) {
        (AluOp::Add, Operand::Imm(step)) => Some(step),
        (AluOp::Sub, Operand::Imm(step)) => step.checked_neg(),
        _ => None,
    }
}
