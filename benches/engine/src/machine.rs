//! What runs a workload.

use anyhow::Result;

use crate::workload::{ROWS_CACHED, Workload};
use crate::{native, ours, rbpf, solana};

/// One way to run one workload, ready to run: compiled, its memory a copy of the workload's.
pub trait Machine {
    /// Runs the program once over all rows, and returns r0.
    ///
    /// # Errors
    /// The program was stopped: the bench is broken.
    fn run(&mut self) -> Result<u64>;
}

/// Every machine for a workload, by the name of its column; the engine's JIT, which the others are compared with, first. Interpreters, which memory
/// does not slow down, are left out where there are many rows.
///
/// # Errors
/// One of them refuses the program.
pub fn machines(workload: &Workload) -> Result<Vec<(&'static str, Box<dyn Machine>)>> {
    let mut machines: Vec<(&'static str, Box<dyn Machine>)> = vec![
        ("ours, JIT", ours::jit(workload)?),
        ("Rust", native::machine(workload)),
        ("rbpf, x86 JIT", rbpf::jit(workload)?),
        ("rbpf, Cranelift", rbpf::cranelift(workload)?),
        ("solana, JIT", solana::jit(workload)?),
    ];
    if workload.rows <= ROWS_CACHED {
        machines.extend([
            ("ours, interp.", ours::interpreter(workload)?),
            ("rbpf, interp.", rbpf::interpreter(workload)?),
            ("solana, interp.", solana::interpreter(workload)?),
        ]);
    }
    Ok(machines)
}
