//! A plain program: instructions as hex on standard input, one piece of memory, r0 as the result.
//!
//! Conformance runners start a process a test: memory as the first argument, options (or nothing) as the second, the program on standard input. Helpers
//! are those of the `packet` target, without a packet.

use std::io::{self, Read, Write};

use anyhow::{Context, anyhow, ensure};
use nearside_engine::packet::Environment;
use nearside_engine::{Access, Backend, Cage, Code, CompileError, Fuel, Module, REGION_UNIT, Region, SLOTS_MAX, Trap};
use nearside_programs::isa::{Slot, decode};
use nearside_programs::manifest::Target;

use crate::{Usage, hex};

/// Most bytes of the memory.
const MEMORY_LEN_MAX: usize = 64 << 20;
/// Most bytes of the program's text: every slot, with room for white space.
const TEXT_LEN_MAX: u64 = 4 * (SLOTS_MAX * Slot::LEN) as u64;
/// `get_prandom_u32` gives the same numbers in every run.
const SEED: u64 = 0;
/// Where the memory begins.
const MEMORY: u32 = REGION_UNIT;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Memory of the program, hex bytes: readable and writable.
    #[arg(long = "memory", value_name = "HEX", conflicts_with = "positional")]
    memory: Option<String>,
    /// The program, hex bytes, instead of standard input.
    #[arg(long, value_name = "HEX")]
    program: Option<String>,
    /// Most instructions it may execute, as a bound.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000_000)]
    fuel: u64,
    /// As --memory, the way conformance runners give it.
    #[arg(value_name = "MEMORY")]
    positional: Option<String>,
    /// Runners that have no options to pass on pass an empty text.
    #[arg(hide = true, value_parser = blank)]
    no_options: Option<String>,
}

fn blank(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Ok(String::new()) } else { Err("one argument is enough: the memory") }
}

/// Runs a program and prints r0.
pub(crate) fn run(arguments: &Arguments, backend: Backend) -> anyhow::Result<()> {
    let memory = arguments.memory.as_ref().or(arguments.positional.as_ref());
    let memory = hex::parse(memory.map_or("", String::as_str)).map_err(|error| Usage(format!("memory: {error}")))?;
    if memory.len() > MEMORY_LEN_MAX {
        return Err(Usage(format!("memory: {} bytes; the limit is {MEMORY_LEN_MAX}", memory.len())).into());
    }
    let slots = match &arguments.program {
        Some(text) => slots(text),
        None => slots(&read_program()?),
    }?;
    let r0 = execute(&slots, &memory, backend, arguments.fuel)?;
    writeln!(io::stdout(), "{r0:x}").context("standard output")
}

fn read_program() -> anyhow::Result<String> {
    let mut text = Vec::new();
    io::stdin().take(TEXT_LEN_MAX + 1).read_to_end(&mut text).context("standard input")?;
    ensure!(text.len() as u64 <= TEXT_LEN_MAX, "program: more than {TEXT_LEN_MAX} characters");
    String::from_utf8(text).context("program: hex digits are expected on standard input")
}

/// What is no whole slots is a mistake on the way here, not the program's: a usage error.
fn slots(text: &str) -> anyhow::Result<Vec<Slot>> {
    let bytes = hex::parse(text).map_err(|error| Usage(format!("program: {error}")))?;
    let (slots, rest) = bytes.as_chunks::<{ Slot::LEN }>();
    if !rest.is_empty() {
        return Err(Usage(format!("program: {} bytes are no whole instructions of {} bytes", bytes.len(), Slot::LEN)).into());
    }
    Ok(slots.iter().map(|bytes| Slot::from_bytes(*bytes)).collect())
}

fn execute(slots: &[Slot], memory: &[u8], backend: Backend, fuel: u64) -> anyhow::Result<u64> {
    let code = Code { slots, entries: &[0], maps: &[], target: Target::Packet };
    let module = Module::compile(code, backend).map_err(|error| rejected(slots, error))?;
    if let Some(fallback) = module.fallback() {
        eprintln!("nearside-run: interpreted: {fallback}");
    }
    let mut cage = cage(memory).context("no memory for the program")?;
    let address = if memory.is_empty() { 0 } else { u64::from(MEMORY) };
    let arguments = [address, memory.len() as u64, 0, 0, 0];
    module.run(&mut cage, 0, arguments, &mut Fuel(fuel), &mut Environment::new(0, SEED)).map_err(|trap| trapped(slots, trap))
}

fn cage(memory: &[u8]) -> Result<Cage, nearside_engine::CageError> {
    if memory.is_empty() {
        return Cage::new(&[]);
    }
    let len = (memory.len() as u32).next_multiple_of(REGION_UNIT);
    let mut cage = Cage::new(&[Region { start: MEMORY, len, reserved: len, access: Access::ReadWrite }])?;
    cage.region_mut(0)[..memory.len()].copy_from_slice(memory);
    Ok(cage)
}

/// A refusal with the instruction.
pub(crate) fn rejected(slots: &[Slot], error: CompileError) -> anyhow::Error {
    let pc = match &error {
        CompileError::Instruction { pc, .. } => Some(*pc),
        _ => None,
    };
    anyhow!("rejected: {error}{}", instruction(slots, pc))
}

/// A trap with the instruction.
pub(crate) fn trapped(slots: &[Slot], trap: Trap) -> anyhow::Error {
    anyhow!("trap: {trap}{}", instruction(slots, trap.pc().map(|pc| pc as usize)))
}

/// The instruction an error is about, as text behind it.
fn instruction(slots: &[Slot], pc: Option<usize>) -> String {
    let instruction = pc.and_then(|pc| decode(slots, pc).ok());
    instruction.map_or_else(String::new, |instruction| format!(" ({instruction})"))
}
