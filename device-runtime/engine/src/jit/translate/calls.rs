//! Calls: local functions, `callx`, the shim for helpers, loops of calls, tail calls.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, FuncRef, Inst, InstBuilder, MemFlagsData, Value, types};
use nearside_programs::abi::helper::TAIL_CALL;
use nearside_programs::isa::{CallTarget, Reg, Width};

use super::super::context::{Context, TrapKind};
use super::{Translator, argument_offset};
use crate::intrinsic::{Intrinsic, LOOP_COUNT_MAX, LOOP_FLAGS, LOOP_TOO_LONG};
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
        let arguments = self.arguments();
        self.call_function(pc, arguments, |translator, arguments| translator.builder.ins().call(callee, arguments))
    }

    /// `callx`: a function by its address, or else a helper by its number.
    fn call_register(&mut self, pc: usize, register: Reg) -> Value {
        let value = self.get(Width::W64, register);
        let (index, none) = self.function_index(value);
        let (function, other, goes_on) = (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(other);
        let result = self.builder.append_block_param(goes_on, types::I64);
        self.builder.ins().brif(none, other, &[], function, &[]);
        self.switch_to(other);
        let returned = self.call_helper_in_register(pc, value);
        self.builder.ins().jump(goes_on, &[BlockArg::Value(returned)]);
        self.switch_to(function);
        let (code, arguments) = (self.code_at(index), self.arguments());
        let returned = self.call_code(pc, code, arguments);
        self.builder.ins().jump(goes_on, &[BlockArg::Value(returned)]);
        self.switch_to(goes_on);
        result
    }

    /// Machine code of the function that a register refers to which holds `value`.
    fn function_of(&mut self, pc: usize, value: Value) -> Value {
        let (index, none) = self.function_index(value);
        self.trap_if(none, TrapKind::NotAFunction, pc, Some(value));
        self.code_at(index)
    }

    /// Index of the function that `value` refers to, and whether there is none; it then is another's.
    fn function_index(&mut self, value: Value) -> (Value, Value) {
        let base = self.builder.ins().iconst(types::I64, CODE_BASE.cast_signed());
        let index = self.builder.ins().isub(value, base);
        let count = self.builder.ins().iconst(types::I64, self.program.functions.len() as i64);
        let none = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, count);
        // A processor that guesses the branch on `none` wrongly must not read past the table.
        let first = self.builder.ins().iconst(types::I64, 0);
        (self.builder.ins().select_spectre_guard(none, first, index), none)
    }

    /// Machine code of the function of this index, which exists.
    fn code_at(&mut self, index: Value) -> Value {
        let table = self.load_field(offset_of!(Context<'static>, functions));
        let entry = self.builder.ins().ishl_imm_u(index, 3);
        let entry = self.builder.ins().iadd(table, entry);
        self.builder.ins().load(types::I64, MemFlagsData::trusted(), entry, 0)
    }

    fn call_code(&mut self, pc: usize, code: Value, arguments: [Value; 5]) -> Value {
        let signature = self.imports.function_signature;
        self.call_function(pc, arguments, |translator, arguments| {
            translator.builder.ins().call_indirect(signature, code, arguments)
        })
    }

    /// A call of a function of the program, on a new frame.
    fn call_function(&mut self, pc: usize, given: [Value; 5], call: impl FnOnce(&mut Self, &[Value]) -> Inst) -> Value {
        let frame = self.get(Width::W64, Reg::R10);
        let last = self.builder.ins().iconst(types::I64, i64::from(LAST_FRAME));
        let too_deep = self.builder.ins().icmp(IntCC::Equal, frame, last);
        self.trap_if(too_deep, TrapKind::CallDepth, pc, None);
        let frame = self.builder.ins().iadd_imm_s(frame, -i64::from(FRAME_LEN));
        self.call_on(frame, given, call)
    }

    fn call_on(&mut self, frame: Value, given: [Value; 5], call: impl FnOnce(&mut Self, &[Value]) -> Inst) -> Value {
        let mut arguments = vec![self.context(), frame];
        arguments.extend(given);
        self.store_fuel();
        let call = call(self, &arguments);
        self.load_fuel();
        self.builder.inst_results(call)[0]
    }

    /// `loop`: r1 calls of the function r2 refers to, with the index and r3.
    pub(super) fn call_loop(&mut self, pc: usize) -> Value {
        let [count, callback, context, flags, _] = self.arguments();
        let count = self.builder.ins().ireduce(types::I32, count);
        let count = self.builder.ins().uextend(types::I64, count);
        let (ready, done) = (self.builder.create_block(), self.builder.create_block());
        let result = self.builder.append_block_param(done, types::I64);
        self.refuse_loop(count, flags, ready, done);
        self.switch_to(ready);
        let code = self.function_of(pc, callback);
        self.iterate(pc, code, context, count, done);
        self.switch_to(done);
        result
    }

    /// Goes to `done` with what [`check_loop`](crate::intrinsic::check_loop) returns, or to `ready`.
    fn refuse_loop(&mut self, count: Value, flags: Value, ready: Block, done: Block) {
        let within = self.builder.create_block();
        let zero = self.builder.ins().iconst(types::I64, 0);
        let flagged = self.builder.ins().icmp(IntCC::NotEqual, flags, zero);
        let errno = self.builder.ins().iconst(types::I64, LOOP_FLAGS.cast_signed());
        self.builder.ins().brif(flagged, done, &[BlockArg::Value(errno)], within, &[]);
        self.switch_to(within);
        let limit = self.builder.ins().iconst(types::I64, i64::from(LOOP_COUNT_MAX));
        let long = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, count, limit);
        let errno = self.builder.ins().iconst(types::I64, LOOP_TOO_LONG.cast_signed());
        self.builder.ins().brif(long, done, &[BlockArg::Value(errno)], ready, &[]);
    }

    /// Goes to `done` with the number of calls made.
    fn iterate(&mut self, pc: usize, code: Value, context: Value, count: Value, done: Block) {
        let (head, body, next) = (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let index = self.builder.append_block_param(head, types::I64);
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.builder.ins().jump(head, &[BlockArg::Value(zero)]);
        self.builder.switch_to_block(head);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, count);
        self.builder.ins().brif(more, body, &[], done, &[BlockArg::Value(index)]);
        self.switch_to(body);
        let zero = self.builder.ins().iconst(types::I64, 0);
        let stop = self.call_code(pc, code, [index, context, zero, zero, zero]);
        let made = self.builder.ins().iadd_imm_s(index, 1);
        self.builder.ins().brif(stop, done, &[BlockArg::Value(made)], next, &[]);
        self.switch_to(next);
        self.builder.ins().jump(head, &[BlockArg::Value(made)]);
        self.builder.seal_block(head);
    }

    /// `tail_call`: what the program returns that element r3 of r2 is, this function returns; goes on if there is none.
    pub(super) fn tail_call(&mut self, pc: usize) -> Value {
        let [argument, programs, index, ..] = self.arguments();
        let context = self.context();
        let call = self.builder.ins().call(self.imports.find_program, &[context, programs, index]);
        let code = self.builder.inst_results(call)[0];
        let fault = self.builder.ins().icmp_imm_u(IntCC::Equal, code, 1);
        let number = self.builder.ins().iconst(types::I64, i64::from(TAIL_CALL));
        self.trap_if(fault, TrapKind::Helper, pc, Some(number));
        let (found, none) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(code, found, &[], none, &[]);
        self.switch_to(found);
        let zero = self.builder.ins().iconst(types::I64, 0);
        let frame = self.get(Width::W64, Reg::R10);
        let signature = self.imports.function_signature;
        let result = self.call_on(frame, [argument, zero, zero, zero, zero], |translator, arguments| {
            translator.builder.ins().call_indirect(signature, code, arguments)
        });
        // What is left of the fuel is in the context already.
        self.builder.ins().return_(&[result]);
        self.switch_to(none);
        self.load_field(offset_of!(Context<'static>, result))
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
        let context = self.context();
        let call = self.builder.ins().call(shim, &[context, number]);
        self.load_fuel();
        self.builder.inst_results(call)[0]
    }

    /// r1 to r5.
    fn arguments(&mut self) -> [Value; 5] {
        std::array::from_fn(|index| self.builder.use_var(self.registers[index + 1]))
    }
}
