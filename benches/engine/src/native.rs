//! The same work in Rust, as the compiler likes it for this processor's baseline: what a sandbox costs.

use anyhow::Result;

use crate::machine::Machine;
use crate::workload::{Memory, Workload};

pub(crate) fn machine(workload: &Workload) -> Box<dyn Machine> {
    Box::new(Native { memory: workload.memory.clone(), work: workload.native })
}

struct Native {
    memory: Memory,
    work: fn(&mut Memory) -> u64,
}

impl Machine for Native {
    fn run(&mut self) -> Result<u64> {
        Ok((self.work)(&mut self.memory))
    }
}
