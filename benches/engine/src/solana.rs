//! `solana-sbpf`: memory is the input region; every access is translated, every instruction metered. With the configuration it ships.

use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use solana_sbpf::aligned_memory::AlignedMemory;
use solana_sbpf::ebpf;
use solana_sbpf::elf::Executable;
use solana_sbpf::memory_region::{MemoryMapping, MemoryRegion};
use solana_sbpf::program::{BuiltinProgram, FunctionRegistry, SBPFVersion};
use solana_sbpf::verifier::RequisiteVerifier;
use solana_sbpf::vm::{CallFrame, Config, ContextObject, EbpfVm, ExecutionMode};

use crate::machine::Machine;
use crate::workload::{Memory, Workload};

pub(crate) fn interpreter(workload: &Workload) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Solana::new(workload, ExecutionMode::Interpreted)?))
}

pub(crate) fn jit(workload: &Workload) -> Result<Box<dyn Machine>> {
    let solana = Solana::new(workload, ExecutionMode::Jit)?;
    solana.executable.jit_compile().map_err(|error| anyhow!("{error}"))?;
    Ok(Box::new(solana))
}

struct Solana {
    executable: Executable<Context>,
    mode: ExecutionMode,
    context: Context,
    frames: Vec<CallFrame>,
    stack_len: usize,
    /// What the context's mapping points to.
    _stack: AlignedMemory<{ ebpf::HOST_ALIGN }>,
    _memory: Memory,
}

impl Solana {
    fn new(workload: &Workload, mode: ExecutionMode) -> Result<Self> {
        let text: Vec<u8> = workload.code.iter().flat_map(|slot| slot.to_bytes()).collect();
        let loader = Arc::new(BuiltinProgram::new_loader(Config::default()));
        // The version whose instructions are eBPF's.
        let version = SBPFVersion::V0;
        let executable = Executable::from_text_bytes(&text, loader, version, FunctionRegistry::default())
            .map_err(|error| anyhow!("{error}"))?;
        executable.verify::<RequisiteVerifier>().map_err(|error| anyhow!("{error}"))?;
        let config = executable.get_config();
        let mut stack = AlignedMemory::zero_filled(config.stack_size());
        let stack_len = stack.len();
        let mut memory = workload.memory.clone();
        let regions = vec![
            executable.get_ro_region(),
            MemoryRegion::new_gapped(&mut stack, ebpf::MM_STACK_START, config.stack_frame_size as u64),
            MemoryRegion::new(&raw mut *memory.bytes_mut(), ebpf::MM_INPUT_START),
        ];
        // SAFETY: stack and memory are on the heap and live in the same struct as the mapping, which nothing else uses.
        let mapping = unsafe { MemoryMapping::new(regions, config, version) }.map_err(|error| anyhow!("{error}"))?;
        let frames = vec![CallFrame::default(); config.max_call_depth];
        let context = Context { remaining: 0, mapping };
        Ok(Self { executable, mode, context, frames, stack_len, _stack: stack, _memory: memory })
    }
}

impl Machine for Solana {
    fn run(&mut self) -> Result<u64> {
        self.context.remaining = i64::MAX as u64;
        let (loader, version) = (Arc::clone(self.executable.get_loader()), self.executable.get_sbpf_version());
        let mut vm = EbpfVm::new(loader, version, &mut self.context, self.stack_len);
        vm.registers[1] = ebpf::MM_INPUT_START;
        let (_, result) = vm.execute_program(&self.executable, &mut self.mode, &mut self.frames);
        Result::from(result).map_err(|error| anyhow!("{error}"))
    }
}

/// What the machine meters with, and where its memory is.
struct Context {
    remaining: u64,
    mapping: MemoryMapping,
}

impl ContextObject for Context {
    fn consume(&mut self, amount: u64) {
        self.remaining = self.remaining.saturating_sub(amount);
    }

    fn get_remaining(&self) -> u64 {
        self.remaining
    }

    fn active_mapping_ptr(&mut self) -> NonNull<MemoryMapping> {
        NonNull::from_mut(&mut self.mapping)
    }
}
