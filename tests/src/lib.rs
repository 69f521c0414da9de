//! Judges of all crates together: the real binaries in other processes, real queries, real signals. The tests are in `tests/`.
//!
//! Here is what they share: [`Tables`] to ask about, a [`Daemon`] to ask, [`nearside`] to ask with, and [`Process`] to see what a process is doing.
//! Nothing waits for a time: [`wait_until`] waits for a condition, with a bound.
#![forbid(unsafe_code)]

mod command;
mod daemon;
mod process;
mod tables;

pub use command::{Outcome, binary, nearside, run, target_folder};
pub use daemon::Daemon;
pub use process::{Process, wait_until};
pub use tables::Tables;
