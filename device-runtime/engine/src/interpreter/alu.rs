//! Arithmetic, conversions and conditions: RFC 9669 §4.

use nearside_programs::isa::{AluOp, ByteOrder, JumpOp, Width};

/// The low 32 bits, or all of them.
pub(super) fn truncate(width: Width, value: u64) -> u64 {
    match width {
        Width::W32 => u64::from(value as u32),
        Width::W64 => value,
    }
}

/// Extends the sign of the low `bits` (8, 16, 32, 64) to 64.
pub(super) fn sign_extend(value: u64, bits: u8) -> u64 {
    let unused = 64 - u32::from(bits);
    ((value << unused).cast_signed() >> unused) as u64
}

fn signed(width: Width, value: u64) -> i64 {
    match width {
        Width::W32 => i64::from(value as i32),
        Width::W64 => value.cast_signed(),
    }
}

/// `dst op src` of that width, zero-extended.
pub(super) fn compute(width: Width, op: AluOp, dst: u64, src: u64) -> u64 {
    let (a, b) = (truncate(width, dst), truncate(width, src));
    let (signed_a, signed_b) = (signed(width, dst), signed(width, src));
    let count = match width {
        Width::W32 => (src & 31) as u32,
        Width::W64 => (src & 63) as u32,
    };
    let result = match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::SDiv if b == 0 => 0,
        AluOp::SDiv => signed_a.wrapping_div(signed_b) as u64,
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::SMod if b == 0 => a,
        AluOp::SMod => signed_a.wrapping_rem(signed_b) as u64,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Lsh => a << count,
        AluOp::Rsh => a >> count,
        AluOp::Arsh => (signed_a >> count) as u64,
    };
    truncate(width, result)
}

/// Converts the low `bits`; the rest becomes zero.
pub(super) fn convert(order: ByteOrder, value: u64, bits: u8) -> u64 {
    let unused = 64 - u32::from(bits);
    match order {
        ByteOrder::Little => value << unused >> unused,
        ByteOrder::Big | ByteOrder::Swap => value.swap_bytes() >> unused,
    }
}

/// Whether a branch is taken.
pub(super) fn holds(width: Width, op: JumpOp, dst: u64, src: u64) -> bool {
    let (a, b) = (truncate(width, dst), truncate(width, src));
    let (signed_a, signed_b) = (signed(width, dst), signed(width, src));
    match op {
        JumpOp::Eq => a == b,
        JumpOp::Ne => a != b,
        JumpOp::Gt => a > b,
        JumpOp::Ge => a >= b,
        JumpOp::Lt => a < b,
        JumpOp::Le => a <= b,
        JumpOp::SGt => signed_a > signed_b,
        JumpOp::SGe => signed_a >= signed_b,
        JumpOp::SLt => signed_a < signed_b,
        JumpOp::SLe => signed_a <= signed_b,
        JumpOp::Set => a & b != 0,
    }
}
