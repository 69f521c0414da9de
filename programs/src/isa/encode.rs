//! Instructions to slots.

use super::decode::decode;
use super::instruction::{ByteOrder, CallTarget, Instruction, Operand, Reg, Size, Width};
use super::opcode as op;
use super::slot::Slot;

/// An [`Instruction`] whose fields are out of the range that any encoding has (`movsx` of 7 bits, a short jump over 40,000 slots).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no encoding")]
pub struct EncodeError(pub Instruction);

/// The one or two slots of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    slots: [Slot; 2],
    len: usize,
}

impl std::ops::Deref for Encoded {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots[..self.len]
    }
}

/// Writes an instruction. [`decode`] of the result gives it back.
///
/// # Errors
/// [`EncodeError`] if no slots decode to this instruction.
pub fn encode(instruction: Instruction) -> Result<Encoded, EncodeError> {
    let second = match instruction {
        Instruction::LoadImm64 { value, .. } => Slot { imm: (value >> 32) as i32, ..Slot::default() },
        _ => Slot::default(),
    };
    let encoded = Encoded { slots: [first_slot(instruction), second], len: instruction.slot_count() };
    // Fields that do not fit were cut above: only what reads back unchanged has an encoding.
    if decode(&encoded, 0) == Ok(instruction) { Ok(encoded) } else { Err(EncodeError(instruction)) }
}

fn first_slot(instruction: Instruction) -> Slot {
    match instruction {
        Instruction::Alu { width, op, dst, src } => {
            let (code, offset) = op::alu_code(op);
            with_operand(Slot { opcode: alu_class(width) | code, dst: number(dst), offset, ..Slot::default() }, src)
        }
        Instruction::Neg { width, dst } => Slot { opcode: alu_class(width) | op::NEG, dst: number(dst), ..Slot::default() },
        Instruction::MoveSigned { width, dst, src, bits } => {
            Slot { opcode: alu_class(width) | op::MOV | op::X, dst: number(dst), src: number(src), offset: bits.into(), imm: 0 }
        }
        Instruction::Endian { order, dst, bits } => {
            Slot { opcode: op::END | endian_bits(order), dst: number(dst), imm: bits.into(), ..Slot::default() }
        }
        Instruction::LoadImm64 { dst, source, value } => {
            Slot { opcode: op::LDDW, dst: number(dst), src: op::wide_source_number(source), offset: 0, imm: value as i32 }
        }
        Instruction::Load { size, signed, dst, base, offset } => {
            let mode = if signed { op::MEMSX } else { op::MEM };
            Slot { opcode: op::LDX | mode | op::size_bits(size), dst: number(dst), src: number(base), offset, imm: 0 }
        }
        Instruction::Store { size, base, offset, src } => store(size, base, offset, src),
        Instruction::Atomic { size, op, fetch, base, offset, src } => Slot {
            opcode: op::STX | op::ATOMIC | op::size_bits(size),
            dst: number(base),
            src: number(src),
            offset,
            imm: op::atomic_imm(op) | if fetch { op::FETCH } else { 0 },
        },
        Instruction::LoadPacket { size, index, imm } => {
            let mode = if index.is_some() { op::IND } else { op::ABS };
            Slot { opcode: op::LD | mode | op::size_bits(size), src: index.map_or(0, number), imm, ..Slot::default() }
        }
        Instruction::Jump { offset, long: false } => Slot { opcode: op::JMP | op::JA, offset: offset as i16, ..Slot::default() },
        Instruction::Jump { offset, long: true } => Slot { opcode: op::JMP32 | op::JA, imm: offset, ..Slot::default() },
        Instruction::Branch { width, op, dst, src, offset } => {
            let opcode = jump_class(width) | op::jump_code(op);
            with_operand(Slot { opcode, dst: number(dst), offset, ..Slot::default() }, src)
        }
        Instruction::Call(target) => call(target),
        Instruction::Exit => Slot { opcode: op::JMP | op::EXIT, ..Slot::default() },
    }
}

fn store(size: Size, base: Reg, offset: i16, src: Operand) -> Slot {
    let (class, src, imm) = match src {
        Operand::Reg(src) => (op::STX, number(src), 0),
        Operand::Imm(imm) => (op::ST, 0, imm),
    };
    Slot { opcode: class | op::MEM | op::size_bits(size), dst: number(base), src, offset, imm }
}

fn call(target: CallTarget) -> Slot {
    let opcode = op::JMP | op::CALL;
    match target {
        CallTarget::Helper(helper) => Slot { opcode, imm: helper as i32, ..Slot::default() },
        CallTarget::Local(offset) => Slot { opcode, src: 1, imm: offset, ..Slot::default() },
        CallTarget::HelperByBtf(id) => Slot { opcode, src: 2, imm: id as i32, ..Slot::default() },
        CallTarget::Register(register) => Slot { opcode: opcode | op::X, dst: number(register), ..Slot::default() },
    }
}

fn with_operand(slot: Slot, operand: Operand) -> Slot {
    match operand {
        Operand::Reg(src) => Slot { opcode: slot.opcode | op::X, src: number(src), ..slot },
        Operand::Imm(imm) => Slot { imm, ..slot },
    }
}

fn endian_bits(order: ByteOrder) -> u8 {
    match order {
        ByteOrder::Little => op::ALU,
        ByteOrder::Big => op::ALU | op::X,
        ByteOrder::Swap => op::ALU64,
    }
}

fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => op::ALU,
        Width::W64 => op::ALU64,
    }
}

fn jump_class(width: Width) -> u8 {
    match width {
        Width::W32 => op::JMP32,
        Width::W64 => op::JMP,
    }
}

fn number(register: Reg) -> u8 {
    register.number()
}

#[cfg(test)]
mod tests {
    use super::super::instruction::AtomicOp;
    use super::*;

    /// Nothing is cut silently: what no slots decode to is an error.
    #[test]
    fn fields_out_of_range_have_no_encoding() {
        let (dst, src) = (Reg::R1, Reg::R2);
        let check = |instruction| assert_eq!(encode(instruction), Err(EncodeError(instruction)));
        check(Instruction::Jump { offset: 40_000, long: false });
        check(Instruction::MoveSigned { width: Width::W64, dst, src, bits: 0 });
        check(Instruction::MoveSigned { width: Width::W32, dst, src, bits: 32 });
        check(Instruction::Endian { order: ByteOrder::Big, dst, bits: 8 });
        check(Instruction::Load { size: Size::D, signed: true, dst, base: src, offset: 0 });
        check(Instruction::Atomic { size: Size::B, op: AtomicOp::Add, fetch: false, base: dst, offset: 0, src });
        check(Instruction::Atomic { size: Size::D, op: AtomicOp::Exchange, fetch: false, base: dst, offset: 0, src });
        check(Instruction::LoadPacket { size: Size::D, index: None, imm: 0 });
        assert!(encode(Instruction::Jump { offset: 40_000, long: true }).is_ok());
    }
}
