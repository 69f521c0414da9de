//! The sandbox: runs a program it does not trust.
//!
//! [`Module::compile`] verifies a program's structure and translates it; [`Module::run`] executes it in a [`Cage`] with a budget of
//! [`Fuel`]. Whatever bytes a program is made of, a run ends in a value or a [`Trap`], touches only its cage, and takes time
//! proportional to its fuel (plus what its helpers charge). Two engines do the same: the interpreter, which is the specification,
//! and a JIT; they agree on result, memory and trap, and on fuel except after a memory trap. Start at [`Module::compile`].
//! Not here: Arrow, files, threads, and what the helpers of a target do ([`Helpers`]).
#![deny(unsafe_code)]

mod cage;
mod counting;
mod fuel;
mod helpers;
mod interpreter;
mod intrinsic;
mod jit;
mod memory;
mod module;
mod trap;
mod verify;

pub use cage::{Cage, CageError};
pub use counting::{BlockCount, Counted};
pub use fuel::{Fuel, OutOfFuel};
pub use helpers::{HelperFault, Helpers, NoHelpers};
pub use jit::{Fallback, JIT_SLOTS_MAX};
pub use memory::{Access, Memory, Operation, REGION_UNIT, Region};
pub use module::{Backend, Module};
pub use trap::Trap;
pub use verify::{Code, CompileError, FRAME_LEN, FRAMES_MAX, Reason, SLOTS_MAX};
