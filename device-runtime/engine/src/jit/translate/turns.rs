//! Loops of one block: the fuel for a turn, or for several, is taken before it, and what was not used is given back on the way out.
//!
//! Loops that count are [`counted`](super::counted)'s. Other short ones are translated several turns at a time; where there is too little fuel for that, the loop goes on
//! one turn at a time, and its jump traps as any other would. Long ones that write nothing ask for fuel where they begin, when few values are in registers: at the end, all
//! they compute would wait for the answer, in registers. (What is written cannot wait.) Either way, fuel and traps are those of any other loop.

use std::collections::BTreeSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use nearside_programs::isa::Instruction;

use super::super::context::TrapKind;
use super::counted::Count;
use super::{Anchors, Translator};
use crate::memory::Operation;
use crate::verify::{Function, Program, jump_cost, jump_target};

/// Most slots that all turns of a loop together may come from: code takes time to make.
const SLOTS_MAX: usize = 64;

/// Most turns at a time; more gain little.
const TURNS_MAX: usize = 8;

/// Fewer gain less than they cost: a long loop's own work is most of it.
const TURNS_MIN: usize = 4;

/// A loop that is one block: it begins at `head` and ends with a branch back there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct OneBlock {
    head: usize,
    branch: usize,
    /// How many are worth translating at once: 1 or several.
    turns: usize,
    /// Whether it writes memory.
    stores: bool,
}

impl OneBlock {
    /// Slots translated beside the loop itself.
    pub(in super::super) fn copied_slots(self) -> usize {
        if self.turns > 1 { (self.branch + 1 - self.head) * self.turns } else { 0 }
    }

    pub(super) fn head(self) -> usize {
        self.head
    }

    pub(super) fn branch(self) -> usize {
        self.branch
    }

    pub(super) fn turns(self) -> usize {
        self.turns
    }

    /// Its instructions but for the branch.
    pub(super) fn body(self, program: &Program) -> impl Iterator<Item = (usize, Instruction)> + '_ {
        let mut pc = self.head;
        std::iter::from_fn(move || {
            let at = pc;
            let instruction = (at < self.branch).then(|| program.instructions[at])?;
            pc += instruction.slot_count();
            Some((at, instruction))
        })
    }

    /// What one way around it costs.
    pub(super) fn cost(self) -> u64 {
        jump_cost(self.branch, self.head)
    }
}

/// The loops of one block in a function, ascending.
pub(in super::super) fn one_block_loops(program: &Program, function: Function) -> Vec<OneBlock> {
    let mut targets = BTreeSet::new();
    for (pc, instruction) in program.body(function) {
        targets.extend(target(pc, instruction));
    }
    let mut loops = Vec::new();
    // Where the block began that the current slot belongs to.
    let mut start = Some(function.start);
    let mut stored = None;
    for (pc, instruction) in program.body(function) {
        if targets.contains(&pc) {
            start = Some(pc);
        }
        match instruction {
            Instruction::Branch { .. } => {
                let back = start.filter(|start| target(pc, instruction) == Some(*start));
                loops.extend(back.map(|head| one_block_loop(head, pc, stored >= Some(head))));
                start = Some(pc + 1);
            }
            Instruction::Store { .. } => stored = Some(pc),
            // Their own ways around and out are enough.
            Instruction::Jump { .. }
            | Instruction::Call(_)
            | Instruction::Exit
            | Instruction::Atomic { .. }
            | Instruction::LoadPacket { .. } => {
                start = None;
            }
            _ => {}
        }
    }
    loops
}

fn one_block_loop(head: usize, branch: usize, stores: bool) -> OneBlock {
    let turns = TURNS_MAX.min(SLOTS_MAX / (branch + 1 - head));
    OneBlock { head, branch, turns: if turns >= TURNS_MIN { turns } else { 1 }, stores }
}

fn target(pc: usize, instruction: Instruction) -> Option<usize> {
    match instruction {
        Instruction::Jump { offset, .. } => Some(jump_target(pc, offset)),
        Instruction::Branch { offset, .. } => Some(jump_target(pc, offset.into())),
        _ => None,
    }
}

impl Translator<'_> {
    /// Where a loop of one block begins.
    pub(super) fn begin_loop(&mut self, one: OneBlock) {
        if let Some(count) = Count::of(self.program, one) {
            self.counted(one, count);
            return;
        }
        if one.turns > 1 {
            self.turns(one);
        } else if self.checks.fuel && !one.stores {
            self.take_turn(one);
        }
    }

    /// Takes the fuel for the jump at the end of the turn that begins here. If that is too little, the turn may still be the last: it goes on with fuel below zero, and a
    /// second time here is what traps. Nothing in the loop looks at the fuel, and [`FUEL_MAX`](super::super::context::FUEL_MAX) keeps other amounts from looking negative.
    fn take_turn(&mut self, one: OneBlock) {
        let [body, short, exhausted] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.set_cold_block(short);
        self.builder.set_cold_block(exhausted);
        let cost = one.cost() as i64;
        let left = self.builder.use_var(self.fuel);
        let left = self.builder.ins().iadd_imm_s(left, -cost);
        self.builder.def_var(self.fuel, left);
        let is_short = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, left, 0);
        self.builder.ins().brif(is_short, short, &[], body, &[]);
        self.switch_to(short);
        // By way of memory, so that what the loop has left comes from two places: else the way out would be given what there was before, in a register.
        let slot = self.builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
        self.builder.ins().stack_store(types::I64, left, slot, 0);
        let left = self.builder.ins().stack_load(types::I64, types::I64, slot, 0);
        self.builder.def_var(self.fuel, left);
        let is_second = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, left, -cost);
        self.builder.ins().brif(is_second, exhausted, &[], body, &[]);
        self.switch_to(exhausted);
        let taken = self.builder.ins().iconst(types::I64, 2 * cost);
        self.trap(TrapKind::OutOfFuel, one.branch, Some(taken));
        self.switch_to(body);
        self.prepaid = Some(one.branch);
    }

    /// Several turns at once, from where the loop begins. What follows is translated for when there is too little fuel for that.
    fn turns(&mut self, one: OneBlock) {
        let (fast, slow) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(slow);
        let all = one.cost() * one.turns as u64;
        self.take_or_else(all, fast, slow);
        self.builder.switch_to_block(fast);
        self.anchors = Anchors::default();
        let leaves = self.blocks[&(one.branch + 1)];
        for turn in 1..=one.turns {
            let stays = self.turn(one);
            let (out, on) = (self.builder.create_block(), self.builder.create_block());
            self.builder.set_cold_block(out);
            self.builder.ins().brif(stays, on, &[], out, &[]);
            self.switch_to(out);
            self.give_back(all - one.cost() * (turn as u64 - 1));
            self.builder.ins().jump(leaves, &[]);
            self.switch_to(on);
        }
        self.take_or_else(all, fast, slow);
        self.builder.seal_block(fast);
        self.switch_to(slow);
        self.give_back(all);
        self.anchors = Anchors::default();
    }

    /// One turn; whether there is another.
    fn turn(&mut self, one: OneBlock) -> Value {
        self.body(one);
        self.mark(one.branch, Operation::Load);
        match self.program.instructions[one.branch] {
            Instruction::Branch { width, op, dst, src, .. } => self.condition(width, op, dst, src),
            other => unreachable!("{other:?} at the end of a loop"),
        }
    }

    /// One turn but for its branch.
    pub(super) fn body(&mut self, one: OneBlock) {
        for (pc, instruction) in one.body(self.program) {
            self.mark(pc, Operation::Load);
            self.instruction(pc, instruction);
        }
    }
}
