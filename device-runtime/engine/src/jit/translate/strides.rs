//! Pointers of a loop of one block, kept as the processor's addresses.
//!
//! A register that such a loop uses for nothing but to address memory, and moves by constants, is carried around it as the address of the processor's: window and
//! 32 bits need not be put together in every turn. The register itself is a constant away from that, and gets its value back where the loop is left.
//!
//! Addresses of the cage wrap after 32 bits, the processor's do not, and still they are the same for whoever gets that far: each access of the loop is made in every
//! turn, its address moves less than a guard from one turn to the next, and nothing is mapped where it would have wrapped. It faults in the guard, as the other would.

use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use cranelift_frontend::Variable;
use nearside_programs::isa::{AluOp, Instruction, Operand, Reg, Width};

use super::turns::OneBlock;
use super::{ANCHOR_OFFSET_MAX, Translator};
use crate::verify::Program;

/// By register, inside the loop: its address.
pub(super) type Strides = [Option<Stride>; 11];

#[derive(Clone, Copy)]
pub(super) struct Stride {
    /// Where the processor finds what the register names.
    pointer: Variable,
    /// The register less that.
    difference: Value,
}

/// The loop whose turns begin here.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// The branch at its end.
    branch: usize,
    /// Where that goes.
    turn: Block,
}

impl Translator<'_> {
    /// Computes the addresses, where a loop of one block is entered.
    pub(super) fn begin_strides(&mut self, one: OneBlock) {
        if !self.checks.cage {
            return;
        }
        for register in striding(self.program, one) {
            let value = self.get(Width::W64, register);
            let native = self.native_of(value);
            let pointer = self.builder.declare_var(types::I64);
            self.builder.def_var(pointer, native);
            let difference = self.builder.ins().isub(value, native);
            self.strides[register.index()] = Some(Stride { pointer, difference });
        }
        if self.strides.iter().any(Option::is_some) {
            let turn = self.builder.create_block();
            self.builder.ins().jump(turn, &[]);
            self.builder.switch_to_block(turn);
            self.around = Some(Around { branch: one.branch(), turn });
        }
    }

    /// Moves a register's address, if it has one.
    pub(super) fn stride(&mut self, op: AluOp, register: Reg, src: Operand) -> bool {
        let (Some(Stride { pointer, .. }), Some(step)) = (self.strides[register.index()], step(op, src)) else { return false };
        let address = self.builder.use_var(pointer);
        let address = self.builder.ins().iadd_imm_s(address, i64::from(step));
        self.builder.def_var(pointer, address);
        true
    }

    /// A register's address, if it has one.
    pub(super) fn pointer(&mut self, register: Reg) -> Option<Value> {
        self.strides[register.index()].map(|stride| self.builder.use_var(stride.pointer))
    }

    /// Where a branch back to this block goes.
    pub(super) fn back_to(&self, pc: usize, head: Block) -> Block {
        self.around.filter(|around| around.branch == pc).map_or(head, |around| around.turn)
    }

    /// Whether registers get their values where this branch is not taken.
    pub(super) fn ends_strides(&self, pc: usize) -> bool {
        self.around.is_some_and(|around| around.branch == pc)
    }

    /// On the way out of the loop.
    pub(super) fn end_strides(&mut self) {
        for (register, stride) in std::mem::take(&mut self.strides).into_iter().enumerate() {
            if let Some(Stride { pointer, difference }) = stride {
                let address = self.builder.use_var(pointer);
                let value = self.builder.ins().iadd(address, difference);
                self.builder.def_var(self.registers[register], value);
            }
        }
        self.around = None;
    }
}

/// Registers that a loop only moves, and addresses memory with.
fn striding(program: &Program, one: OneBlock) -> impl Iterator<Item = Reg> {
    // By register: how far it is from where the turn began; `None` if it is used for something else.
    let mut moved = [Some(0_i32); 11];
    let (mut steps, mut addresses) = ([false; 11], [false; 11]);
    let mut pc = one.head();
    while pc <= one.branch() {
        let instruction = program.instructions[pc];
        pc += instruction.slot_count();
        let mut other = |register: Reg| moved[register.index()] = None;
        match instruction {
            Instruction::Alu { width, op, dst, src } => {
                let by = step(op, src).filter(|_| width == Width::W64);
                let place = &mut moved[dst.index()];
                *place = place
                    .zip(by)
                    .and_then(|(place, by)| place.checked_add(by))
                    .filter(|far| far.unsigned_abs() <= ANCHOR_OFFSET_MAX);
                steps[dst.index()] = true;
                if let Operand::Reg(src) = src {
                    moved[src.index()] = None;
                }
            }
            Instruction::Load { dst, base, .. } => {
                addresses[base.index()] = true;
                other(dst);
            }
            Instruction::Store { base, src, .. } => {
                addresses[base.index()] = true;
                if let Operand::Reg(src) = src {
                    other(src);
                }
            }
            Instruction::Branch { dst, src, .. } => {
                other(dst);
                if let Operand::Reg(src) = src {
                    other(src);
                }
            }
            Instruction::Neg { dst, .. } | Instruction::Endian { dst, .. } | Instruction::LoadImm64 { dst, .. } => other(dst),
            Instruction::MoveSigned { dst, src, .. } => {
                other(dst);
                other(src);
            }
            // None of these is inside a block.
            Instruction::Atomic { .. }
            | Instruction::Jump { .. }
            | Instruction::Call(_)
            | Instruction::LoadPacket { .. }
            | Instruction::Exit => return Vec::new().into_iter(),
        }
    }
    let wanted = |register: &Reg| steps[register.index()] && addresses[register.index()] && moved[register.index()].is_some();
    (0..10).filter_map(Reg::new_checked).filter(wanted).collect::<Vec<_>>().into_iter()
}

/// How far an operation moves a register, if it does nothing else.
fn step(op: AluOp, src: Operand) -> Option<i32> {
    match (op, src) {
        (AluOp::Add, Operand::Imm(step)) => Some(step),
        (AluOp::Sub, Operand::Imm(step)) => step.checked_neg(),
        _ => None,
    }
}
