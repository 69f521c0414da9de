//! What generated code knows of the run it belongs to.

use crate::cage::Cage;
use crate::fuel::Fuel;
use crate::helpers::{HelperFault, Helpers};
use crate::verify::Program;

/// Most fuel that generated code and helpers are given: the code tells amounts below zero by their sign. At ten billion slots a second it lasts 14 years.
pub(super) const FUEL_MAX: u64 = 1 << 62;

/// One run, shared between generated code, the shim for helpers and the fault handler. Generated code addresses the fields by
/// `offset_of!`.
#[repr(C)]
pub(super) struct Context<'a> {
    /// Where the trampoline left the stack, for the way out.
    pub(super) saved_stack: usize,
    /// The budget while no function of the program has it in a register.
    pub(super) fuel: Fuel,
    /// Cage address 0.
    pub(super) base: usize,
    /// Machine code of the function that is the entry point.
    pub(super) target: usize,
    /// Machine code by function, for `callx`.
    pub(super) functions: *const usize,
    /// r1 to r5 of the entry point, then of every helper call.
    pub(super) arguments: [u64; 5],
    /// What a helper or wide arithmetic returns.
    pub(super) result: [u64; 2],
    /// How the run ended: a [`TrapKind`] and the slot of the instruction; 0 if it returned.
    pub(super) trap: u64,
    /// The value that caused the trap: see [`TrapKind`].
    pub(super) detail: u64,
    /// From here on, only Rust looks.
    pub(super) host: Host<'a>,
}

/// The Rust side of a run.
pub(super) struct Host<'a> {
    pub(super) cage: &'a mut Cage,
    pub(super) helpers: &'a mut dyn Helpers,
    pub(super) program: &'a Program,
    /// Tail calls so far.
    pub(super) tail_calls: u32,
    /// Why the last helper call failed.
    pub(super) fault: Option<HelperFault>,
    /// Where generated code faulted.
    pub(super) fault_pc: usize,
}

/// How generated code ended a run, and what `detail` then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum TrapKind {
    /// Nothing.
    OutOfFuel = 1,
    /// The address.
    Unaligned = 2,
    /// Nothing.
    CallDepth = 3,
    /// The register of `callx`.
    NotAFunction = 4,
    /// The helper's number; the reason is in [`Host::fault`].
    Helper = 5,
    /// The address the processor could not access; set by the fault handler. The slot is found by [`Host::fault_pc`].
    Memory = 6,
}

impl TrapKind {
    /// As in [`Context::trap`].
    pub(super) fn at(self, pc: usize) -> u64 {
        (self as u64) << 32 | pc as u64
    }

    /// Kind and slot of [`Context::trap`].
    pub(super) fn unpack(trap: u64) -> Option<(Self, u32)> {
        let kinds = [Self::OutOfFuel, Self::Unaligned, Self::CallDepth, Self::NotAFunction, Self::Helper, Self::Memory];
        kinds.into_iter().find(|&kind| kind as u64 == trap >> 32).map(|kind| (kind, trap as u32))
    }
}
