//! Instructions over values instead of registers: what lowering writes, before [registers](super::allocate) are chosen.
//!
//! Three operands where RFC 9669 has two, any number of [`Value`]s where it has ten registers. Control flow is what loops over rows need: a label is the
//! head of a loop or the end of a skipped stretch, never anything else.

use nearside_programs::isa::{AluOp, JumpOp, Size, Width};

/// A 64-bit value: assigned once, or (loop counters, accumulators) again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Value(pub(super) u32);

/// Second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Value(Value),
    Imm(i32),
}

impl From<Value> for Source {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<i32> for Source {
    fn from(imm: i32) -> Self {
        Self::Imm(imm)
    }
}

/// Argument of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Argument {
    Source(Source),
    /// Address of a temporary, in bytes from the frame pointer.
    Frame(i16),
}

/// A place in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(pub(super) u32);

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// The entry point's argument; first of a function.
    Entry {
        dst: Value,
    },
    Move {
        dst: Value,
        src: Source,
    },
    Constant {
        dst: Value,
        value: i64,
    },
    Binary {
        op: AluOp,
        width: Width,
        dst: Value,
        left: Value,
        right: Source,
    },
    Negate {
        dst: Value,
        src: Value,
    },
    /// Sign extension of the low `bits` (8, 16, 32).
    SignExtend {
        dst: Value,
        src: Value,
        bits: u8,
    },
    Load {
        size: Size,
        signed: bool,
        dst: Value,
        base: Value,
        offset: i16,
    },
    Store {
        size: Size,
        base: Value,
        offset: i16,
        src: Source,
    },
    /// Eight bytes of a temporary.
    FrameLoad {
        dst: Value,
        offset: i16,
    },
    FrameStore {
        offset: i16,
        src: Value,
    },
    Call {
        helper: u32,
        arguments: Vec<Argument>,
        dst: Option<Value>,
    },
    Bind(Mark),
    Branch {
        op: JumpOp,
        left: Value,
        right: Source,
        target: Mark,
    },
    /// Returns to the caller.
    Return {
        src: Source,
    },
    /// A remark on the next instruction.
    Note(String),
}

impl Op {
    /// What it assigns.
    pub(super) fn defined(&self) -> Option<Value> {
        match *self {
            Self::Entry { dst }
            | Self::Move { dst, .. }
            | Self::Constant { dst, .. }
            | Self::Binary { dst, .. }
            | Self::Negate { dst, .. }
            | Self::SignExtend { dst, .. }
            | Self::Load { dst, .. }
            | Self::FrameLoad { dst, .. } => Some(dst),
            Self::Call { dst, .. } => dst,
            Self::Store { .. }
            | Self::FrameStore { .. }
            | Self::Bind(_)
            | Self::Branch { .. }
            | Self::Return { .. }
            | Self::Note(_) => None,
        }
    }

    /// Whether it does nothing but assign a value.
    pub(super) fn is_pure(&self) -> bool {
        !matches!(self, Self::Call { .. } | Self::Entry { .. }) && self.defined().is_some()
    }

    /// Calls `visit` with each value it reads.
    pub(super) fn visit_used(&self, mut visit: impl FnMut(Value)) {
        let mut source = |source: Source| {
            if let Source::Value(value) = source {
                visit(value);
            }
        };
        match self {
            Self::Move { src, .. } | Self::Return { src } => source(*src),
            Self::Binary { left, right, .. } | Self::Branch { left, right, .. } => {
                source((*left).into());
                source(*right);
            }
            Self::Negate { src, .. } | Self::SignExtend { src, .. } | Self::FrameStore { src, .. } => source((*src).into()),
            Self::Load { base, .. } => source((*base).into()),
            Self::Store { base, src, .. } => {
                source((*base).into());
                source(*src);
            }
            Self::Call { arguments, .. } => {
                for argument in arguments {
                    if let Argument::Source(argument) = argument {
                        source(*argument);
                    }
                }
            }
            Self::Entry { .. } | Self::Constant { .. } | Self::FrameLoad { .. } | Self::Bind(_) | Self::Note(_) => {}
        }
    }
}
