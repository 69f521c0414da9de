//! Translation that leaves checks out, so that a bench can say what they cost. **Not a sandbox.**
//!
//! This module exists only if the compiler is told `--cfg nearside_unchecked`, as `cargo bench -p nearside-benches --bench engine` tells it. It is no Cargo
//! feature on purpose: features of one crate are switched on for all others of a build, and no dependency can switch this on.
#![expect(unsafe_code, reason = "what is compiled here may touch any memory")]

use std::sync::Arc;

use nearside_programs::isa::{Instruction, Operand, Reg};

use crate::jit::{self, Checks, Fallback};
use crate::module::{Module, Translated};
use crate::verify::{Code, CompileError, verify};

/// Which checks are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Time is not bounded; memory is.
    Fuel,
    /// Addresses are the processor's own, 64 bits wide, and nothing is bounded.
    FuelAndCage,
}

impl Module {
    /// As [`Module::compile`] for the JIT, without some checks.
    ///
    /// What leaves the cage out takes only arithmetic, jumps, loads and stores; other programs have a [`Module::fallback`].
    ///
    /// # Safety
    /// 1. Every run of the module ends.
    /// 2. With [`Without::FuelAndCage`], every address that a run computes and accesses is one that it may access so.
    ///
    /// # Errors
    /// The program breaks a rule of the verifier.
    pub unsafe fn compile_without(code: Code<'_>, without: Without) -> Result<Self, CompileError> {
        let program = Arc::new(verify(code)?);
        let checks = Checks { cage: without == Without::Fuel, fuel: false };
        let translated = if checks.cage || program.iter().all(|(_, instruction)| is_plain(&instruction)) {
            jit::compile(&program, checks)
        } else {
            Err(Fallback::Codegen { reason: "without a cage there are no calls, no stack and no atomic operations".to_owned() })
        };
        Ok(Self { program, translated: Translated::from(translated) })
    }
}

fn is_plain(instruction: &Instruction) -> bool {
    match *instruction {
        Instruction::Atomic { .. } | Instruction::Call(_) | Instruction::LoadPacket { .. } => false,
        Instruction::Load { base, .. } | Instruction::Store { base, .. } => base != Reg::R10,
        Instruction::Alu { src: Operand::Reg(src), .. } => src != Reg::R10,
        _ => true,
    }
}
