//! What an instruction means, once its encoding has been checked.

/// A register, r0 to r10. r10 is the frame pointer and read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Return value.
    pub const R0: Self = Self(0);
    /// First argument.
    pub const R1: Self = Self(1);
    /// Second argument.
    pub const R2: Self = Self(2);
    /// Third argument.
    pub const R3: Self = Self(3);
    /// Fourth argument.
    pub const R4: Self = Self(4);
    /// Fifth argument.
    pub const R5: Self = Self(5);
    /// Saved by the callee.
    pub const R6: Self = Self(6);
    /// Saved by the callee.
    pub const R7: Self = Self(7);
    /// Saved by the callee.
    pub const R8: Self = Self(8);
    /// Saved by the callee.
    pub const R9: Self = Self(9);
    /// Frame pointer: the end of this call's 512 bytes of stack.
    pub const R10: Self = Self(10);

    /// The register of that number, if there is one.
    pub fn new_checked(number: u8) -> Option<Self> {
        (number <= 10).then_some(Self(number))
    }

    /// 0 to 10.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// 0 to 10, as encoded.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// How many bits an operation looks at. 32-bit results are zero-extended to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// `w` registers.
    W32,
    /// `r` registers.
    W64,
}

/// Size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// 1 byte.
    B,
    /// 2 bytes.
    H,
    /// 4 bytes.
    W,
    /// 8 bytes.
    D,
}

impl Size {
    /// 1, 2, 4 or 8.
    pub fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::D => 8,
        }
    }
}

/// The second operand: a register, or the immediate, sign-extended to the operation's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// The `imm` field.
    Imm(i32),
}

/// Arithmetic (RFC 9669 §4.1). Division by zero yields 0, modulo by zero the dividend; shifts use the low bits of the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 9669's own")]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    SDiv,
    Or,
    And,
    Lsh,
    Rsh,
    Mod,
    SMod,
    Xor,
    Mov,
    Arsh,
}

/// Byte order conversions (RFC 9669 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// `le16/32/64`: truncates on this little-endian machine.
    Little,
    /// `be16/32/64`.
    Big,
    /// `bswap16/32/64`: unconditional.
    Swap,
}

/// Conditions of jumps (RFC 9669 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 9669's own")]
pub enum JumpOp {
    Eq,
    Gt,
    Ge,
    Set,
    Ne,
    SGt,
    SGe,
    Lt,
    Le,
    SLt,
    SLe,
}

/// Atomic operations (RFC 9669 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 9669's own")]
pub enum AtomicOp {
    Add,
    Or,
    And,
    Xor,
    /// Always returns the old value in `src`.
    Exchange,
    /// Compares with r0, always returns the old value in r0.
    CompareExchange,
}

/// What the 64 bits of an `lddw` are (RFC 9669 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WideSource {
    /// `src` 0: the value itself.
    Immediate,
    /// `src` 1: a map by file descriptor (or, before relocation, by symbol).
    MapByFd,
    /// `src` 2: an offset into the value of a map.
    MapValueByFd,
    /// `src` 3: a variable of the platform.
    Variable,
    /// `src` 4: address of an instruction, for `callx` and callbacks.
    Code,
    /// `src` 5: a map by index.
    MapByIndex,
    /// `src` 6: an offset into the value of a map by index.
    MapValueByIndex,
}

/// Who is called (RFC 9669 §4.3.1, §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// A helper by number.
    Helper(u32),
    /// A subprogram: slots from the next instruction.
    Local(i32),
    /// A helper by BTF id.
    HelperByBtf(u32),
    /// `callx`: the subprogram whose address is in a register, or the helper whose number is.
    Register(Reg),
}

/// One instruction. Jump offsets count slots from the *next* slot, as encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are RFC 9669's own")]
pub enum Instruction {
    Alu {
        width: Width,
        op: AluOp,
        dst: Reg,
        src: Operand,
    },
    Neg {
        width: Width,
        dst: Reg,
    },
    /// `movsx`: moves the low `bits` (8, 16, 32) of `src`, sign-extended to `width`.
    MoveSigned {
        width: Width,
        dst: Reg,
        src: Reg,
        bits: u8,
    },
    /// Converts the low `bits` (16, 32, 64) of `dst`; the rest becomes zero.
    Endian {
        order: ByteOrder,
        dst: Reg,
        bits: u8,
    },
    /// `lddw`; the only instruction of two slots.
    LoadImm64 {
        dst: Reg,
        source: WideSource,
        value: u64,
    },
    /// `ldx`: `signed` (with B, H, W) extends the sign to 64 bits.
    Load {
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        offset: i16,
    },
    /// `st` and `stx`.
    Store {
        size: Size,
        base: Reg,
        offset: i16,
        src: Operand,
    },
    /// 32 or 64 bits wide; `fetch` returns the old value in `src` (r0 for compare-exchange).
    Atomic {
        size: Size,
        op: AtomicOp,
        fetch: bool,
        base: Reg,
        offset: i16,
        src: Reg,
    },
    /// Legacy packet access (`ld_abs`, `ld_ind`): big-endian load into r0 from the packet at `imm` (+ `index`).
    LoadPacket {
        size: Size,
        index: Option<Reg>,
        imm: i32,
    },
    /// `ja` (16-bit offset) and `gotol` (32-bit offset); `long` tells them apart.
    Jump {
        offset: i32,
        long: bool,
    },
    Branch {
        width: Width,
        op: JumpOp,
        dst: Reg,
        src: Operand,
        offset: i16,
    },
    Call(CallTarget),
    Exit,
}

impl From<Reg> for Operand {
    fn from(register: Reg) -> Self {
        Self::Reg(register)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Self {
        Self::Imm(imm)
    }
}

impl Instruction {
    /// Slots this instruction takes: 2 for `lddw`, else 1.
    pub fn slot_count(&self) -> usize {
        if matches!(self, Self::LoadImm64 { .. }) { 2 } else { 1 }
    }
}
