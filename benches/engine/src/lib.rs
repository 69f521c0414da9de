//! Our engine and its peers on the same byte code.
//!
//! A [`Workload`] is a program, the memory it works on, and the same in Rust. A [`Machine`] is one way to run it. `benches/engine.rs` runs every
//! workload on every machine, side by side, and prints ns a row. x86-64 only, as the peers' JITs are.

mod machine;
mod native;
mod ours;
mod rbpf;
mod solana;
mod table;
mod workload;

pub use machine::{Machine, machines};
pub use table::Table;
pub use workload::{Workload, workloads};
