//! Arithmetic, conversions and conditions.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Type, Value, types};
use nearside_programs::isa::{AluOp, ByteOrder, JumpOp, Operand, Reg, WideSource, Width};

use super::{ANCHOR_OFFSET_MAX, Anchor, Translator};

/// How a value came about.
#[derive(Clone, Copy)]
struct Shift {
    is_left: bool,
    from: Value,
    count: i64,
    /// Bits of what was shifted.
    width: u32,
}

impl Shift {
    /// Whether one is to the left by as many bits as the other leaves when it is to the right. A value beside itself is not: that is a rotation, which is fast.
    fn is_apart_from(self, other: Self) -> bool {
        let is_complement = self.width == other.width && self.count + other.count == i64::from(self.width) && self.count > 0;
        self.is_left != other.is_left && self.from != other.from && is_complement && other.count > 0
    }
}

impl Translator<'_> {
    pub(super) fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        if self.stride(op, dst, src) {
            return;
        }
        let anchor = self.stepped(width, op, dst, src);
        let b = self.operand(width, src);
        // Looking at a register that is only written would carry it around loops.
        let a = if op == AluOp::Mov { b } else { self.get(width, dst) };
        let result = match op {
            AluOp::Add => self.builder.ins().iadd(a, b),
            AluOp::Sub => self.builder.ins().isub(a, b),
            AluOp::Mul => self.builder.ins().imul(a, b),
            AluOp::Or => self.or(a, b),
            AluOp::And => self.builder.ins().band(a, b),
            AluOp::Xor => self.builder.ins().bxor(a, b),
            AluOp::Mov => b,
            // Counts are taken modulo the width, as in BPF.
            AluOp::Lsh => self.builder.ins().ishl(a, b),
            AluOp::Rsh => self.builder.ins().ushr(a, b),
            AluOp::Arsh => self.builder.ins().sshr(a, b),
            AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod => match src {
                Operand::Imm(divisor) => self.divide_by_constant(op, a, b, divisor),
                Operand::Reg(_) => self.divide(op, a, b),
            },
        };
        self.set(dst, result);
        self.anchors[dst.index()] = anchor;
    }

    /// Where `a` and `b` are two values, shifted apart so that no bit is in both, `or` is `xor`: of the one the code generator makes a double shift,
    /// which takes longer than all three (on AMD's processors six micro-operations).
    fn or(&mut self, a: Value, b: Value) -> Value {
        match (self.shift(a), self.shift(b)) {
            (Some(a_shift), Some(b_shift)) if a_shift.is_apart_from(b_shift) => self.builder.ins().bxor(a, b),
            _ => self.builder.ins().bor(a, b),
        }
    }

    /// What a value was shifted from, if it was, by a constant.
    fn shift(&self, value: Value) -> Option<Shift> {
        let dfg = &self.builder.func.dfg;
        let inst = dfg.value_def(self.register(value)).inst()?;
        let (opcode @ (Opcode::Ishl | Opcode::Ushr), &[from, count]) = (dfg.insts[inst].opcode(), dfg.inst_args(inst)) else {
            return None;
        };
        let count = dfg.value_def(dfg.resolve_aliases(count)).inst()?;
        let InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } = dfg.insts[count] else { return None };
        let width = dfg.value_type(from).bits();
        Some(Shift { is_left: opcode == Opcode::Ishl, from: self.register(from), count: imm.bits(), width })
    }

    /// The value that was made narrower or wider, as each instruction of 32 bits does with what it takes from a register and leaves in one.
    fn register(&self, value: Value) -> Value {
        let dfg = &self.builder.func.dfg;
        let mut value = dfg.resolve_aliases(value);
        while let Some(inst) = dfg.value_def(value).inst()
            && matches!(dfg.insts[inst].opcode(), Opcode::Ireduce | Opcode::Uextend)
        {
            value = dfg.resolve_aliases(dfg.inst_args(inst)[0]);
        }
        value
    }

    /// The anchor of `dst` afterwards, if it is moved a step from one.
    fn stepped(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Option<Anchor> {
        let (from, step) = match (width, op, src) {
            (Width::W64, AluOp::Add, Operand::Imm(step)) => (dst, step),
            (Width::W64, AluOp::Sub, Operand::Imm(step)) => (dst, step.checked_neg()?),
            (Width::W64, AluOp::Mov, Operand::Reg(src)) => (src, 0),
            _ => return None,
        };
        let Anchor { value, offset } = self.anchor(from);
        let offset = offset.checked_add(step).filter(|offset| offset.unsigned_abs() <= ANCHOR_OFFSET_MAX)?;
        Some(Anchor { value, offset })
    }

    fn divide_by_constant(&mut self, op: AluOp, a: Value, b: Value, divisor: i32) -> Value {
        let zero = self.zero_like(a);
        match (op, divisor) {
            (AluOp::Div | AluOp::SDiv, 0) | (AluOp::SMod, -1) => zero,
            (AluOp::Mod | AluOp::SMod, 0) => a,
            (AluOp::SDiv, -1) => self.builder.ins().ineg(a),
            _ => self.divide_checked(op, a, b),
        }
    }

    /// Neither 0 nor, for signed operations, -1 reaches the processor's instruction.
    fn divide(&mut self, op: AluOp, a: Value, b: Value) -> Value {
        let (zero, one) = (self.zero_like(a), self.constant_like(a, 1));
        let by_zero = self.builder.ins().icmp(IntCC::Equal, b, zero);
        let at_zero = if matches!(op, AluOp::Div | AluOp::SDiv) { zero } else { a };
        if matches!(op, AluOp::Div | AluOp::Mod) {
            let divisor = self.builder.ins().select(by_zero, one, b);
            let result = self.divide_checked(op, a, divisor);
            return self.builder.ins().select(by_zero, at_zero, result);
        }
        let minus_one = self.builder.ins().bnot(zero);
        let by_minus_one = self.builder.ins().icmp(IntCC::Equal, b, minus_one);
        let special = self.builder.ins().bor(by_zero, by_minus_one);
        let divisor = self.builder.ins().select(special, one, b);
        let result = self.divide_checked(op, a, divisor);
        let at_minus_one = if op == AluOp::SDiv { self.builder.ins().ineg(a) } else { zero };
        let result = self.builder.ins().select(by_minus_one, at_minus_one, result);
        self.builder.ins().select(by_zero, at_zero, result)
    }

    /// By a divisor that is known to be fine.
    fn divide_checked(&mut self, op: AluOp, a: Value, b: Value) -> Value {
        match op {
            AluOp::SDiv => self.builder.ins().sdiv(a, b),
            AluOp::SMod => self.builder.ins().srem(a, b),
            AluOp::Mod => self.builder.ins().urem(a, b),
            _ => self.builder.ins().udiv(a, b),
        }
    }

    fn zero_like(&mut self, value: Value) -> Value {
        self.constant_like(value, 0)
    }

    fn constant_like(&mut self, value: Value, constant: i64) -> Value {
        let value_type = self.builder.func.dfg.value_type(value);
        self.builder.ins().iconst(value_type, constant)
    }

    pub(super) fn move_signed(&mut self, width: Width, dst: Reg, src: Reg, bits: u8) {
        let value = self.get(Width::W64, src);
        let value = self.builder.ins().ireduce(integer(bits), value);
        let wide = if width == Width::W32 { types::I32 } else { types::I64 };
        let value = self.builder.ins().sextend(wide, value);
        self.set(dst, value);
    }

    pub(super) fn endian(&mut self, order: ByteOrder, dst: Reg, bits: u8) {
        let mut value = self.get(Width::W64, dst);
        if bits < 64 {
            value = self.builder.ins().ireduce(integer(bits), value);
        }
        if order != ByteOrder::Little {
            value = self.builder.ins().bswap(value);
        }
        self.set(dst, value);
    }

    pub(super) fn load_immediate(&mut self, pc: usize, dst: Reg, source: WideSource, value: u64) {
        let value = self.program.wide(pc, source, value);
        let value = self.builder.ins().iconst(types::I64, value.cast_signed());
        self.set(dst, value);
    }

    /// Not 0 if the branch is taken.
    pub(super) fn condition(&mut self, width: Width, op: JumpOp, dst: Reg, src: Operand) -> Value {
        let (a, b) = (self.get(width, dst), self.operand(width, src));
        let code = match op {
            JumpOp::Set => return self.builder.ins().band(a, b),
            JumpOp::Eq => IntCC::Equal,
            JumpOp::Ne => IntCC::NotEqual,
            JumpOp::Gt => IntCC::UnsignedGreaterThan,
            JumpOp::Ge => IntCC::UnsignedGreaterThanOrEqual,
            JumpOp::Lt => IntCC::UnsignedLessThan,
            JumpOp::Le => IntCC::UnsignedLessThanOrEqual,
            JumpOp::SGt => IntCC::SignedGreaterThan,
            JumpOp::SGe => IntCC::SignedGreaterThanOrEqual,
            JumpOp::SLt => IntCC::SignedLessThan,
            JumpOp::SLe => IntCC::SignedLessThanOrEqual,
        };
        self.builder.ins().icmp(code, a, b)
    }
}

fn integer(bits: u8) -> Type {
    match bits {
        8 => types::I8,
        16 => types::I16,
        32 => types::I32,
        _ => types::I64,
    }
}
