//! Loops of one block that count: a register moves by a constant until it is at its end, and nothing else ends them.
//!
//! How many turns there are is known where such a loop is entered, and how many the fuel is enough for. It makes as many as both allow, takes the fuel for all of them at
//! once, and asks nothing in a turn but whether it was the last. If that was not the program's last one, the next jump is what there is too little fuel for.

use cranelift_codegen::ir::{Block, InstBuilder, StackSlotData, StackSlotKind, Value, types};
use cranelift_frontend::Variable;
use nearside_programs::isa::{Instruction, JumpOp, Operand, Reg, Width};

use super::super::context::TrapKind;
use super::turns::OneBlock;
use super::{Anchors, Translator, strides};
use crate::verify::{Program, written};

/// What ends a loop that counts.
#[derive(Clone, Copy)]
pub(super) struct Count {
    width: Width,
    register: Reg,
    end: Operand,
    /// In a turn: a power of two, up or down.
    step: i32,
}

impl Count {
    /// `None` if the loop does not count.
    pub(super) fn of(program: &Program, one: OneBlock) -> Option<Self> {
        let Instruction::Branch { width, op: JumpOp::Ne, dst: register, src: end, .. } = program.instructions[one.branch()]
        else {
            return None;
        };
        if end == Operand::Reg(register) {
            return None;
        }
        let mut step = 0_i32;
        for (_, instruction) in one.body(program) {
            match (written(&instruction), instruction) {
                (Some(dst), Instruction::Alu { width: by, op, src, .. }) if dst == register => {
                    // The low half moves alike in both widths.
                    let moves = width == Width::W32 || by == Width::W64;
                    step = step.checked_add(strides::step(op, src).filter(|_| moves)?)?;
                }
                (Some(dst), _) if dst == register || end == Operand::Reg(dst) => return None,
                _ => {}
            }
        }
        step.unsigned_abs().is_power_of_two().then_some(Self { width, register, end, step })
    }
}

impl Translator<'_> {
    /// Translates the whole loop, from where it is entered.
    pub(super) fn counted(&mut self, one: OneBlock, count: Count) {
        let turns = self.turns_to_make(one, count);
        let strides = self.begin_strides(one);
        let end = self.builder.create_block();
        if one.turns() > 1 {
            self.several_at_once(one, turns, end);
        } else {
            self.repeat(one, 1, turns, end);
        }
        self.switch_to(end);
        self.end_strides(&strides, turns);
        let next = self.blocks[&(one.branch() + 1)];
        let Count { width, register, end, .. } = count;
        if self.checks.fuel {
            let is_short = self.condition(width, JumpOp::Ne, register, end);
            let short = self.builder.create_block();
            self.builder.set_cold_block(short);
            self.builder.ins().brif(is_short, short, &[], next, &[]);
            self.switch_to(short);
            self.trap(TrapKind::OutOfFuel, one.branch(), None);
        } else {
            self.builder.ins().jump(next, &[]);
        }
        self.reachable = false;
    }

    /// Takes the fuel for the jumps between the turns there are, or that it is enough for. How many turns those are: one at least.
    fn turns_to_make(&mut self, one: OneBlock, count: Count) -> Value {
        let mut jumps = self.jumps_to_make(count);
        if self.checks.fuel {
            let cost = one.cost() as i64;
            let left = self.builder.use_var(self.fuel);
            let affordable = self.builder.ins().udiv_imm_u(left, cost);
            jumps = self.builder.ins().umin(jumps, affordable);
            let taken = self.builder.ins().imul_imm_s(jumps, cost);
            let left = self.builder.ins().isub(left, taken);
            // By way of memory, so that it is computed here: else all that it comes from would wait for the end of the loop, in registers.
            let slot = self.builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
            self.builder.ins().stack_store(types::I64, left, slot, 0);
            let left = self.builder.ins().stack_load(types::I64, types::I64, slot, 0);
            self.builder.def_var(self.fuel, left);
        }
        self.builder.ins().iadd_imm_s(jumps, 1)
    }

    /// How often the program jumps back; more than any fuel is enough for if the register is never at its end.
    fn jumps_to_make(&mut self, count: Count) -> Value {
        let Count { width, register, end, step } = count;
        let (value, end) = (self.get(width, register), self.operand(width, end));
        let way = if step > 0 { self.builder.ins().isub(end, value) } else { self.builder.ins().isub(value, end) };
        let step = i64::from(step.unsigned_abs());
        // If it begins at its end, it is there again once it was everywhere else.
        let way_back = self.builder.ins().iadd_imm_s(way, -step);
        let jumps = self.builder.ins().ushr_imm_u(way_back, i64::from(step.ilog2()));
        let jumps = if width == Width::W32 { self.builder.ins().uextend(types::I64, jumps) } else { jumps };
        if step == 1 {
            return jumps;
        }
        let beside = self.builder.ins().band_imm_u(way, step - 1);
        let never = self.builder.ins().iconst(types::I64, -1);
        self.builder.ins().select(beside, never, jumps)
    }

    /// Makes turns several at a time, and those that are left over one by one.
    fn several_at_once(&mut self, one: OneBlock, turns: Value, end: Block) {
        let at_once = one.turns().ilog2();
        let [fast, rest, single] = std::array::from_fn(|_| self.builder.create_block());
        let times = self.builder.ins().ushr_imm_u(turns, i64::from(at_once));
        self.builder.ins().brif(times, fast, &[], rest, &[]);
        self.switch_to(fast);
        self.repeat(one, 1 << at_once, times, rest);
        self.switch_to(rest);
        let left = self.builder.ins().band_imm_u(turns, (1 << at_once) - 1);
        self.builder.ins().brif(left, single, &[], end, &[]);
        self.switch_to(single);
        self.repeat(one, 1, left, end);
    }

    /// Makes so many turns, so many times: once at least.
    fn repeat(&mut self, one: OneBlock, turns: usize, times: Value, end: Block) {
        let left: Variable = self.builder.declare_var(types::I64);
        self.builder.def_var(left, times);
        let again = self.builder.create_block();
        self.builder.ins().jump(again, &[]);
        self.builder.switch_to_block(again);
        self.anchors = Anchors::default();
        for _ in 0..turns {
            self.body(one);
        }
        let value = self.builder.use_var(left);
        let value = self.builder.ins().iadd_imm_s(value, -1);
        self.builder.def_var(left, value);
        self.builder.ins().brif(value, again, &[], end, &[]);
        self.builder.seal_block(again);
    }
}
