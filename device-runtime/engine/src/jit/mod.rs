//! Verified programs as machine code, by Cranelift.
//!
//! Every function of the program becomes one native function; a program's address becomes `window + zero-extended 32 bits` and is
//! used unchecked, since the cage holds whatever that can name. A fault comes back through [`signal`], every other trap through
//! [`trampoline`]'s way out. What the code does is the interpreter's business to define; this one only has to agree.

mod checks;
mod code;
mod context;
mod entry;
mod limits;
mod signal;
mod trampoline;
mod translate;

use std::time::Instant;

use crate::verify::Program;

use checks::Options;

pub(crate) use checks::Checks;
pub(crate) use code::Compiled;
pub(crate) use entry::run;
pub use limits::{JIT_LOOPS_MAX, JIT_SLOTS_MAX, JIT_TIME_MAX};

/// Why a module that was compiled for the JIT is interpreted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fallback {
    /// The program is longer than the JIT takes.
    #[error("{slots} slots, and the JIT takes {JIT_SLOTS_MAX}")]
    TooLarge {
        /// Slots of the program, expensive ones counted several times.
        slots: usize,
    },
    /// The program's loops would take the code generator too long.
    #[error("retreating jumps × nesting × slots come to {loops}, and the JIT takes {JIT_LOOPS_MAX}")]
    TooManyLoops {
        /// The product.
        loops: u64,
    },
    /// [`JIT_TIME_MAX`] was over before all functions were translated.
    #[error("the JIT's {} s are over", JIT_TIME_MAX.as_secs())]
    TimeUp,
    /// The code generator gave up.
    #[error("code generation: {reason}")]
    Codegen {
        /// In its words.
        reason: String,
    },
}

/// Translates a program.
pub(crate) fn compile(program: &Program, checks: Checks) -> Result<Compiled, Fallback> {
    let options = Options { checks, turns: limits::check(program)? };
    let deadline = Instant::now() + JIT_TIME_MAX;
    // A panic of the code generator is a bug there, and no reason not to run the program. Its state is gone with it.
    std::panic::catch_unwind(|| code::compile(program, options, deadline))
        .unwrap_or_else(|_| Err(Fallback::Codegen { reason: "panicked".to_owned() }))
}
