//! Other engines: of eBPF on the same byte code, in place over the arena; of WebAssembly on the same step, with the copies that ours makes.

mod rbpf;
mod solana;
mod wasm;

use std::sync::Arc;

use anyhow::Result;

use crate::data::Data;
use crate::machine::Machine;
use crate::steps::Step;

type Add<'a> = dyn FnMut(&'static str, Result<Option<Box<dyn Machine>>>) -> Result<()> + 'a;

/// Adds all of them.
pub(crate) fn add(data: &Arc<Data>, interpreters: bool, add: &mut Add<'_>) -> Result<()> {
    add("rbpf", rbpf::jit(data).map(Some))?;
    add("rbpf cranelift", rbpf::cranelift(data).map(Some))?;
    add("solana", solana::jit(data).map(Some))?;
    add("wasmtime", wasm::machine(data, false).map(Some))?;
    add("wasmtime fuel", wasm::machine(data, true).map(Some))?;
    if interpreters {
        add("rbpf interpreter", rbpf::interpreter(data).map(Some))?;
        add("solana interpreter", solana::interpreter(data).map(Some))?;
    }
    Ok(())
}

/// What it takes each of them to compile a step's program, by name.
pub(crate) fn compilers(step: &'static Step) -> Vec<(&'static str, Box<dyn FnMut() -> Result<()>>)> {
    vec![
        ("rbpf", Box::new(|| rbpf::compile(step))),
        ("rbpf cranelift", Box::new(|| rbpf::compile_cranelift(step))),
        ("solana", Box::new(|| solana::compile(step))),
        ("wasmtime", wasm::compiler(step)),
    ]
}

/// The program as bytes.
fn bytes(step: &Step) -> Vec<u8> {
    step.code.iter().flat_map(|slot| slot.to_bytes()).collect()
}
