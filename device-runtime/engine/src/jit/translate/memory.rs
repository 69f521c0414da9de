//! Loads, stores, atomic operations: unchecked, since the cage holds whatever 32 bits can name.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Opcode, Value, types};
use nearside_programs::isa::{AtomicOp, Operand, Reg, Size, Width};

use super::super::context::TrapKind;
use super::Translator;
use crate::memory::Operation;

/// An access of the cage: of any alignment, and it may fault.
const CAGE: MemFlagsData = MemFlagsData::new();

impl Translator<'_> {
    /// Cage address, in 32 bits: register and offset wrap around. Without a cage, an address of the processor's.
    pub(super) fn address(&mut self, base: Reg, offset: i16) -> Value {
        if !self.checks.cage {
            let address = self.get(Width::W64, base);
            return self.builder.ins().iadd_imm_s(address, i64::from(offset));
        }
        let low = self.get(Width::W32, base);
        self.builder.ins().iadd_imm_s(low, i64::from(offset))
    }

    /// Where the processor finds a cage address.
    fn native(&mut self, address: Value) -> Value {
        if !self.checks.cage {
            return address;
        }
        let address = self.builder.ins().uextend(types::I64, address);
        self.builder.ins().iadd(self.base, address)
    }

    /// Where the processor finds what a register and an offset name, and what it has to add to that.
    ///
    /// It adds that beyond 32 bits, into the guards at most. Where it should have wrapped, nothing is mapped, either, and the low 32 bits of the address
    /// that faults are those of the one that would have.
    fn place(&mut self, base: Reg, offset: i16) -> (Value, i32) {
        if let Some(pointer) = self.pointer(base) {
            return (pointer, offset.into());
        }
        let anchor = self.anchor(base);
        let (value, offset) = match i16::try_from(anchor.offset + i32::from(offset)) {
            Ok(offset) => (anchor.value, offset),
            Err(_) => (self.get(Width::W64, base), offset),
        };
        (self.native_of(value), offset.into())
    }

    /// Where the processor finds what the low half of a register's value names.
    pub(super) fn native_of(&mut self, value: Value) -> Value {
        if !self.checks.cage {
            return value;
        }
        let low = self.low_half(value);
        self.native(low)
    }

    /// 32 bits of a value. Of a sum, the sum of theirs: the processor extends that with zeros where it adds.
    fn low_half(&mut self, value: Value) -> Value {
        let dfg = &self.builder.func.dfg;
        let sum = dfg.value_def(value).inst().filter(|inst| dfg.insts[*inst].opcode() == Opcode::Iadd);
        let Some(&[a, b]) = sum.map(|inst| dfg.inst_args(inst)) else { return self.builder.ins().ireduce(types::I32, value) };
        let [a, b] = [a, b].map(|part| self.builder.ins().ireduce(types::I32, part));
        self.builder.ins().iadd(a, b)
    }

    pub(super) fn load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, offset: i16) {
        let (native, offset) = self.place(base, offset);
        let value = self.load_extended(size, signed, native, offset);
        self.set(dst, value);
    }

    /// What is at a cage address and an offset from it, extended to 64 bits; see [`Self::place`].
    pub(super) fn load_at(&mut self, size: Size, signed: bool, address: Value, offset: i16) -> Value {
        let native = self.native(address);
        self.load_extended(size, signed, native, offset.into())
    }

    fn load_extended(&mut self, size: Size, signed: bool, native: Value, offset: i32) -> Value {
        match (size, signed) {
            (Size::B, false) => self.builder.ins().uload8(types::I64, CAGE, native, offset),
            (Size::B, true) => self.builder.ins().sload8(types::I64, CAGE, native, offset),
            (Size::H, false) => self.builder.ins().uload16(types::I64, CAGE, native, offset),
            (Size::H, true) => self.builder.ins().sload16(types::I64, CAGE, native, offset),
            (Size::W, false) => self.builder.ins().uload32(CAGE, native, offset),
            (Size::W, true) => self.builder.ins().sload32(CAGE, native, offset),
            (Size::D, _) => self.load_native(native, offset),
        }
    }

    /// Eight bytes of the cage.
    pub(super) fn load_double(&mut self, address: Value) -> Value {
        let native = self.native(address);
        self.load_native(native, 0)
    }

    fn load_native(&mut self, native: Value, offset: i32) -> Value {
        let value = self.builder.ins().load(types::I64, CAGE, native, offset);
        // Without this, the load may become an operand of the instruction that uses its value, and a fault would be that one's.
        self.builder.ins().sequence_point();
        value
    }

    pub(super) fn store(&mut self, pc: usize, size: Size, base: Reg, offset: i16, src: Operand) {
        let (native, offset) = self.place(base, offset);
        let value = self.operand(Width::W64, src);
        self.before_store(pc);
        match size {
            Size::B => self.builder.ins().istore8(CAGE, value, native, offset),
            Size::H => self.builder.ins().istore16(CAGE, value, native, offset),
            Size::W => self.builder.ins().istore32(CAGE, value, native, offset),
            Size::D => self.builder.ins().store(CAGE, value, native, offset),
        };
    }

    /// Eight bytes to the cage.
    pub(super) fn store_double(&mut self, pc: usize, address: Value, value: Value) {
        let native = self.native(address);
        self.before_store(pc);
        self.builder.ins().store(CAGE, value, native, 0);
    }

    fn before_store(&mut self, pc: usize) {
        // Without this, a store of what was just loaded or stored there may be dropped, or make the earlier one be dropped. Memory
        // would be the same, but a fault would be another instruction's, or nobody's.
        self.builder.ins().sequence_point();
        self.mark(pc, Operation::Store);
    }

    pub(super) fn atomic(&mut self, pc: usize, size: Size, op: AtomicOp, fetch: bool, address: Value, src: Reg) {
        self.check_alignment(pc, size, address);
        let (width, value_type) = if size == Size::W { (Width::W32, types::I32) } else { (Width::W64, types::I64) };
        let native = self.native(address);
        let value = self.get(width, src);
        self.mark(pc, Operation::Store);
        let op = match op {
            AtomicOp::CompareExchange => {
                let expected = self.get(width, Reg::R0);
                let old = self.builder.ins().atomic_cas(CAGE, native, expected, value);
                return self.set(Reg::R0, old);
            }
            AtomicOp::Add => AtomicRmwOp::Add,
            AtomicOp::Or => AtomicRmwOp::Or,
            AtomicOp::And => AtomicRmwOp::And,
            AtomicOp::Xor => AtomicRmwOp::Xor,
            AtomicOp::Exchange => AtomicRmwOp::Xchg,
        };
        let old = self.builder.ins().atomic_rmw(value_type, CAGE, op, native, value);
        if fetch {
            self.set(src, old);
        }
    }

    fn check_alignment(&mut self, pc: usize, size: Size, address: Value) {
        let low = self.builder.ins().band_imm_s(address, i64::from(size.bytes() - 1));
        let zero = self.builder.ins().iconst(types::I32, 0);
        let unaligned = self.builder.ins().icmp(IntCC::NotEqual, low, zero);
        let detail = self.builder.ins().uextend(types::I64, address);
        self.trap_if(unaligned, TrapKind::Unaligned, pc, Some(detail));
    }
}
