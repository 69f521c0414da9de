//! Faults of generated code become traps; every other fault goes where it would have gone without us.
//!
//! A fault is ours if it happens on a thread that is inside [`super::entry::run`], at an instruction of that run's generated code, on
//! an address of that run's cage. The handler then notes it and lets the thread go on in [`trampoline::leave`]. It allocates
//! nothing, takes no lock, and reads only what the interrupted thread wrote before.
#![expect(unsafe_code, reason = "signal handlers")]

mod alternate_stack;

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

use super::context::{Context, TrapKind};
use super::trampoline;

/// Signals that a memory access can raise.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

thread_local! {
    /// The run this thread is in. No destructor and no lazy initialisation, so that the handler may read it.
    static ACTIVE: Cell<*const Active> = const { Cell::new(ptr::null()) };
}

/// What the handler must know of a run.
pub(super) struct Active {
    /// Generated code of the module.
    pub(super) code: Range<usize>,
    /// The cage and its guards.
    pub(super) window: Range<usize>,
    pub(super) context: *mut Context<'static>,
}

/// What handled the signals before us, by [`SIGNALS`].
static PREVIOUS: [OnceLock<libc::sigaction>; 2] = [OnceLock::new(), OnceLock::new()];

/// Installs the handlers once a process, and an alternate stack once a thread. Fails with the system's error number.
pub(super) fn install() -> Result<(), i32> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    (*INSTALLED.get_or_init(|| SIGNALS.iter().zip(&PREVIOUS).try_for_each(|(&signal, previous)| install_one(signal, previous))))?;
    alternate_stack::ensure()
}

fn install_one(signal: c_int, previous: &OnceLock<libc::sigaction>) -> Result<(), i32> {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks for the handler in force; `old` is valid for the answer.
    check(unsafe { libc::sigaction(signal, ptr::null(), old.as_mut_ptr()) })?;
    // SAFETY: filled in by the call above, and zero is valid in every field.
    let old = unsafe { old.assume_init() };
    // Known before our handler can run, which needs it.
    previous.get_or_init(|| old);

    // SAFETY: zero is valid in every field of a `sigaction`.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = handle as *const () as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `sa_mask` is a valid place for a set.
    check(unsafe { libc::sigemptyset(&raw mut new.sa_mask) })?;
    // SAFETY: `handle` has the signature that SA_SIGINFO asks for and stays for the life of the process.
    check(unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) })
}

fn check(result: c_int) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)) }
}

/// The thread enters a run; returns the run it was in, if a helper of one started this one.
pub(super) fn begin(active: &Active) -> *const Active {
    ACTIVE.replace(active)
}

/// The thread leaves a run, before what [`begin`] was given is gone.
pub(super) fn end(outer: *const Active) {
    ACTIVE.set(outer);
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, machine: *mut c_void) {
    let machine: *mut libc::ucontext_t = machine.cast();
    if !redirect(info, machine) {
        forward(signal, info, machine);
    }
}

/// If the fault is one of generated code, makes the thread go on in `leave`.
fn redirect(info: *mut libc::siginfo_t, machine: *mut libc::ucontext_t) -> bool {
    // SAFETY: null, or what `begin` was given on this thread; it stays until `end`.
    let Some(active) = (unsafe { ACTIVE.get().as_ref() }) else { return false };
    // SAFETY: the kernel passes a valid `siginfo_t`; the field exists for the signals we handle, and does not count below if the kernel did not send them.
    let address = unsafe { (*info).si_addr() } as usize;
    let pc = registers::program_counter(machine);
    if !(sent_by_kernel(info) && active.code.contains(&pc) && active.window.contains(&address)) {
        return false;
    }
    // SAFETY: the context of the run this thread is in. Generated code is interrupted, so no Rust code is using it.
    let context = unsafe { &mut *active.context };
    context.host.fault_pc = pc;
    context.detail = address.wrapping_sub(context.base) as u64;
    context.trap = TrapKind::Memory.at(0);
    registers::call(machine, trampoline::leave as *const () as usize, active.context as usize);
    true
}

/// Does what would have happened without us.
fn forward(signal: c_int, info: *mut libc::siginfo_t, machine: *mut libc::ucontext_t) {
    let previous = SIGNALS.iter().position(|&known| known == signal).and_then(|index| PREVIOUS[index].get());
    match previous {
        Some(action) if action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN => {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: installed with SA_SIGINFO, so this is its signature.
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    unsafe { std::mem::transmute(action.sa_sigaction) };
                handler(signal, info, machine.cast());
            } else {
                // SAFETY: installed without SA_SIGINFO, so this is its signature.
                let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(action.sa_sigaction) };
                handler(signal);
            }
        }
        // What somebody sent may be ignored; a fault may not.
        Some(action) if action.sa_sigaction == libc::SIG_IGN && !sent_by_kernel(info) => {}
        _ => die(signal),
    }
}

fn sent_by_kernel(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: the kernel passes a valid `siginfo_t`.
    unsafe { (*info).si_code > 0 }
}

/// The default: the signal ends the process once this handler returns.
fn die(signal: c_int) {
    // SAFETY: restores a default, which is always allowed.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: the signal is blocked until the handler returns; then its default action is taken.
    unsafe { libc::raise(signal) };
}

/// The interrupted thread's registers.
#[cfg(target_arch = "x86_64")]
mod registers {
    pub(super) fn program_counter(machine: *mut libc::ucontext_t) -> usize {
        // SAFETY: the kernel passes a valid context to the handler.
        let machine = unsafe { &*machine };
        machine.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
    }

    /// Lets the thread go on at the start of `function(argument)`, which does not return.
    pub(super) fn call(machine: *mut libc::ucontext_t, function: usize, argument: usize) {
        // SAFETY: the kernel passes a valid context to the handler, which may change it.
        let machine = unsafe { &mut *machine };
        machine.uc_mcontext.gregs[libc::REG_RIP as usize] = function as i64;
        machine.uc_mcontext.gregs[libc::REG_RDI as usize] = argument as i64;
    }
}

/// The interrupted thread's registers.
#[cfg(target_arch = "aarch64")]
mod registers {
    pub(super) fn program_counter(machine: *mut libc::ucontext_t) -> usize {
        // SAFETY: the kernel passes a valid context to the handler.
        let machine = unsafe { &*machine };
        machine.uc_mcontext.pc as usize
    }

    /// Lets the thread go on at the start of `function(argument)`, which does not return.
    pub(super) fn call(machine: *mut libc::ucontext_t, function: usize, argument: usize) {
        // SAFETY: the kernel passes a valid context to the handler, which may change it.
        let machine = unsafe { &mut *machine };
        machine.uc_mcontext.pc = function as u64;
        machine.uc_mcontext.regs[0] = argument as u64;
    }
}
