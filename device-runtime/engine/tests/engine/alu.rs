//! Arithmetic, conversions and conditions against a model in 128-bit mathematics.

use nearside_programs::isa::{AluOp, ByteOrder, Instruction, JumpOp, Operand, Reg, Width};

use crate::common::Both;

const VALUES: [u64; 16] = [
    0,
    1,
    2,
    7,
    31,
    63,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
    u64::MAX - 6,
    u64::MAX,
];

const IMMEDIATES: [i32; 9] = [0, 1, 3, 10, 33, i32::MAX, i32::MIN, -7, -1];

/// A register's bits as the numbers they stand for.
struct Number {
    unsigned: i128,
    signed: i128,
}

fn bits(width: Width) -> u32 {
    if width == Width::W32 { 32 } else { 64 }
}

fn number(width: Width, value: u64) -> Number {
    let modulus = 1_i128 << bits(width);
    let unsigned = i128::from(value).rem_euclid(modulus);
    let signed = if unsigned >= modulus / 2 { unsigned - modulus } else { unsigned };
    Number { unsigned, signed }
}

/// RFC 9669 §4.1 in numbers instead of bits.
fn model(width: Width, op: AluOp, dst: u64, src: u64) -> u64 {
    let (a, b) = (number(width, dst), number(width, src));
    let power = 1_i128 << (b.unsigned % i128::from(bits(width)));
    let result = match op {
        AluOp::Add => a.unsigned + b.unsigned,
        AluOp::Sub => a.unsigned - b.unsigned,
        AluOp::Mul => a.signed * b.signed,
        AluOp::Div | AluOp::SDiv if b.unsigned == 0 => 0,
        AluOp::Mod | AluOp::SMod if b.unsigned == 0 => a.unsigned,
        AluOp::Div => a.unsigned / b.unsigned,
        AluOp::SDiv => a.signed / b.signed,
        AluOp::Mod => a.unsigned % b.unsigned,
        AluOp::SMod => a.signed % b.signed,
        AluOp::Or => a.unsigned | b.unsigned,
        AluOp::And => a.unsigned & b.unsigned,
        AluOp::Xor => a.unsigned ^ b.unsigned,
        AluOp::Mov => b.unsigned,
        // The product may take 127 bits and a sign; wrapping keeps the low ones, which are all that counts.
        AluOp::Lsh => a.unsigned.wrapping_mul(power),
        AluOp::Rsh => a.unsigned.div_euclid(power),
        AluOp::Arsh => a.signed.div_euclid(power),
    };
    result.rem_euclid(1_i128 << bits(width)) as u64
}

const OPS: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

/// One program a form: r0 = r1 op operand.
fn alu_program(width: Width, op: AluOp, src: Operand) -> Both {
    Both::build(|builder| {
        builder.mov(Reg::R0, Reg::R1).emit(Instruction::Alu { width, op, dst: Reg::R0, src }).exit();
    })
}

#[test]
fn arithmetic_on_registers_is_the_models() {
    for width in [Width::W32, Width::W64] {
        for op in OPS {
            let program = alu_program(width, op, Operand::Reg(Reg::R2));
            for (dst, src) in pairs() {
                let expected = model(width, op, dst, src);
                assert_eq!(program.compute([dst, src, 0, 0, 0]), Ok(expected), "{width:?} {op:?} {dst:#x} {src:#x}");
            }
        }
    }
}

#[test]
fn arithmetic_with_immediates_is_the_models() {
    for width in [Width::W32, Width::W64] {
        for op in OPS {
            for immediate in IMMEDIATES {
                let program = alu_program(width, op, Operand::Imm(immediate));
                for dst in VALUES {
                    let expected = model(width, op, dst, i64::from(immediate) as u64);
                    assert_eq!(program.compute([dst, 0, 0, 0, 0]), Ok(expected), "{width:?} {op:?} {dst:#x} {immediate:#x}");
                }
            }
        }
    }
}

fn pairs() -> impl Iterator<Item = (u64, u64)> {
    VALUES.into_iter().flat_map(|a| VALUES.into_iter().map(move |b| (a, b)))
}

#[test]
fn negation_is_the_models() {
    for width in [Width::W32, Width::W64] {
        let program = Both::build(|builder| {
            builder.mov(Reg::R0, Reg::R1).emit(Instruction::Neg { width, dst: Reg::R0 }).exit();
        });
        for value in VALUES {
            assert_eq!(program.compute([value, 0, 0, 0, 0]), Ok(model(width, AluOp::Sub, 0, value)), "{width:?} {value:#x}");
        }
    }
}

