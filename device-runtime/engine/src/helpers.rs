//! What a program may call: the caller of [`Module::run`](crate::Module::run) implements [`Helpers`]; intrinsics are the engine's own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fuel::{Fuel, OutOfFuel};
use crate::memory::{Memory, Operation};
use crate::trap::Trap;

/// The helpers of a target, except intrinsics.
pub trait Helpers {
    /// Runs helper `number` (one that the verifier accepted for the module's target) on r1 to r5, and returns r0.
    ///
    /// Charges `fuel` for what it will touch before touching it, and reaches the program's memory through `memory` only. A panic
    /// is caught and becomes [`HelperFault::Panicked`].
    ///
    /// # Errors
    /// Whatever makes the call impossible; the run ends with a trap.
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault>;
}

/// For programs that call none: answers every call with [`HelperFault::Missing`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHelpers;

impl Helpers for NoHelpers {
    fn call(&mut self, _: u32, _: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
        Err(HelperFault::Missing)
    }
}

/// Why a helper did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelperFault {
    /// The budget does not cover the work; the trap is [`Trap::OutOfFuel`](crate::Trap::OutOfFuel).
    #[error(transparent)]
    OutOfFuel(#[from] OutOfFuel),
    /// The range is not inside one region that allows the operation.
    #[error("{operation} of {len} bytes at {address:#x} is in no region")]
    Memory {
        /// What was tried.
        operation: Operation,
        /// Cage address.
        address: u32,
        /// Bytes.
        len: u64,
    },
    /// An argument means nothing to this helper: no such column, parameter, operator.
    #[error("argument {index} is {value:#x}")]
    Argument {
        /// 1 to 5, as in r1 to r5.
        index: u8,
        /// What it holds.
        value: u64,
    },
    /// The maps attached to the cage have no such CPU: the caller's mistake, not the program's.
    #[error("runs on CPU {cpu}, and the maps have {cpus}")]
    Cpu {
        /// Where the run is.
        cpu: u32,
        /// How many the maps have.
        cpus: u32,
    },
    /// This device has no such helper.
    #[error("not on this device")]
    Missing,
    /// A bug in the helper.
    #[error("panicked")]
    Panicked,
}

/// Calls a helper so that a panic in it ends the run, not the process.
pub(crate) fn invoke(
    helpers: &mut dyn Helpers,
    number: u32,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    // Unwind safety: after a panic the run is over, and its output is discarded with the state the helper may have left half done.
    catch_unwind(AssertUnwindSafe(|| helpers.call(number, arguments, memory, fuel))).unwrap_or(Err(HelperFault::Panicked))
}

/// What a helper's fault does to the run.
pub(crate) fn helper_trap(pc: u32, number: u32, fault: HelperFault) -> Trap {
    match fault {
        HelperFault::OutOfFuel(_) => Trap::OutOfFuel { pc },
        fault => Trap::Helper { pc, number, fault },
    }
}
