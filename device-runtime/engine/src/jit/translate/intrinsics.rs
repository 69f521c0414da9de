//! Intrinsic helpers, inline: what [`crate::intrinsic`] says, with faults like any other access.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{BlockArg, FuncRef, InstBuilder, MemFlagsData, Value, types};
use nearside_programs::isa::{Reg, Width};

use super::super::context::Context;
use super::Translator;
use crate::intrinsic::{DEFAULT_NAN, FloatOp, Intrinsic, QUIET, WideOp};

/// A 128-bit integer.
#[derive(Clone, Copy)]
struct Wide {
    low: Value,
    high: Value,
}

impl Translator<'_> {
    /// r0 of the call.
    pub(super) fn intrinsic(&mut self, pc: usize, intrinsic: Intrinsic) -> Value {
        match intrinsic {
            Intrinsic::Wide(op) => {
                let (a, b) = (self.load_wide(Reg::R2), self.load_wide(Reg::R3));
                let (result, wrapped) = match op {
                    WideOp::Add => self.wide_add(a, b),
                    WideOp::Sub => self.wide_sub(a, b),
                    WideOp::Mul => self.wide_call(self.imports.multiply, a, b),
                    WideOp::Div => self.wide_call(self.imports.divide, a, b),
                };
                self.store_wide(pc, Reg::R1, result);
                wrapped
            }
            Intrinsic::WideCompare => {
                let (a, b) = (self.load_wide(Reg::R1), self.load_wide(Reg::R2));
                self.wide_compare(a, b)
            }
            Intrinsic::Float(op) => self.float(op),
            Intrinsic::FloatFromInt => {
                let value = self.get(Width::W64, Reg::R1);
                let value = self.builder.ins().fcvt_from_sint(types::F64, value);
                self.builder.ins().bitcast(types::I64, MemFlagsData::new(), value)
            }
            Intrinsic::FloatFromUnsigned => {
                let value = self.get(Width::W64, Reg::R1);
                let value = self.builder.ins().fcvt_from_uint(types::F64, value);
                self.builder.ins().bitcast(types::I64, MemFlagsData::new(), value)
            }
            Intrinsic::FloatFromSingle => self.float_from_single(),
            Intrinsic::FloatFromWide => {
                let Wide { low, high } = self.load_wide(Reg::R1);
                let call = self.builder.ins().call(self.imports.float_from_wide, &[low, high]);
                self.builder.inst_results(call)[0]
            }
            Intrinsic::SingleFromFloat => self.single_from_float(),
            Intrinsic::Loop => self.call_loop(pc),
            Intrinsic::TailCall => self.tail_call(pc),
        }
    }

    fn load_wide(&mut self, pointer: Reg) -> Wide {
        let (low, high) = (self.address(pointer, 0), self.address(pointer, 8));
        Wide { low: self.load_double(low), high: self.load_double(high) }
    }

    fn store_wide(&mut self, pc: usize, pointer: Reg, value: Wide) {
        let (low, high) = (self.address(pointer, 0), self.address(pointer, 8));
        self.store_double(pc, low, value.low);
        self.store_double(pc, high, value.high);
    }

    fn wide_add(&mut self, a: Wide, b: Wide) -> (Wide, Value) {
        let low = self.builder.ins().iadd(a.low, b.low);
        let carry = self.builder.ins().icmp(IntCC::UnsignedLessThan, low, a.low);
        let carry = self.builder.ins().uextend(types::I64, carry);
        let high = self.builder.ins().iadd(a.high, b.high);
        let high = self.builder.ins().iadd(high, carry);
        // It wrapped if both operands have a sign that the result has not.
        let (x, y) = (self.builder.ins().bxor(a.high, high), self.builder.ins().bxor(b.high, high));
        (Wide { low, high }, self.sign_of_both(x, y))
    }

    fn wide_sub(&mut self, a: Wide, b: Wide) -> (Wide, Value) {
        let low = self.builder.ins().isub(a.low, b.low);
        let borrow = self.builder.ins().icmp(IntCC::UnsignedLessThan, a.low, b.low);
        let borrow = self.builder.ins().uextend(types::I64, borrow);
        let high = self.builder.ins().isub(a.high, b.high);
        let high = self.builder.ins().isub(high, borrow);
        // It wrapped if the operands differ in sign, and the result differs from the first.
        let (x, y) = (self.builder.ins().bxor(a.high, b.high), self.builder.ins().bxor(a.high, high));
        (Wide { low, high }, self.sign_of_both(x, y))
    }

    /// 1 if both are negative.
    fn sign_of_both(&mut self, x: Value, y: Value) -> Value {
        let both = self.builder.ins().band(x, y);
        self.builder.ins().ushr_imm_u(both, 63)
    }

    /// What is too long to be inline.
    fn wide_call(&mut self, function: FuncRef, a: Wide, b: Wide) -> (Wide, Value) {
        let context = self.context();
        let call = self.builder.ins().call(function, &[context, a.low, a.high, b.low, b.high]);
        let wrapped = self.builder.inst_results(call)[0];
        let offset = offset_of!(Context<'static>, result);
        (Wide { low: self.load_field(offset), high: self.load_field(offset + 8) }, wrapped)
    }

    fn wide_compare(&mut self, a: Wide, b: Wide) -> Value {
        let greater = self.wide_greater(a, b);
        let less = self.wide_greater(b, a);
        self.builder.ins().isub(greater, less)
    }

    fn wide_greater(&mut self, a: Wide, b: Wide) -> Value {
        let high = self.builder.ins().icmp(IntCC::SignedGreaterThan, a.high, b.high);
        let equal = self.builder.ins().icmp(IntCC::Equal, a.high, b.high);
        let low = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, a.low, b.low);
        let low = self.builder.ins().band(equal, low);
        let greater = self.builder.ins().bor(high, low);
        self.builder.ins().uextend(types::I64, greater)
    }

    fn float(&mut self, op: FloatOp) -> Value {
        let (a, b) = (self.get(Width::W64, Reg::R1), self.get(Width::W64, Reg::R2));
        let x = self.builder.ins().bitcast(types::F64, MemFlagsData::new(), a);
        let y = self.builder.ins().bitcast(types::F64, MemFlagsData::new(), b);
        let result = match op {
            FloatOp::Add => self.builder.ins().fadd(x, y),
            FloatOp::Sub => self.builder.ins().fsub(x, y),
            FloatOp::Mul => self.builder.ins().fmul(x, y),
            FloatOp::Div => self.builder.ins().fdiv(x, y),
        };
        let bits = self.builder.ins().bitcast(types::I64, MemFlagsData::new(), result);
        self.unless_nan(result, bits, |translator| {
            let default = translator.builder.ins().iconst(types::I64, DEFAULT_NAN.cast_signed());
            let b = translator.quiet_or(y, b, default);
            translator.quiet_or(x, a, b)
        })
    }

    /// The quiet form of `bits` if `value`, which they are, is a NaN; else `other`.
    fn quiet_or(&mut self, value: Value, bits: Value, other: Value) -> Value {
        let quiet = self.quiet(bits);
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        self.builder.ins().select(is_nan, quiet, other)
    }

    fn quiet(&mut self, bits: Value) -> Value {
        let bit = self.builder.ins().iconst(types::I64, QUIET as i64);
        self.builder.ins().bor(bits, bit)
    }

    fn float_from_single(&mut self) -> Value {
        let single = self.get(Width::W32, Reg::R1);
        let value = self.builder.ins().bitcast(types::F32, MemFlagsData::new(), single);
        let wide = self.builder.ins().fpromote(types::F64, value);
        let bits = self.builder.ins().bitcast(types::I64, MemFlagsData::new(), wide);
        self.unless_nan(wide, bits, |translator| {
            // Sign and payload move up; the sign's copies fill the exponent, which is all ones in a NaN anyway.
            let wide = translator.builder.ins().sextend(types::I64, single);
            let payload = translator.builder.ins().ishl_imm_u(wide, 29);
            let exponent = translator.builder.ins().iconst(types::I64, 0x7ff0_0000_0000_0000);
            let nan = translator.builder.ins().bor(payload, exponent);
            let sign = translator.builder.ins().iconst(types::I64, i64::MIN);
            let sign = translator.builder.ins().band(wide, sign);
            let unsigned = translator.builder.ins().iconst(types::I64, i64::MAX);
            let nan = translator.builder.ins().band(nan, unsigned);
            let nan = translator.builder.ins().bor(nan, sign);
            translator.quiet(nan)
        })
    }

    fn single_from_float(&mut self) -> Value {
        let bits = self.get(Width::W64, Reg::R1);
        let value = self.builder.ins().bitcast(types::F64, MemFlagsData::new(), bits);
        let single = self.builder.ins().fdemote(types::F32, value);
        let single = self.builder.ins().bitcast(types::I32, MemFlagsData::new(), single);
        let single = self.builder.ins().uextend(types::I64, single);
        self.unless_nan(value, single, |translator| {
            let sign = translator.builder.ins().ushr_imm_u(bits, 63);
            let sign = translator.builder.ins().ishl_imm_u(sign, 31);
            let payload = translator.builder.ins().ushr_imm_u(bits, 29);
            let payload = translator.builder.ins().band_imm_u(payload, 0x007f_ffff);
            let quiet = translator.builder.ins().iconst(types::I64, 0x7fc0_0000);
            let nan = translator.builder.ins().bor(payload, quiet);
            translator.builder.ins().bor(nan, sign)
        })
    }

    /// `bits`, or what `nan` makes if `value` is a NaN.
    fn unless_nan(&mut self, value: Value, bits: Value, nan: impl FnOnce(&mut Self) -> Value) -> Value {
        let (cold, goes_on) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        let result = self.builder.append_block_param(goes_on, types::I64);
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        self.builder.ins().brif(is_nan, cold, &[], goes_on, &[BlockArg::Value(bits)]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        let quiet = nan(self);
        self.builder.ins().jump(goes_on, &[BlockArg::Value(quiet)]);
        self.builder.switch_to_block(goes_on);
        self.builder.seal_block(goes_on);
        result
    }
}
