//! Generated code and where its instructions came from.
#![expect(unsafe_code, reason = "frees executable memory")]

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, Context};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleError, default_libcall_names};

use super::Fallback;
use super::checks::Options;
use super::entry;
use super::trampoline;
use super::translate::{Externals, Site, Translator, signatures};
use crate::verify::Program;

/// Address space reserved for code: this much, and [`CODE_LEN_PER_SLOT`] for each slot. Only what is used costs memory.
const CODE_LEN_MIN: usize = 1 << 20;

/// Several times what the most expensive instruction takes.
const CODE_LEN_PER_SLOT: usize = 1024;

/// Slots of a program after which a thread keeps the code generator's memory for the next: some 100 KiB.
const SCRATCH_SLOTS_MAX: usize = 256;

/// A program's machine code. Lives as long as anything may run it.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// By function of the program.
    pub(super) functions: Vec<usize>,
    /// All of it.
    pub(super) range: Range<usize>,
    map: CodeMap,
    _memory: CodeMemory,
}

impl Compiled {
    /// The access that was going on at this machine address.
    pub(super) fn site(&self, address: usize) -> Option<Site> {
        self.map.site(address)
    }
}

/// Owns the executable memory.
struct CodeMemory(Mutex<Option<JITModule>>);

impl std::fmt::Debug for CodeMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeMemory")
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        let module = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: code runs only in `entry::run`, which borrows the `Compiled` that owns this memory; nobody borrows it now.
            unsafe { module.free_memory() };
        }
    }
}

/// Machine address to instruction, by function and then by offset; both ascending.
#[derive(Debug, Default)]
struct CodeMap {
    functions: Vec<MappedFunction>,
}

#[derive(Debug)]
struct MappedFunction {
    code: Range<usize>,
    /// First byte of machine code, and the site it belongs to until the next one.
    sites: Box<[(u32, Site)]>,
}

impl CodeMap {
    fn site(&self, address: usize) -> Option<Site> {
        let index = self.functions.partition_point(|function| function.code.start <= address).checked_sub(1)?;
        let function = &self.functions[index];
        let offset = function.code.contains(&address).then(|| (address - function.code.start) as u32)?;
        let index = function.sites.partition_point(|&(start, _)| start <= offset).checked_sub(1)?;
        Some(function.sites[index].1)
    }
}

/// Translates a program of bounded size; begins no function after the deadline.
pub(super) fn compile(program: &Program, options: Options, deadline: Instant) -> Result<Compiled, Fallback> {
    Generator::new(program)?.generate(program, options, deadline)
}

/// What the code generator allocates for a function and can use for the next one.
struct Scratch {
    context: Context,
    builder: FunctionBuilderContext,
}

impl Scratch {
    fn take() -> Self {
        SCRATCH.take().unwrap_or_else(|| Self { context: Context::new(), builder: FunctionBuilderContext::new() })
    }
}

