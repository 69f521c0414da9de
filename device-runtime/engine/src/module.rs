//! A program that is ready to run.

use std::sync::Arc;

use crate::cage::Cage;
use crate::counting::{Counted, by_block};
use crate::fuel::Fuel;
use crate::helpers::Helpers;
use crate::interpreter;
use crate::jit::{self, Checks, Compiled, Fallback};
use crate::trap::Trap;
use crate::verify::{Code, CompileError, Program, verify};

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// One instruction at a time; needs no signals and no executable memory.
    Interpreter,
    /// Translated to machine code.
    Jit,
}

/// A verified program. Cheap to clone; clones share the code and may run in several threads at once, each in its own cage.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) program: Arc<Program>,
    pub(crate) translated: Translated,
}

/// What the JIT made of a program.
#[derive(Clone, Debug)]
pub(crate) enum Translated {
    NotAsked,
    Code(Arc<Compiled>),
    Failed(Arc<Fallback>),
}

impl From<Result<Compiled, Fallback>> for Translated {
    fn from(result: Result<Compiled, Fallback>) -> Self {
        match result {
            Ok(compiled) => Self::Code(Arc::new(compiled)),
            Err(fallback) => Self::Failed(Arc::new(fallback)),
        }
    }
}

impl Module {
    /// Verifies a program and translates it for a backend.
    ///
    /// What the JIT cannot take (see [`Module::fallback`]) is interpreted: slower, and otherwise the same.
    ///
    /// # Errors
    /// The program breaks a rule of the verifier.
    pub fn compile(code: Code<'_>, backend: Backend) -> Result<Self, CompileError> {
        let program = Arc::new(verify(code)?);
        let translated = match backend {
            Backend::Interpreter => Translated::NotAsked,
            Backend::Jit => Translated::from(jit::compile(&program, Checks::ALL)),
        };
        Ok(Self { program, translated })
    }

    /// The same program, translated.
    pub(crate) fn translated(&self) -> Self {
        let translated = Translated::from(jit::compile(&self.program, Checks::ALL));
        Self { program: self.program.clone(), translated }
    }

    /// What [`Module::run`] uses.
    pub fn backend(&self) -> Backend {
        match self.translated {
            Translated::Code(_) => Backend::Jit,
            Translated::NotAsked | Translated::Failed(_) => Backend::Interpreter,
        }
    }

    /// Why a program that was compiled for the JIT is interpreted.
    pub fn fallback(&self) -> Option<&Fallback> {
        match &self.translated {
            Translated::Failed(fallback) => Some(fallback),
            Translated::NotAsked | Translated::Code(_) => None,
        }
    }

    /// Runs the entry point that begins at slot `entry` on r1 to r5, and returns r0.
    ///
    /// # Errors
    /// The program did what it may not do, or its fuel is used up. The cage then holds what was written until the trap. After
    /// [`Trap::Memory`] the JIT leaves more in `fuel` than the interpreter, up to what was there at the last call.
    pub fn run(
        &self,
        cage: &mut Cage,
        entry: u32,
        arguments: [u64; 5],
        fuel: &mut Fuel,
        helpers: &mut dyn Helpers,
    ) -> Result<u64, Trap> {
        let function = self.entry(entry)?;
        let Translated::Code(compiled) = &self.translated else {
            return self.interpret(cage, function, arguments, fuel, helpers, |_| {});
        };
        cage.clear_frames(self.program.frames);
        jit::run(compiled, &self.program, cage, function, arguments, fuel, helpers)
    }

    /// As [`Module::run`], in the interpreter whatever the backend, counting exactly what is executed.
    pub fn run_counting(
        &self,
        cage: &mut Cage,
        entry: u32,
        arguments: [u64; 5],
        fuel: &mut Fuel,
        helpers: &mut dyn Helpers,
    ) -> Counted {
        let mut counts = vec![0; self.program.instructions.len()];
        let result =
            self.entry(entry).and_then(|function| self.interpret(cage, function, arguments, fuel, helpers, |pc| counts[pc] += 1));
        Counted { result, blocks: by_block(&self.program, &counts) }
    }

    /// Index of the function an entry point is.
    fn entry(&self, entry: u32) -> Result<usize, Trap> {
        self.program.entry(entry).ok_or(Trap::NoSuchEntry { entry })
    }

    fn interpret(
        &self,
        cage: &mut Cage,
        function: usize,
        arguments: [u64; 5],
        fuel: &mut Fuel,
        helpers: &mut dyn Helpers,
        observe: impl FnMut(usize),
    ) -> Result<u64, Trap> {
        cage.clear_frames(self.program.frames);
        let run = interpreter::Run { memory: cage.memory(), fuel, helpers };
        interpreter::run(&self.program, function, arguments, run, observe)
    }
}
