//! `solana-sbpf`: memory is the input region; every access is translated, every instruction metered. With the configuration it ships.
#![expect(unsafe_code, reason = "lends it the arena")]

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

use super::bytes;
use crate::data::Data;
use crate::machine::Machine;
use crate::steps::Step;

/// The version whose instructions are eBPF's.
const VERSION: SBPFVersion = SBPFVersion::V0;

pub(super) fn interpreter(data: &Arc<Data>) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Solana::new(data, ExecutionMode::Interpreted)?))
}

pub(super) fn jit(data: &Arc<Data>) -> Result<Box<dyn Machine>> {
    Ok(Box::new(Solana::new(data, ExecutionMode::Jit)?))
}

pub(super) fn compile(step: &Step) -> Result<()> {
    executable(step)?.jit_compile().map_err(|error| anyhow!("{error}"))
}

fn executable(step: &Step) -> Result<Executable<Context>> {
    let loader = Arc::new(BuiltinProgram::new_loader(Config::default()));
    let executable = Executable::from_text_bytes(&bytes(step), loader, VERSION, FunctionRegistry::default())
        .map_err(|error| anyhow!("{error}"))?;
    executable.verify::<RequisiteVerifier>().map_err(|error| anyhow!("{error}"))?;
    Ok(executable)
}

struct Solana {
    executable: Executable<Context>,
    mode: ExecutionMode,
    context: Context,
    frames: Vec<CallFrame>,
    stack_len: usize,
    /// What the context's mapping points to.
    _stack: AlignedMemory<{ ebpf::HOST_ALIGN }>,
    data: Arc<Data>,
}

impl Solana {
    fn new(data: &Arc<Data>, mode: ExecutionMode) -> Result<Self> {
        let executable = executable(data.step)?;
        if let ExecutionMode::Jit = mode {
            executable.jit_compile().map_err(|error| anyhow!("{error}"))?;
        }
        let config = executable.get_config();
        let mut stack = AlignedMemory::zero_filled(config.stack_size());
        let stack_len = stack.len();
        let regions = vec![
            executable.get_ro_region(),
            MemoryRegion::new_gapped(&mut stack, ebpf::MM_STACK_START, config.stack_frame_size as u64),
            MemoryRegion::new(data.arena.view(), ebpf::MM_INPUT_START),
        ];
        // SAFETY: stack and arena are on the heap and live as long as the mapping; nothing else looks at them while it is used.
        let mapping = unsafe { MemoryMapping::new(regions, config, VERSION) }.map_err(|error| anyhow!("{error}"))?;
        let frames = vec![CallFrame::default(); config.max_call_depth];
        let context = Context { remaining: 0, mapping };
        Ok(Self { executable, mode, context, frames, stack_len, _stack: stack, data: data.clone() })
    }
}

impl Machine for Solana {
    fn run(&mut self) -> Result<u64> {
        self.data.clear();
        self.context.remaining = i64::MAX as u64;
        let loader = Arc::clone(self.executable.get_loader());
        let mut vm = EbpfVm::new(loader, VERSION, &mut self.context, self.stack_len);
        vm.registers[1] = ebpf::MM_INPUT_START;
        let (_, result) = vm.execute_program(&self.executable, &mut self.mode, &mut self.frames);
        Result::from(result).map_err(|error| anyhow!("{error}"))
    }

    fn output(&mut self) -> Vec<u8> {
        self.data.output()
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
