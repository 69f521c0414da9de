//! What each fuzz target does with an input, and the inputs to begin with.
//!
//! Start at [`TARGETS`]. The fuzzers of `fuzz/` feed them under a nightly toolchain; this crate's own tests replay what is kept in `fuzz/kept/`, and spoilt copies of it,
//! with the toolchain of everything else. `docs/fuzzing.md` has the commands. A finding is a panic, or the end of the process.
#![forbid(unsafe_code)]

mod assembler;
mod capture;
mod choices;
#[cfg(feature = "device")]
mod device;
mod fragments;
mod maps;
mod object;
mod packet;
mod program;
mod setup;
mod slots;
mod verifier;

// What the engine's own tests have: cages of a known layout, both engines side by side, and the generator of programs.
#[expect(dead_code, reason = "the engine's tests use all of it")]
#[path = "../../../device-runtime/engine/tests/engine/common.rs"]
mod common;
#[path = "../../../device-runtime/engine/tests/engine/generate/mod.rs"]
mod generate;
#[path = "../../../device-runtime/engine/tests/engine/generated.rs"]
mod generated;
#[path = "../../../device-runtime/engine/tests/engine/lanes.rs"]
mod lanes;

use choices::Choices;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What fuzzers and folders call it.
    pub name: &'static str,
    /// Most memory on the heap that an input may take, bytes; and so much more for each byte of it.
    pub memory: (usize, usize),
    /// Makes what all inputs share, before memory is counted.
    pub prepare: fn(),
    /// Does with an input what there is to do. `false`: it is not worth keeping.
    pub check: fn(&[u8]) -> bool,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target of this build.
pub const TARGETS: &[Target] = &[
    object::TARGET,
    assembler::TARGET,
    verifier::TARGET,
    program::TARGET,
    packet::TARGET,
    maps::TARGET,
    setup::TARGET,
    capture::TARGET,
    #[cfg(feature = "device")]
    device::columnar::TARGET,
    #[cfg(feature = "device")]
    device::parquet::TARGET,
    #[cfg(feature = "device")]
    device::wire::TARGET,
];

impl Target {
    /// The target of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
