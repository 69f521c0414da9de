//! Judges of all crates together: the real binaries in other processes, real queries, real signals. The tests are in `tests/`.
//!
//! Here is what they share: [`Tables`] to ask about, a [`Daemon`] to ask, [`nearside`](fn@nearside) to ask with, and [`Process`] to see what a process is doing.
//! Nothing waits for a time: [`wait_until`] waits for a condition, with a bound.
#![forbid(unsafe_code)]

mod command;
mod daemon;
mod process;
mod s3;
mod tables;
mod terminal;

pub use command::{Outcome, binary, finish, nearside, run, target_folder};
pub use daemon::Daemon;
pub use process::{Process, wait_until};
pub use s3::S3;
pub use tables::Tables;
pub use terminal::{Streams, Terminal};
