//! Verified programs as machine code, by Cranelift.
//!
//! Every function of the program becomes one native function; a program's address becomes `window + zero-extended 32 bits` and is
//! used unchecked, since the cage holds whatever that can name. A fault comes back through [`signal`], every other trap through
//! [`trampoline`]'s way out. What the code does is the interpreter's business to define; this one only has to agree.

mod code;
mod context;
mod entry;
mod signal;
mod trampoline;
mod translate;

use crate::verify::Program;

pub(crate) use code::Compiled;
pub(crate) use entry::run;

/// Programs longer than this are interpreted. Cranelift takes up to 0.4 s for so many slots in the worst shape found (a branch
/// in every other slot), and four times that for twice as many.
pub const JIT_SLOTS_MAX: usize = 8192;

/// Why a module that was compiled for the JIT is interpreted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fallback {
    /// The program is longer than the JIT takes.
    #[error("{slots} slots, and the JIT takes {JIT_SLOTS_MAX}")]
    TooLarge {
        /// Slots of the program.
        slots: usize,
    },
    /// The code generator gave up.
    #[error("code generation: {reason}")]
    Codegen {
        /// In its words.
        reason: String,
    },
}

/// Translates a program.
pub(crate) fn compile(program: &Program) -> Result<Compiled, Fallback> {
    let slots = program.instructions.len();
    if slots > JIT_SLOTS_MAX {
        return Err(Fallback::TooLarge { slots });
    }
    // A panic of the code generator is a bug there, and no reason not to run the program. Its state is gone with it.
    std::panic::catch_unwind(|| code::compile(program))
        .unwrap_or_else(|_| Err(Fallback::Codegen { reason: "panicked".to_owned() }))
}
