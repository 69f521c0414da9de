//! Runs a `columnar` program over record batches.
//!
//! [`Program::load`] checks an object; a [`Worker`] is one thread's share of one execution: its cage, its group table, its counters. Between batches it can be
//! an [`Instance`], without a cage.
//! The contract with programs is [`nearside_programs::abi::columnar`]. Whatever a program does, a call ends with a result that has the
//! promised shape or with a [`DeviceError`](crate::DeviceError). Not here: Parquet, threads, morsels.

mod aggregate;
mod batch;
mod bitmap;
mod groups;
mod helpers;
mod instance;
mod layout;
mod load;
mod output;
mod pool;
mod program;
mod proof;
mod runner;
mod stopwatch;
#[cfg(test)]
mod tests;
mod text;
mod vector;
mod worker;

pub use helpers::vector_helpers;
pub use instance::Instance;
pub use program::{COMPILE_PATIENCE, Program};
pub use worker::Worker;

/// What a worker did since its counters were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of entry points.
    pub calls: u64,
    /// Of those, calls of a narrow version.
    pub narrow_calls: u64,
    /// Calls of vector helpers.
    pub helper_calls: u64,
    /// Fuel used.
    pub fuel: u64,
    /// Time in byte code, without vector helpers; this and the two below are estimated from some of the calls, where there are many.
    pub bytecode_ns: u64,
    /// Time in vector helpers.
    pub helper_ns: u64,
    /// Time copying into the cage and making results.
    pub assemble_ns: u64,
}