#[test]
fn sign_extending_moves_are_the_models() {
    for (width, sizes) in [(Width::W32, &[8_u8, 16][..]), (Width::W64, &[8, 16, 32])] {
        for &size in sizes {
            let program = Both::build(|builder| {
                builder.emit(Instruction::MoveSigned { width, dst: Reg::R0, src: Reg::R1, bits: size }).exit();
            });
            for value in VALUES {
                let modulus = 1_i128 << size;
                let low = i128::from(value) % modulus;
                let signed = if low >= modulus / 2 { low - modulus } else { low };
                let expected = signed.rem_euclid(1_i128 << bits(width)) as u64;
                assert_eq!(program.compute([value, 0, 0, 0, 0]), Ok(expected), "{width:?} {size} {value:#x}");
            }
        }
    }
}

#[test]
fn byte_orders_are_those_of_a_little_endian_machine() {
    for (order, swaps) in [(ByteOrder::Little, false), (ByteOrder::Big, true), (ByteOrder::Swap, true)] {
        for size in [16_u8, 32, 64] {
            let program = Both::build(|builder| {
                builder.mov(Reg::R0, Reg::R1).emit(Instruction::Endian { order, dst: Reg::R0, bits: size }).exit();
            });
            for value in VALUES {
                let mut bytes = value.to_le_bytes()[..usize::from(size / 8)].to_vec();
                if swaps {
                    bytes.reverse();
                }
                let expected = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
                assert_eq!(program.compute([value, 0, 0, 0, 0]), Ok(expected), "{order:?} {size} {value:#x}");
            }
        }
    }
}

const CONDITIONS: [JumpOp; 11] = [
    JumpOp::Eq,
    JumpOp::Gt,
    JumpOp::Ge,
    JumpOp::Set,
    JumpOp::Ne,
    JumpOp::SGt,
    JumpOp::SGe,
    JumpOp::Lt,
    JumpOp::Le,
    JumpOp::SLt,
    JumpOp::SLe,
];

fn holds(width: Width, op: JumpOp, dst: u64, src: u64) -> bool {
    let (a, b) = (number(width, dst), number(width, src));
    match op {
        JumpOp::Eq => a.unsigned == b.unsigned,
        JumpOp::Ne => a.unsigned != b.unsigned,
        JumpOp::Gt => a.unsigned > b.unsigned,
        JumpOp::Ge => a.unsigned >= b.unsigned,
        JumpOp::Lt => a.unsigned < b.unsigned,
        JumpOp::Le => a.unsigned <= b.unsigned,
        JumpOp::SGt => a.signed > b.signed,
        JumpOp::SGe => a.signed >= b.signed,
        JumpOp::SLt => a.signed < b.signed,
        JumpOp::SLe => a.signed <= b.signed,
        JumpOp::Set => a.unsigned & b.unsigned != 0,
    }
}

/// r0 = 1 if the branch is taken.
fn branch_program(width: Width, op: JumpOp, src: Operand) -> Both {
    Both::build(|builder| {
        builder.mov(Reg::R0, 1).emit(Instruction::Branch { width, op, dst: Reg::R1, src, offset: 1 });
        builder.mov(Reg::R0, 0).exit();
    })
}

#[test]
fn branches_are_the_models() {
    for width in [Width::W32, Width::W64] {
        for op in CONDITIONS {
            let program = branch_program(width, op, Operand::Reg(Reg::R2));
            for (dst, src) in pairs() {
                let expected = holds(width, op, dst, src).into();
                assert_eq!(program.compute([dst, src, 0, 0, 0]), Ok(expected), "{width:?} {op:?} {dst:#x} {src:#x}");
            }
            for immediate in IMMEDIATES {
                let program = branch_program(width, op, Operand::Imm(immediate));
                for dst in VALUES {
                    let expected = holds(width, op, dst, i64::from(immediate) as u64).into();
                    assert_eq!(program.compute([dst, 0, 0, 0, 0]), Ok(expected), "{width:?} {op:?} {dst:#x} {immediate:#x}");
                }
            }
        }
    }
}

/// `lddw` has all 64 bits of its constant; `goto` and `gotol` skip what they jump over.
#[test]
fn constants_and_jumps() {
    for value in VALUES {
        let program = Both::build(|builder| {
            builder.constant(Reg::R0, value as i64).exit();
        });
        assert_eq!(program.compute([0; 5]), Ok(value));
    }
    let program = Both::text("r0 = 0x1\ngoto +0x1\nr0 = 0x2\ngotol +0x1\nr0 = 0x3\nexit");
    assert_eq!(program.compute([0; 5]), Ok(1));
}
