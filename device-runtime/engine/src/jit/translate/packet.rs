//! `ld_abs` and `ld_ind`: the interpreter's `packet` says what they do.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nearside_programs::isa::{Reg, Size, Width};

use super::Translator;
use crate::interpreter::packet::{DATA, DATA_END};

impl Translator<'_> {
    pub(super) fn load_packet(&mut self, size: Size, index: Option<Reg>, imm: i32) {
        let data = self.context_field(DATA);
        let end = self.context_field(DATA_END);
        let len = self.builder.ins().isub(end, data);
        let mut offset = self.builder.ins().iconst(types::I32, i64::from(imm as u32));
        if let Some(register) = index {
            let index = self.get(Width::W32, register);
            offset = self.builder.ins().iadd(index, offset);
        }
        let offset = self.builder.ins().sextend(types::I64, offset);
        let (inside, outside) = (self.builder.create_block(), self.builder.create_block());
        let fits = self.fits(offset, size, len);
        self.builder.ins().brif(fits, inside, &[], outside, &[]);
        self.builder.switch_to_block(outside);
        self.builder.seal_block(outside);
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.exit(zero);
        self.builder.switch_to_block(inside);
        self.builder.seal_block(inside);
        let address = self.builder.ins().iadd(data, offset);
        let address = self.builder.ins().ireduce(types::I32, address);
        let value = self.load_at(size, false, address, 0);
        let value = self.builder.ins().bswap(value);
        let value = self.builder.ins().ushr_imm_u(value, i64::from(64 - 8 * size.bytes()));
        self.set(Reg::R0, value);
        self.clear_arguments();
    }

    /// Four bytes of the context in r6.
    fn context_field(&mut self, offset: i16) -> Value {
        let address = self.address(Reg::R6, 0);
        self.load_at(Size::W, false, address, offset)
    }

    /// Not 0 if `0 <= offset` and `offset + size <= len`, all signed and far from overflow.
    fn fits(&mut self, offset: Value, size: Size, len: Value) -> Value {
        let zero = self.builder.ins().iconst(types::I64, 0);
        let begins = self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, offset, zero);
        let end = self.builder.ins().iadd_imm_s(offset, i64::from(size.bytes()));
        let ends = self.builder.ins().icmp(IntCC::SignedLessThanOrEqual, end, len);
        self.builder.ins().band(begins, ends)
    }
}
