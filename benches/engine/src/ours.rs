//! `nearside-engine`: memory is a region of the cage.

use anyhow::{Result, ensure};
use nearside_engine::{Access, Backend, Cage, Code, Fuel, Module, NoHelpers, REGION_UNIT, Region};
use nearside_programs::manifest::Target;

use crate::machine::Machine;
use crate::workload::Workload;

/// Where the region begins.
const START: u32 = REGION_UNIT;

pub(crate) fn jit(workload: &Workload) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Ours::new(workload, Backend::Jit)?))
}

pub(crate) fn interpreter(workload: &Workload) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Ours::new(workload, Backend::Interpreter)?))
}

struct Ours {
    module: Module,
    cage: Cage,
}

impl Ours {
    fn new(workload: &Workload, backend: Backend) -> Result<Self> {
        let code = Code { slots: &workload.code, entries: &[0], maps: &[], target: Target::Columnar };
        let module = Module::compile(code, backend)?;
        ensure!(module.backend() == backend, "{:?}", module.fallback());
        let bytes = workload.memory.bytes();
        let len = u32::try_from(bytes.len())?.next_multiple_of(REGION_UNIT);
        let mut cage = Cage::new(&[Region { start: START, len, reserved: len, access: Access::ReadWrite }])?;
        cage.region_mut(0)[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { module, cage })
    }
}

impl Machine for Ours {
    fn run(&mut self) -> Result<u64> {
        let mut fuel = Fuel(u64::MAX);
        Ok(self.module.run(&mut self.cage, 0, [START.into(), 0, 0, 0, 0], &mut fuel, &mut NoHelpers)?)
    }
}
