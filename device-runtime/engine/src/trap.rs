//! How a run ends when it ends badly.

use crate::helpers::HelperFault;
use crate::memory::Operation;

/// A program broke a rule that the verifier leaves to run time.
///
/// The program's fault, never the device's: partial output is discarded and the host runs the fragment itself. `pc` is the slot of
/// the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// A load or store of memory the program may not access so.
    #[error("instruction {pc}: {operation} at {address:#x}, which is not mapped for it")]
    Memory {
        /// Where.
        pc: u32,
        /// What was tried; an atomic operation is a store.
        operation: Operation,
        /// Cage address of the first byte of the access that is out of bounds.
        address: u32,
    },
    /// An atomic operation on an address that is no multiple of its size.
    #[error("instruction {pc}: atomic operation at unaligned address {address:#x}")]
    Unaligned {
        /// Where.
        pc: u32,
        /// Cage address.
        address: u32,
    },
    /// The budget is used up; see [`Fuel`](crate::Fuel) for what is charged where.
    #[error("instruction {pc}: fuel used up")]
    OutOfFuel {
        /// The backward jump, the first slot of the function entered, or the call of the helper.
        pc: u32,
    },
    /// A call would make a ninth frame.
    #[error("instruction {pc}: more than 8 frames")]
    CallDepth {
        /// The call.
        pc: u32,
    },
    /// `callx` on a register that holds neither the address of a function nor the number of a helper of the target.
    #[error("instruction {pc}: callx to {value:#x}, which is no function")]
    NotAFunction {
        /// The call.
        pc: u32,
        /// What the register holds.
        value: u64,
    },
    /// A helper refused its arguments.
    #[error("instruction {pc}: helper {number}: {fault}")]
    Helper {
        /// The call.
        pc: u32,
        /// Which helper.
        number: u32,
        /// Its reason.
        fault: HelperFault,
    },
    /// The module has no entry point there: the caller's mistake, not the program's.
    #[error("slot {entry} is no entry point of this module")]
    NoSuchEntry {
        /// The slot asked for.
        entry: u32,
    },
    /// The fault handlers of the process could not be installed; the interpreter can run the program.
    #[error("cannot install the fault handlers: errno {errno}")]
    NoFaultHandler {
        /// What the system said.
        errno: i32,
    },
}

impl Trap {
    /// Slot of the instruction it happened at; `None` if none was executed.
    pub fn pc(&self) -> Option<u32> {
        match *self {
            Self::Memory { pc, .. }
            | Self::Unaligned { pc, .. }
            | Self::OutOfFuel { pc }
            | Self::CallDepth { pc }
            | Self::NotAFunction { pc, .. }
            | Self::Helper { pc, .. } => Some(pc),
            Self::NoSuchEntry { .. } | Self::NoFaultHandler { .. } => None,
        }
    }
}