thread_local! {
    /// Of the thread's last translation, if that ended well.
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

struct Generator {
    module: JITModule,
    scratch: Scratch,
    externals: Externals,
    defined: Vec<Defined>,
}

/// A function whose machine code exists, not yet at its place.
struct Defined {
    id: FuncId,
    len: usize,
    sites: Box<[(u32, Site)]>,
}

impl Generator {
    fn new(program: &Program) -> Result<Self, Fallback> {
        let mut module = jit_module(CODE_LEN_MIN + program.instructions.len() * CODE_LEN_PER_SLOT)?;
        let signatures = signatures(&module);
        let mut import = |name, signature| module.declare_function(name, Linkage::Import, signature).map_err(codegen);
        let leave = import("leave", &signatures.leave)?;
        let helper = import("helper", &signatures.helper)?;
        let find_program = import("find_program", &signatures.find_program)?;
        let helper_in_register = import("helper_in_register", &signatures.helper)?;
        let multiply = import("multiply", &signatures.wide)?;
        let divide = import("divide", &signatures.wide)?;
        let float_from_wide = import("float_from_wide", &signatures.float_from_wide)?;
        let mut functions = Vec::with_capacity(program.functions.len());
        for _ in &program.functions {
            functions.push(module.declare_anonymous_function(&signatures.function).map_err(codegen)?);
        }
        let externals = Externals {
            leave,
            helper,
            helper_in_register,
            find_program,
            multiply,
            divide,
            float_from_wide,
            functions,
            signatures,
        };
        Ok(Self { module, scratch: Scratch::take(), externals, defined: Vec::new() })
    }

    fn generate(mut self, program: &Program, options: Options, deadline: Instant) -> Result<Compiled, Fallback> {
        for (index, function) in program.functions.iter().enumerate() {
            if Instant::now() >= deadline {
                return Err(Fallback::TimeUp);
            }
            let id = self.externals.functions[index];
            let Scratch { context, builder } = &mut self.scratch;
            let native = &mut context.func;
            native.name = UserFuncName::user(0, id.as_u32());
            native.signature.clone_from(&self.externals.signatures.function);
            let translator = Translator::new(native, builder, &mut self.module, &self.externals, program, *function, options);
            translator.translate();
            self.define(id)?;
        }
        self.module.finalize_definitions().map_err(codegen)?;
        let Self { module, scratch, externals, defined } = self;
        if program.instructions.len() <= SCRATCH_SLOTS_MAX {
            SCRATCH.set(Some(scratch));
        }
        Ok(finish(module, &externals, defined))
    }

    fn define(&mut self, id: FuncId) -> Result<(), Fallback> {
        let context = &mut self.scratch.context;
        self.module.define_function(id, context).map_err(codegen)?;
        if let Some(compiled) = context.compiled_code() {
            let len = compiled.code_buffer().len();
            let locations = compiled.buffer.get_srclocs_sorted().iter();
            let sites = locations.filter(|location| !location.loc.is_default());
            let sites = sites.map(|location| (location.start, Site::from(location.loc))).collect();
            self.defined.push(Defined { id, len, sites });
        }
        self.module.clear_context(context);
        Ok(())
    }
}

fn finish(module: JITModule, externals: &Externals, defined: Vec<Defined>) -> Compiled {
    let address = |id| module.get_finalized_function(id) as usize;
    let functions = externals.functions.iter().copied().map(address).collect();
    let mut mapped: Vec<MappedFunction> = Vec::new();
    for defined in defined {
        let start = address(defined.id);
        mapped.push(MappedFunction { code: start..start + defined.len, sites: defined.sites });
    }
    mapped.sort_by_key(|function| function.code.start);
    // The arena is contiguous, so nothing of anybody else lies between our functions.
    let start = mapped.first().map_or(0, |function| function.code.start);
    let end = mapped.last().map_or(0, |function| function.code.end);
    let memory = CodeMemory(Mutex::new(Some(module)));
    Compiled { functions, range: start..end, map: CodeMap { functions: mapped }, _memory: memory }
}

/// What is generated for: the processor at hand, found out once.
fn isa() -> Result<OwnedTargetIsa, Fallback> {
    static ISA: OnceLock<Result<OwnedTargetIsa, Fallback>> = OnceLock::new();
    ISA.get_or_init(new_isa).clone()
}

fn new_isa() -> Result<OwnedTargetIsa, Fallback> {
    let mut flags = settings::builder();
    let options = [
        ("opt_level", "speed"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        // A frame larger than a page must not step over the native stack's guard.
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(|error| Fallback::Codegen { reason: error.to_string() })?;
    }
    let isa = cranelift_native::builder().map_err(|reason| Fallback::Codegen { reason: reason.to_owned() })?;
    isa.finish(settings::Flags::new(flags)).map_err(|error: CodegenError| codegen(error.into()))
}

fn jit_module(code_len: usize) -> Result<JITModule, Fallback> {
    let arena = ArenaMemoryProvider::new_with_size(code_len).map_err(|error| Fallback::Codegen { reason: error.to_string() })?;
    let mut builder = JITBuilder::with_isa(isa()?, default_libcall_names());
    builder.memory_provider(Box::new(arena));
    builder.symbol("leave", trampoline::leave as *const u8);
    builder.symbol("helper", entry::call_helper as *const u8);
    builder.symbol("find_program", entry::find_program as *const u8);
    builder.symbol("helper_in_register", entry::call_helper_in_register as *const u8);
    builder.symbol("multiply", entry::multiply as *const u8);
    builder.symbol("divide", entry::divide as *const u8);
    builder.symbol("float_from_wide", entry::float_from_wide as *const u8);
    Ok(JITModule::new(builder))
}

fn codegen(error: ModuleError) -> Fallback {
    Fallback::Codegen { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use nearside_programs::isa::Slot;

    use nearside_programs::manifest::Target;

    use super::super::checks::Checks;
    use super::*;
    use crate::verify::{Code, verify};

    /// A budget that is over ends the work before the next function.
    #[test]
    fn the_clock_is_looked_at_between_functions() {
        let exit = Slot { opcode: 0x95, ..Slot::default() };
        let program = verify(Code { slots: &[exit], entries: &[0], maps: &[], target: Target::Columnar }).unwrap();
        let options = Options { checks: Checks::ALL, turns: true };
        assert_eq!(compile(&program, options, Instant::now()).err(), Some(Fallback::TimeUp));
        assert!(compile(&program, options, Instant::now() + super::super::JIT_TIME_MAX).is_ok());
    }
}
