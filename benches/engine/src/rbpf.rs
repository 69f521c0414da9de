//! `rbpf`: memory is a slice at its own address. The interpreter and the code by Cranelift check every access, the x86 JIT checks none; none is metered.

use anyhow::Result;
use rbpf::EbpfVmMbuff;

use crate::machine::Machine;
use crate::workload::{Memory, Workload};

pub(crate) fn interpreter(workload: &Workload) -> Result<Box<dyn Machine>> {
    let rbpf = Rbpf::new(workload)?;
    Ok(Box::new(Interpreter(rbpf)))
}

pub(crate) fn jit(workload: &Workload) -> Result<Box<dyn Machine>> {
    let mut rbpf = Rbpf::new(workload)?;
    rbpf.vm.jit_compile()?;
    Ok(Box::new(Jit(rbpf)))
}

pub(crate) fn cranelift(workload: &Workload) -> Result<Box<dyn Machine>> {
    let mut rbpf = Rbpf::new(workload)?;
    rbpf.vm.cranelift_compile()?;
    Ok(Box::new(Cranelift(rbpf)))
}

struct Rbpf {
    /// Borrows its program for as long as it lives, so that one is leaked; a bench has few.
    vm: EbpfVmMbuff<'static>,
    memory: Memory,
}

impl Rbpf {
    fn new(workload: &Workload) -> Result<Self> {
        let program: Vec<u8> = workload.code.iter().flat_map(|slot| slot.to_bytes()).collect();
        Ok(Self { vm: EbpfVmMbuff::new(Some(program.leak()))?, memory: workload.memory.clone() })
    }

    /// The memory for as long as the machine wants it.
    fn memory(&mut self) -> &'static mut [u8] {
        let bytes = self.memory.bytes_mut();
        // SAFETY: the one use is during `run`, which has `self` and with it the memory for itself, and nothing keeps the slice.
        unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()) }
    }
}

struct Interpreter(Rbpf);

impl Machine for Interpreter {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        Ok(self.0.vm.execute_program(&[], memory)?)
    }
}

struct Jit(Rbpf);

impl Machine for Jit {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        // SAFETY: nothing is checked there; the workloads' programs stay in their memory, as all other machines prove.
        Ok(unsafe { self.0.vm.execute_program_jit(&mut [], memory) }?)
    }
}

struct Cranelift(Rbpf);

impl Machine for Cranelift {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        Ok(self.0.vm.execute_program_cranelift(&mut [], memory)?)
    }
}
