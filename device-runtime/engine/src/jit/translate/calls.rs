//! Calls: local functions, `callx`, the shim for helpers.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, FuncRef, Inst, InstBuilder, MemFlagsData, Value, types};
use nearside_programs::isa::{CallTarget, Reg, Width};

use super::super::context::{Context, TrapKind};
use super::{Translator, argument_offset};
use crate::intrinsic::Intrinsic;
use crate::memory::STACK_TOP;
use crate::verify::{CODE_BASE, FRAME_LEN, FRAMES_MAX, jump_target};

/// Frame pointer of the last frame there may be.
const LAST_FRAME: u32 = STACK_TOP - (FRAMES_MAX - 1) * FRAME_LEN;

impl Translator<'_> {
    pub(super) fn call(&mut self, pc: usize, target: CallTarget) {
        let result = match target {
            CallTarget::Local(offset) => self.call_local(pc, offset),
            CallTarget::Register(register) => self.call_register(pc, register),
            CallTarget::Helper(number) => match Intrinsic::by_number(number) {
                Some(intrinsic) => self.intrinsic(pc, intrinsic),
                None => self.call_helper(pc, number),
            },
            CallTarget::HelperByBtf(_) => unreachable!("the verifier refuses {target:?}"),
        };
        self.set(Reg::R0, result);
        self.clear_arguments();
    }

    fn call_local(&mut self, pc: usize, offset: i32) -> Value {
        let callee =
            self.program.function_at(jump_target(pc, offset)).and_then(|index| self.imports.callees.get(&index).copied());
        let Some(callee) = callee else { unreachable!("the verifier made the target of each call a function") };
        self.call_function(pc, |translator, arguments| translator.builder.ins().call(callee, arguments))
    }

    fn call_register(&mut self, pc: usize, register: Reg) -> Value {
        let value = self.get(Width::W64, register);
        let base = self.builder.ins().iconst(types::I64, CODE_BASE.cast_signed());
        let index = self.builder.ins().isub(value, base);
        let count = self.builder.ins().iconst(types::I64, self.program.functions.len() as i64);
        let none = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, count);
        // A processor that guesses the branch below wrongly must not read past the table.
        let first = self.builder.ins().iconst(types::I64, 0);
        let index = self.builder.ins().select_spectre_guard(none, first, index);
        let (function, other, goes_on) = (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(other);
        let result = self.builder.append_block_param(goes_on, types::I64);
        self.builder.ins().brif(none, other, &[], function, &[]);
        for block in [other, function] {
            self.builder.switch_to_block(block);
            self.builder.seal_block(block);
            let value = if block == other { self.call_helper_in_register(pc, value) } else { self.call_function_at(pc, index) };
            self.builder.ins().jump(goes_on, &[BlockArg::Value(value)]);
        }
        self.builder.switch_to_block(goes_on);
        self.builder.seal_block(goes_on);
        result
    }

    /// Calls the function of this index, which exists.
    fn call_function_at(&mut self, pc: usize, index: Value) -> Value {
        let table = self.load_field(offset_of!(Context<'static>, functions));
        let entry = self.builder.ins().ishl_imm_u(index, 3);
        let entry = self.builder.ins().iadd(table, entry);
        let code = self.builder.ins().load(types::I64, MemFlagsData::trusted(), entry, 0);
        let signature = self.imports.function_signature;
        self.call_function(pc, |translator, arguments| translator.builder.ins().call_indirect(signature, code, arguments))
    }

    /// A call of a function of the program, on a new frame.
    fn call_function(&mut self, pc: usize, call: impl FnOnce(&mut Self, &[Value]) -> Inst) -> Value {
        let frame = self.get(Width::W64, Reg::R10);
        let last = self.builder.ins().iconst(types::I64, i64::from(LAST_FRAME));
        let too_deep = self.builder.ins().icmp(IntCC::Equal, frame, last);
        self.trap_if(too_deep, TrapKind::CallDepth, pc, None);
        let frame = self.builder.ins().iadd_imm_s(frame, -i64::from(FRAME_LEN));
        let mut arguments = vec![self.context, frame];
        arguments.extend(self.arguments());
        self.store_fuel();
        let call = call(self, &arguments);
        self.load_fuel();
        self.builder.inst_results(call)[0]
    }

    fn call_helper(&mut self, pc: usize, number: u32) -> Value {
        let number = self.builder.ins().iconst(types::I64, i64::from(number));
        let failed = self.call_shim(self.imports.helper, number);
        self.trap_if(failed, TrapKind::Helper, pc, Some(number));
        self.load_field(offset_of!(Context<'static>, result))
    }

    fn call_helper_in_register(&mut self, pc: usize, value: Value) -> Value {
        let status = self.call_shim(self.imports.helper_in_register, value);
        let none = self.builder.ins().icmp_imm_u(IntCC::Equal, status, 2);
        self.trap_if(none, TrapKind::NotAFunction, pc, Some(value));
        self.trap_if(status, TrapKind::Helper, pc, Some(value));
        self.load_field(offset_of!(Context<'static>, result))
    }

    /// Hands r1 to r5 and the fuel to a shim for helpers; returns its status.
    fn call_shim(&mut self, shim: FuncRef, number: Value) -> Value {
        for (index, argument) in self.arguments().into_iter().enumerate() {
            self.store_field(argument_offset(index), argument);
        }
        self.store_fuel();
        let call = self.builder.ins().call(shim, &[self.context, number]);
        self.load_fuel();
        self.builder.inst_results(call)[0]
    }

    /// r1 to r5.
    fn arguments(&mut self) -> [Value; 5] {
        std::array::from_fn(|index| self.builder.use_var(self.registers[index + 1]))
    }
}
