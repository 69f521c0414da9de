//! Instructions as text, in the syntax of `llvm-objdump -d`.
//!
//! Where LLVM's text loses what the slots say, ours keeps it: a local call has a sign (`call +0x3`), a helper's number has none
//! (`call 0x10000`), a BTF id says so (`call btf 0x21`), an indexed packet load shows its `imm` (`skb[r3 + 0xc]`), and `ld_pseudo` of
//! a map's value shows the offset. Loads and stores name 64-bit registers whatever their size, as LLVM does below `-mcpu=v3`.

use std::fmt;

use super::instruction::{AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, WideSource, Width};

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.index())
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Alu { width, op, dst, src } => {
                write!(f, "{} {} {}", Sized(width, dst), op.symbol(), Sized(width, src))
            }
            Self::Neg { width, dst } => write!(f, "{0} = -{0}", Sized(width, dst)),
            Self::MoveSigned { width, dst, src, bits } => write!(f, "{} = (s{bits}){}", Sized(width, dst), Sized(width, src)),
            Self::Endian { order, dst, bits } => write!(f, "{dst} = {}{bits} {dst}", order.name()),
            Self::LoadImm64 { dst, source, value } => load_imm64(f, dst, source, value),
            Self::Load { size, signed, dst, base, offset } => {
                let sign = if signed { 's' } else { 'u' };
                write!(f, "{dst} = *({sign}{} *)({base} {})", size.bytes() * 8, Displacement(offset))
            }
            Self::Store { size, base, offset, src } => {
                write!(f, "*(u{} *)({base} {}) = {}", size.bytes() * 8, Displacement(offset), Sized(Width::W64, src))
            }
            Self::Atomic { size, op, fetch, base, offset, src } => Atomic { size, op, fetch, base, offset, src }.fmt(f),
            Self::LoadPacket { size, index, imm } => {
                write!(f, "r0 = *(u{} *)skb[", size.bytes() * 8)?;
                match index {
                    None => write!(f, "{}]", Hex(imm)),
                    Some(index) if imm == 0 => write!(f, "{index}]"),
                    Some(index) => write!(f, "{index} {}]", Displacement(imm)),
                }
            }
            Self::Jump { offset, long } => write!(f, "{} {}", if long { "gotol" } else { "goto" }, Relative(offset)),
            Self::Branch { width, op, dst, src, offset } => {
                let (dst, src) = (Sized(width, dst), Sized(width, src));
                write!(f, "if {dst} {} {src} goto {}", op.symbol(), Relative(offset))
            }
            Self::Call(CallTarget::Helper(number)) => write!(f, "call {number:#x}"),
            Self::Call(CallTarget::Local(offset)) => write!(f, "call {}", Relative(offset)),
            Self::Call(CallTarget::HelperByBtf(id)) => write!(f, "call btf {id:#x}"),
            Self::Call(CallTarget::Register(register)) => write!(f, "callx {register}"),
            Self::Exit => f.write_str("exit"),
        }
    }
}

fn load_imm64(f: &mut fmt::Formatter<'_>, dst: Reg, source: WideSource, value: u64) -> fmt::Result {
    match source {
        WideSource::Immediate => write!(f, "{dst} = {} ll", Hex(value as i64)),
        WideSource::MapValueByFd | WideSource::MapValueByIndex => {
            write!(f, "ld_pseudo {dst}, {:#x}, {:#x}, {:#x}", source as u8, value as u32, value >> 32)
        }
        _ => write!(f, "ld_pseudo {dst}, {:#x}, {:#x}", source as u8, value as u32),
    }
}

impl AluOp {
    /// As in `r1 += r2`.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Sub => "-=",
            Self::Mul => "*=",
            Self::Div => "/=",
            Self::SDiv => "s/=",
            Self::Or => "|=",
            Self::And => "&=",
            Self::Lsh => "<<=",
            Self::Rsh => ">>=",
            Self::Mod => "%=",
            Self::SMod => "s%=",
            Self::Xor => "^=",
            Self::Mov => "=",
            Self::Arsh => "s>>=",
        }
    }
}

impl JumpOp {
    /// As in `if r1 == r2`.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Set => "&",
            Self::Ne => "!=",
            Self::SGt => "s>",
            Self::SGe => "s>=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::SLt => "s<",
            Self::SLe => "s<=",
        }
    }
}

impl ByteOrder {
    fn name(self) -> &'static str {
        match self {
            Self::Little => "le",
            Self::Big => "be",
            Self::Swap => "bswap",
        }
    }
}

/// A register or immediate of an operation of this width: 32-bit registers are `w`.
struct Sized<T>(Width, T);

impl fmt::Display for Sized<Reg> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Width::W32 => write!(f, "w{}", self.1.index()),
            Width::W64 => write!(f, "{}", self.1),
        }
    }
}

impl fmt::Display for Sized<Operand> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Operand::Reg(register) => Sized(self.0, register).fmt(f),
            Operand::Imm(imm) => Hex(imm).fmt(f),
        }
    }
}

/// Signed hexadecimal: `-0x5`.
struct Hex<T>(T);

impl<T: Into<i64> + Copy> fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.into();
        write!(f, "{}{:#x}", if value < 0 { "-" } else { "" }, value.unsigned_abs())
    }
}

/// A jump's offset: `+0x3`, `-0x3`.
struct Relative<T>(T);

impl<T: Into<i64> + Copy> fmt::Display for Relative<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.into();
        write!(f, "{}{:#x}", if value < 0 { '-' } else { '+' }, value.unsigned_abs())
    }
}

/// An address's offset: `+ 0x8`, `- 0x8`.
struct Displacement<T>(T);

impl<T: Into<i64> + Copy> fmt::Display for Displacement<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.into();
        write!(f, "{} {:#x}", if value < 0 { '-' } else { '+' }, value.unsigned_abs())
    }
}

struct Atomic {
    size: Size,
    op: AtomicOp,
    fetch: bool,
    base: Reg,
    offset: i16,
    src: Reg,
}

impl fmt::Display for Atomic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.size == Size::D { Width::W64 } else { Width::W32 };
        let (src, r0) = (Sized(width, self.src), Sized(width, Reg::R0));
        let address = format_args!("{} {}", self.base, Displacement(self.offset));
        let bits = self.size.bytes() * 8;
        // LLVM's names for the two that are not arithmetic.
        let suffix = if self.size == Size::D { "_64" } else { "32_32" };
        match self.op {
            AtomicOp::Exchange => write!(f, "{src} = xchg{suffix}({address}, {src})"),
            AtomicOp::CompareExchange => write!(f, "{r0} = cmpxchg{suffix}({address}, {r0}, {src})"),
            op if self.fetch => write!(f, "{src} = atomic_fetch_{}((u{bits} *)({address}), {src})", op.name()),
            op => write!(f, "lock *(u{bits} *)({address}) {} {src}", op.symbol()),
        }
    }
}

impl AtomicOp {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Or => "or",
            Self::And => "and",
            Self::Xor => "xor",
            Self::Exchange => "xchg",
            Self::CompareExchange => "cmpxchg",
        }
    }

    /// As in `lock *(u64 *)(r1 + 0x0) += r2`; the exchanges have none.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Or => "|=",
            Self::And => "&=",
            Self::Xor => "^=",
            Self::Exchange | Self::CompareExchange => "",
        }
    }
}
