//! `rbpf`: memory is a slice at its own address. The interpreter and the code by Cranelift check every access, the x86 JIT checks none; none is metered.
#![expect(unsafe_code, reason = "calls unchecked machine code, and lends it the arena")]

use std::sync::Arc;

use anyhow::Result;
use rbpf::EbpfVmMbuff;

use super::bytes;
use crate::data::Data;
use crate::machine::Machine;
use crate::steps::Step;

pub(super) fn interpreter(data: &Arc<Data>) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Interpreter(Rbpf::new(data)?)))
}

pub(super) fn jit(data: &Arc<Data>) -> Result<Box<dyn Machine>> {
    let mut rbpf = Rbpf::new(data)?;
    rbpf.vm.jit_compile()?;
    Ok(Box::new(Jit(rbpf)))
}

pub(super) fn cranelift(data: &Arc<Data>) -> Result<Box<dyn Machine>> {
    let mut rbpf = Rbpf::new(data)?;
    rbpf.vm.cranelift_compile()?;
    Ok(Box::new(Cranelift(rbpf)))
}

pub(super) fn compile(step: &Step) -> Result<()> {
    Ok(EbpfVmMbuff::new(Some(&bytes(step)))?.jit_compile()?)
}

pub(super) fn compile_cranelift(step: &Step) -> Result<()> {
    Ok(EbpfVmMbuff::new(Some(&bytes(step)))?.cranelift_compile()?)
}

struct Rbpf {
    /// Borrows its program for as long as it lives, so that one is leaked; a bench has few.
    vm: EbpfVmMbuff<'static>,
    data: Arc<Data>,
}

impl Rbpf {
    fn new(data: &Arc<Data>) -> Result<Self> {
        Ok(Self { vm: EbpfVmMbuff::new(Some(bytes(data.step).leak()))?, data: data.clone() })
    }

    /// The memory for as long as the machine wants it.
    fn memory(&self) -> &'static mut [u8] {
        self.data.clear();
        // SAFETY: the one use is during `run`; nothing else looks at the arena meanwhile, and nothing keeps the slice.
        unsafe { &mut *self.data.arena.view() }
    }
}

struct Interpreter(Rbpf);

impl Machine for Interpreter {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        Ok(self.0.vm.execute_program(&[], memory)?)
    }

    fn output(&mut self) -> Vec<u8> {
        self.0.data.output()
    }
}

struct Jit(Rbpf);

impl Machine for Jit {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        // SAFETY: nothing is checked there; the steps' programs stay in their memory, as all other machines prove.
        Ok(unsafe { self.0.vm.execute_program_jit(&mut [], memory) }?)
    }

    fn output(&mut self) -> Vec<u8> {
        self.0.data.output()
    }
}

struct Cranelift(Rbpf);

impl Machine for Cranelift {
    fn run(&mut self) -> Result<u64> {
        let memory = self.0.memory();
        Ok(self.0.vm.execute_program_cranelift(&mut [], memory)?)
    }

    fn output(&mut self) -> Vec<u8> {
        self.0.data.output()
    }
}
