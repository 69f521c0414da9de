//! The numbers of RFC 9669 §3 to §5, one table for both directions.

use super::instruction::{AluOp, AtomicOp, JumpOp, Size, WideSource};

pub(super) const CLASS: u8 = 0x07;
pub(super) const LD: u8 = 0x00;
pub(super) const LDX: u8 = 0x01;
pub(super) const ST: u8 = 0x02;
pub(super) const STX: u8 = 0x03;
pub(super) const ALU: u8 = 0x04;
pub(super) const JMP: u8 = 0x05;
pub(super) const JMP32: u8 = 0x06;
pub(super) const ALU64: u8 = 0x07;

/// Arithmetic and jumps: the second operand is a register.
pub(super) const X: u8 = 0x08;

pub(super) const CODE: u8 = 0xf0;
pub(super) const NEG: u8 = 0x80;
pub(super) const MOV: u8 = 0xb0;
pub(super) const END: u8 = 0xd0;
pub(super) const JA: u8 = 0x00;
pub(super) const CALL: u8 = 0x80;
pub(super) const EXIT: u8 = 0x90;

pub(super) const MODE: u8 = 0xe0;
pub(super) const IMM: u8 = 0x00;
pub(super) const ABS: u8 = 0x20;
pub(super) const IND: u8 = 0x40;
pub(super) const MEM: u8 = 0x60;
pub(super) const MEMSX: u8 = 0x80;
pub(super) const ATOMIC: u8 = 0xc0;

const SIZE: u8 = 0x18;
pub(super) const DW: u8 = 0x18;

pub(super) const LDDW: u8 = LD | IMM | DW;

/// `imm` of an atomic operation that returns the old value.
pub(super) const FETCH: i32 = 0x01;

/// Code, `offset`, operation (RFC 9669 §4.1).
pub(super) const ALU_OPS: [(u8, i16, AluOp); 14] = [
    (0x00, 0, AluOp::Add),
    (0x10, 0, AluOp::Sub),
    (0x20, 0, AluOp::Mul),
    (0x30, 0, AluOp::Div),
    (0x30, 1, AluOp::SDiv),
    (0x40, 0, AluOp::Or),
    (0x50, 0, AluOp::And),
    (0x60, 0, AluOp::Lsh),
    (0x70, 0, AluOp::Rsh),
    (0x90, 0, AluOp::Mod),
    (0x90, 1, AluOp::SMod),
    (0xa0, 0, AluOp::Xor),
    (MOV, 0, AluOp::Mov),
    (0xc0, 0, AluOp::Arsh),
];

/// Code, condition (RFC 9669 §4.3).
pub(super) const JUMP_OPS: [(u8, JumpOp); 11] = [
    (0x10, JumpOp::Eq),
    (0x20, JumpOp::Gt),
    (0x30, JumpOp::Ge),
    (0x40, JumpOp::Set),
    (0x50, JumpOp::Ne),
    (0x60, JumpOp::SGt),
    (0x70, JumpOp::SGe),
    (0xa0, JumpOp::Lt),
    (0xb0, JumpOp::Le),
    (0xc0, JumpOp::SLt),
    (0xd0, JumpOp::SLe),
];

/// `imm` without [`FETCH`], operation (RFC 9669 §5.3).
const ATOMIC_OPS: [(i32, AtomicOp); 6] = [
    (0x00, AtomicOp::Add),
    (0x40, AtomicOp::Or),
    (0x50, AtomicOp::And),
    (0xa0, AtomicOp::Xor),
    (0xe0, AtomicOp::Exchange),
    (0xf0, AtomicOp::CompareExchange),
];

const SIZES: [(u8, Size); 4] = [(0x00, Size::W), (0x08, Size::H), (0x10, Size::B), (DW, Size::D)];

/// By `src` (RFC 9669 §5.4).
const WIDE_SOURCES: [WideSource; 7] = [
    WideSource::Immediate,
    WideSource::MapByFd,
    WideSource::MapValueByFd,
    WideSource::Variable,
    WideSource::Code,
    WideSource::MapByIndex,
    WideSource::MapValueByIndex,
];

/// The operation of a code that exists; `None` also where only its `offset` is wrong, see [`alu_code_exists`].
pub(super) fn alu_op(code: u8, offset: i16) -> Option<AluOp> {
    ALU_OPS.iter().find(|entry| (entry.0, entry.1) == (code, offset)).map(|entry| entry.2)
}

pub(super) fn alu_code_exists(code: u8) -> bool {
    ALU_OPS.iter().any(|entry| entry.0 == code)
}

/// Code and `offset`.
pub(super) fn alu_code(op: AluOp) -> (u8, i16) {
    let (code, offset, _) = entry(&ALU_OPS, |entry| entry.2 == op);
    (code, offset)
}

pub(super) fn jump_op(code: u8) -> Option<JumpOp> {
    JUMP_OPS.iter().find(|entry| entry.0 == code).map(|entry| entry.1)
}

pub(super) fn jump_code(op: JumpOp) -> u8 {
    entry(&JUMP_OPS, |entry| entry.1 == op).0
}

pub(super) fn atomic_op(imm: i32) -> Option<AtomicOp> {
    ATOMIC_OPS.iter().find(|entry| entry.0 == imm & !FETCH).map(|entry| entry.1)
}

pub(super) fn atomic_imm(op: AtomicOp) -> i32 {
    entry(&ATOMIC_OPS, |entry| entry.1 == op).0
}

/// Every value of the two size bits is a size.
pub(super) fn size(opcode: u8) -> Size {
    entry(&SIZES, |entry| entry.0 == opcode & SIZE).1
}

pub(super) fn size_bits(size: Size) -> u8 {
    entry(&SIZES, |entry| entry.1 == size).0
}

pub(super) fn wide_source(src: u8) -> Option<WideSource> {
    WIDE_SOURCES.get(usize::from(src)).copied()
}

pub(super) fn wide_source_number(source: WideSource) -> u8 {
    source as u8
}

/// The entry of a table that lists every value of an enum.
fn entry<T: Copy>(table: &[T], is_it: impl Fn(&T) -> bool) -> T {
    *table.iter().find(|entry| is_it(entry)).expect("the table lists every value")
}
