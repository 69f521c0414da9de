//! Writes a function's instructions with the registers chosen for its values.

use std::collections::HashMap;

use nearside_programs::isa::{AluOp, Instruction, Operand, Reg, Size, Width};
use nearside_programs::{Builder, Label};

use super::allocate::{Home, Homes};
use super::machine::{Argument, Mark, Op, Source, Value};

/// Carries what an instruction assigns, or its first operand, when that lives on the stack.
const FIRST: Reg = Reg::R0;
/// Carries the second operand.
const SECOND: Reg = Reg::R5;

/// Those of a call; the last is [`SECOND`], which nothing lives in and no argument's move needs.
const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

/// Appends the function `name` to `builder`, its values in the homes chosen for them.
pub(super) fn write(builder: &mut Builder, name: &str, code: &[Op], homes: Homes) {
    builder.function(name);
    let mut writer = Writer { builder, homes, labels: HashMap::new() };
    code.iter().for_each(|op| writer.op(op));
}

struct Writer<'a> {
    builder: &'a mut Builder,
    homes: Homes,
    labels: HashMap<Mark, Label>,
}

impl Writer<'_> {
    fn op(&mut self, op: &Op) {
        match op {
            Op::Entry { dst } => self.define(*dst, |b, register| {
                move_register(b, register, Reg::R1);
            }),
            Op::Move { dst, src } => self.copy(*dst, *src),
            Op::Constant { dst, value } => self.define(*dst, |b, register| {
                b.constant(register, *value);
            }),
            Op::Binary { op, width, dst, left, right } => self.binary(*op, *width, *dst, *left, *right),
            Op::Negate { dst, src } => {
                let src = self.read(*src, FIRST);
                self.define(*dst, |b, register| {
                    move_register(b, register, src);
                    b.neg(register);
                });
            }
            Op::SignExtend { dst, src, bits } => {
                let src = self.read(*src, FIRST);
                self.define(*dst, |b, register| {
                    b.mov_signed(*bits, register, src);
                });
            }
            Op::Load { size, signed, dst, base, offset } => {
                let base = self.read(*base, FIRST);
                self.define(*dst, |b, register| {
                    b.emit(Instruction::Load { size: *size, signed: *signed, dst: register, base, offset: *offset });
                });
            }
            Op::Store { size, base, offset, src } => {
                let base = self.read(*base, FIRST);
                let src = self.operand(*src, SECOND);
                self.builder.store(*size, base, *offset, src);
            }
            Op::FrameLoad { dst, offset } => self.define(*dst, |b, register| {
                b.load(Size::D, register, Reg::R10, *offset);
            }),
            Op::FrameStore { offset, src } => {
                let src = self.read(*src, FIRST);
                self.builder.store(Size::D, Reg::R10, *offset, src);
            }
            Op::Call { helper, arguments, dst } => self.call(*helper, arguments, *dst),
            Op::Bind(mark) => {
                let label = self.label(*mark);
                self.builder.bind(label);
            }
            Op::Branch { op, left, right, target } => {
                let left = self.read(*left, FIRST);
                let right = self.operand(*right, SECOND);
                let label = self.label(*target);
                self.builder.branch(*op, left, right, label);
            }
            Op::Return { src } => {
                match self.operand(*src, FIRST) {
                    Operand::Reg(register) => move_register(self.builder, Reg::R0, register),
                    Operand::Imm(imm) => {
                        self.builder.mov(Reg::R0, imm);
                    }
                }
                self.builder.exit();
            }
            Op::Note(text) => {
                self.builder.note(text.as_str());
            }
        }
    }

    fn copy(&mut self, dst: Value, src: Source) {
        let src = self.operand(src, FIRST);
        match self.homes.of(dst) {
            Home::Stack(offset) => {
                self.builder.store(Size::D, Reg::R10, offset, src);
            }
            Home::Register(register) => {
                if src != Operand::Reg(register) {
                    self.builder.mov(register, src);
                }
            }
        }
    }

    /// Two operands out of three: the left one is moved to where the result goes, unless the right one lives there.
    fn binary(&mut self, op: AluOp, width: Width, dst: Value, left: Value, right: Source) {
        let target = match self.homes.of(dst) {
            Home::Register(register) => register,
            Home::Stack(_) => FIRST,
        };
        let (mut left, mut right) = (Source::Value(left), right);
        let is_target = |source: Source| matches!(source, Source::Value(value) if self.homes.of(value) == Home::Register(target));
        if is_target(right) && !is_target(left) && commutes(op) {
            (left, right) = (right, left);
        }
        let mut second = self.operand(right, SECOND);
        if second == Operand::Reg(target) && left != right {
            self.builder.mov(SECOND, second);
            second = Operand::Reg(SECOND);
        }
        match left {
            Source::Value(left) => {
                let register = self.read(left, target);
                move_register(self.builder, target, register);
            }
            Source::Imm(imm) => {
                self.builder.mov(target, imm);
            }
        }
        self.builder.emit(Instruction::Alu { width, op, dst: target, src: second });
        self.keep(dst, target);
    }

    fn call(&mut self, helper: u32, arguments: &[Argument], dst: Option<Value>) {
        debug_assert!(arguments.len() <= ARGUMENTS.len(), "a helper has at most five arguments");
        let placed = || ARGUMENTS.into_iter().zip(arguments.iter().copied());
        let mut moves = Vec::new();
        for (register, argument) in placed() {
            if let Argument::Source(Source::Value(value)) = argument
                && let Home::Register(from) = self.homes.of(value)
            {
                moves.push((register, from));
            }
        }
        self.move_together(moves);
        for (register, argument) in placed() {
            match argument {
                Argument::Frame(offset) => {
                    self.builder.mov(register, Reg::R10).add(register, i32::from(offset));
                }
                Argument::Source(Source::Imm(imm)) => {
                    self.builder.mov(register, imm);
                }
                Argument::Source(Source::Value(value)) => {
                    if matches!(self.homes.of(value), Home::Stack(_)) {
                        self.read(value, register);
                    }
                }
            }
        }
        self.builder.call_helper(helper);
        if let Some(dst) = dst {
            self.define(dst, |b, register| move_register(b, register, Reg::R0));
        }
    }

    /// Moves between registers as if all at once.
    fn move_together(&mut self, mut moves: Vec<(Reg, Reg)>) {
        moves.retain(|(to, from)| to != from);
        while let Some(&(first_to, _)) = moves.first() {
            let ready = moves.iter().position(|(to, _)| moves.iter().all(|(_, from)| from != to));
            match ready {
                Some(index) => {
                    let (to, from) = moves.swap_remove(index);
                    self.builder.mov(to, from);
                }
                None => {
                    // A cycle: what would be overwritten first waits aside.
                    self.builder.mov(FIRST, first_to);
                    moves.iter_mut().filter(|(_, from)| *from == first_to).for_each(|(_, from)| *from = FIRST);
                }
            }
        }
    }

    /// The register that holds a value: its home, or `carrier`, loaded from the stack.
    fn read(&mut self, value: Value, carrier: Reg) -> Reg {
        match self.homes.of(value) {
            Home::Register(register) => register,
            Home::Stack(offset) => {
                self.builder.load(Size::D, carrier, Reg::R10, offset);
                carrier
            }
        }
    }

    fn operand(&mut self, source: Source, carrier: Reg) -> Operand {
        match source {
            Source::Value(value) => Operand::Reg(self.read(value, carrier)),
            Source::Imm(imm) => Operand::Imm(imm),
        }
    }

    /// Writes what computes a value into its home, or into a carrier that is then stored.
    fn define(&mut self, value: Value, compute: impl FnOnce(&mut Builder, Reg)) {
        let register = match self.homes.of(value) {
            Home::Register(register) => register,
            Home::Stack(_) => FIRST,
        };
        compute(self.builder, register);
        self.keep(value, register);
    }

    fn keep(&mut self, value: Value, register: Reg) {
        if let Home::Stack(offset) = self.homes.of(value) {
            self.builder.store(Size::D, Reg::R10, offset, register);
        }
    }

    fn label(&mut self, mark: Mark) -> Label {
        *self.labels.entry(mark).or_insert_with(|| self.builder.label())
    }
}

fn move_register(builder: &mut Builder, to: Reg, from: Reg) {
    if to != from {
        builder.mov(to, from);
    }
}

fn commutes(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor)
}
