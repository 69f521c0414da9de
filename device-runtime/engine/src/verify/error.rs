//! Why a program is refused.

use std::fmt;

use nearside_programs::abi::helper::Helper;
use nearside_programs::isa::DecodeError;

use super::{FRAME_LEN, FRAMES_MAX};

/// The program must change before any engine runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No slots, or too many.
    #[error("a program of {slots} slots: 1 to {limit} are allowed")]
    Length {
        /// Slots given.
        slots: usize,
        /// Most slots allowed.
        limit: usize,
    },
    /// No instruction begins there.
    #[error("entry point at slot {slot}: no instruction begins there")]
    Entry {
        /// The slot given.
        slot: u32,
    },
    /// A slot is no instruction.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    /// An instruction breaks a rule.
    #[error("instruction {pc}: {reason}")]
    Instruction {
        /// Its slot.
        pc: usize,
        /// The rule.
        reason: Reason,
    },
}

impl CompileError {
    pub(super) fn at(pc: usize, reason: Reason) -> Self {
        Self::Instruction { pc, reason }
    }
}

/// The rule an instruction breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Jump, call or code address to a slot that does not exist.
    #[error("slot {target} is not in the program")]
    OutOfProgram {
        /// Where it leads.
        target: i64,
    },
    /// Jump, call or code address to the second slot of an `lddw`.
    #[error("slot {target} is the second half of an lddw")]
    IntoLddw {
        /// Where it leads.
        target: i64,
    },
    /// Functions are entered by calls only.
    #[error("slot {target} is in another function")]
    OutOfFunction {
        /// Where it leads.
        target: usize,
    },
    /// The last instruction of a function is neither a jump nor an exit.
    #[error("control falls through the end of the function")]
    FallThrough,
    /// r10 is read-only.
    #[error("writes to r10")]
    FramePointer,
    /// No such helper in any target this engine knows.
    #[error("helper {} does not exist here", Named(*number))]
    UnknownHelper {
        /// Its number.
        number: u32,
    },
    /// The helper exists, but not for this target.
    #[error("helper {} belongs to another target", Named(*number))]
    HelperOfOtherTarget {
        /// Its number.
        number: u32,
    },
    /// BTF ids are the kernel's.
    #[error("call of a helper by BTF id {id}")]
    HelperByBtf {
        /// The id.
        id: u32,
    },
    /// An access through r10 that is not in the frame.
    #[error("offset {offset} of r10 is not within the {} bytes of the frame", FRAME_LEN)]
    Stack {
        /// Its offset.
        offset: i16,
    },
    /// File descriptors are the kernel's; whoever reads an object names its maps by index.
    #[error("refers to a map by file descriptor, which only the kernel has: maps go by index here")]
    MapByFd,
    /// The program has fewer maps.
    #[error("map {index} is not among the program's")]
    NoSuchMap {
        /// The index.
        index: u32,
    },
    /// Only an array that fits into the cage has an element 0 at a known address.
    #[error("map {index} is no array whose first element has an address")]
    NoDirectValue {
        /// The map.
        index: u32,
    },
    /// The address is behind the element.
    #[error("offset {offset} is not within the {value_len} bytes of a value of map {index}")]
    OutOfValue {
        /// The map.
        index: u32,
        /// Into the element.
        offset: u64,
        /// Bytes of the element.
        value_len: u32,
    },
    /// Platform variables do not exist in this engine.
    #[error("refers to a variable of the platform, which this target does not have")]
    Variable,
    /// `ld_abs` and `ld_ind` are for packets.
    #[error("legacy packet access, which this target does not have")]
    LegacyPacketLoad,
    /// Without any recursion, calls from here need too many frames.
    #[error("the call leads to more than {} frames", FRAMES_MAX)]
    CallDepth,
}

/// A helper's number, and its name if it has one.
struct Named(u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Helper::name_of(self.0) {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => self.0.fmt(f),
        }
    }
}
