//! The sandbox: runs a program it does not trust.
//!
//! [`Module::compile`] verifies a program's structure and translates it; [`Module::run`] executes it in a [`Cage`] with a budget of
//! [`Fuel`]. Whatever bytes a program is made of, a run ends in a value or a [`Trap`], touches only its cage, and takes time
//! proportional to its fuel (plus what its helpers charge). Two engines do the same: the interpreter, which is the specification,
//! and a JIT; they agree on result, memory and trap, and on fuel except after a memory trap. Start at [`Module::compile`],
//! or at [`CompileCache::module`] where many threads want many programs.
//! [`packet::PacketCage`] runs XDP programs over packets. Not here: Arrow, files, threads, and what the helpers of other targets do ([`Helpers`]).
//!
//! ```
//! use nearside_engine::{Access, Backend, Cage, Code, Fuel, Module, NoHelpers, Region};
//! use nearside_programs::{assemble, manifest::Target};
//!
//! let program = assemble("r0 = *(u8 *)(r1 + 0x2)\n r0 += r2\n exit")?;
//! let code = Code { slots: &program.code, entries: &[0], maps: &[], target: Target::Columnar };
//! let module = Module::compile(code, Backend::Jit)?;
//!
//! let mut cage = Cage::new(&[Region { start: 0x1_0000, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadOnly }])?;
//! cage.region_mut(0)[2] = 40;
//! let mut fuel = Fuel(1_000);
//! assert_eq!(module.run(&mut cage, 0, [0x1_0000, 2, 0, 0, 0], &mut fuel, &mut NoHelpers)?, 42);
//! let trap = module.run(&mut cage, 0, [0xdead_0000, 2, 0, 0, 0], &mut fuel, &mut NoHelpers).unwrap_err();
//! assert_eq!(trap.to_string(), "instruction 0: load at 0xdead0002, which is not mapped for it");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_endian = "little", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("the cage and its fault handlers are written for Linux on x86-64 and aarch64");

mod cache;
mod cage;
mod counting;
mod fuel;
mod helpers;
mod interpreter;
mod intrinsic;
mod jit;
mod maps;
mod memory;
mod module;
pub mod packet;
mod shared;
mod trap;
#[cfg(nearside_unchecked)]
mod unchecked;
mod verify;

pub use cache::{CacheLimits, CodeKey, CompileCache};
pub use cage::{Cage, CageError};
pub use counting::{BlockCount, Counted};
pub use fuel::{Fuel, OutOfFuel};
pub use helpers::{HelperFault, Helpers, NoHelpers};
pub use jit::{Fallback, JIT_LOOPS_MAX, JIT_SLOTS_MAX, JIT_TIME_MAX};
pub use maps::{
    Batch, CPUS_MAX, EVENT_LEN_MAX, EVENT_QUEUE_LEN, Entry, MapError, MapHelpers, MapLimits, MapReader, MapSetup, MapWriter,
    Maps, MapsError, PacketBytes, RESERVED_MAX, SpecError,
};
pub use memory::{Access, Memory, Operation, REGION_UNIT, Region};
pub use module::{Backend, Module};
pub use trap::Trap;
#[cfg(nearside_unchecked)]
pub use unchecked::Without;
pub use verify::{Code, CompileError, FRAME_LEN, FRAMES_MAX, Reason, SLOTS_MAX};
