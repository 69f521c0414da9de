//! Faults that are not the program's go where they would have gone without the engine. Each case is a process of its own, which
//! runs a program that faults (and gets its trap), then faults itself.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::ptr;

use nearside_engine::{Backend, Cage, Code, Fuel, HelperFault, Helpers, Memory, Module, NoHelpers, Trap};
use nearside_programs::assemble;
use nearside_programs::manifest::Target;

/// What a handler of ours exits with.
const HANDLED: i32 = 42;

/// Name, what it does, how its process must end.
type Case = (&'static str, fn(), fn(ExitStatus) -> bool);

const CASES: [Case; 6] = [
    ("a handler from before gets the fault", earlier_handler, |status| status.code() == Some(HANDLED)),
    ("a handler without siginfo, too", earlier_plain_handler, |status| status.code() == Some(HANDLED)),
    ("without one, the process dies of the signal", no_handler, |status| status.signal() == Some(libc::SIGSEGV)),
    ("a fault in a helper is not the program's", fault_in_helper, |status| status.code() == Some(HANDLED)),
    ("a signal that somebody sent is handed on", sent_signal, |status| status.code() == Some(HANDLED)),
    ("a stack overflow is still reported as one", stack_overflow, |status| status.signal() == Some(libc::SIGABRT)),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("NEARSIDE_FAULT_CASE") {
        let case = CASES.iter().find(|case| case.0 == name);
        case.expect("a case of this name").1();
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, _, expected) in CASES {
        let output = this_program().env("NEARSIDE_FAULT_CASE", name).output().expect("this test starts");
        let passed = expected(output.status);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            println!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
            failed += 1;
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In an emulator, if `NEARSIDE_RUNNER` says so: a program for another processor does not start by itself.
fn this_program() -> Command {
    let executable = std::env::current_exe().expect("this test's path");
    let runner = std::env::var("NEARSIDE_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else { return Command::new(executable) };
    let mut command = Command::new(emulator);
    command.args(words).arg(executable);
    command
}

fn module(text: &str) -> Module {
    let slots = assemble(text).expect("valid text").code;
    let module = Module::compile(Code { slots: &slots, entries: &[0], maps: &[], target: Target::Columnar }, Backend::Jit);
    module.expect("a valid program")
}

fn cage() -> Cage {
    Cage::new(&[]).expect("memory")
}

/// Installs the engine's handlers, and shows that they work: r0 = *r1 at an unmapped address.
fn run_and_trap() {
    let module = module("r0 = *(u64 *)(r1 + 0x0)\nexit");
    let result = module.run(&mut cage(), 0, [0x1000, 0, 0, 0, 0], &mut Fuel(10), &mut NoHelpers);
    assert!(matches!(result, Err(Trap::Memory { pc: 0, address: 0x1000, .. })), "{result:?}");
}

fn fault() {
    let address = black_box(8_usize);
    // SAFETY: none; the fault is the test, and the process ends in the handler.
    black_box(unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u8>(address)) });
}

extern "C" fn on_fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let signal = unsafe { (*info).si_signo };
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(if signal == libc::SIGSEGV { HANDLED } else { 1 }) }
}

extern "C" fn on_signal(signal: c_int) {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(if signal == libc::SIGSEGV { HANDLED } else { 1 }) }
}

fn install(handler: usize, flags: c_int) {
    // SAFETY: zero is valid in every field.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers above have the signatures their flags ask for.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) }, 0);
}

fn install_on_fault() {
    install(on_fault as *const () as usize, libc::SA_SIGINFO);
}

fn earlier_handler() {
    install_on_fault();
    run_and_trap();
    fault();
}

fn earlier_plain_handler() {
    install(on_signal as *const () as usize, 0);
    run_and_trap();
    fault();
}

fn no_handler() {
    install(libc::SIG_DFL, 0);
    run_and_trap();
    fault();
}

fn fault_in_helper() {
    struct Faulty;
    impl Helpers for Faulty {
        fn call(&mut self, _: u32, _: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
            fault();
            Ok(0)
        }
    }
    install_on_fault();
    let result = module("call 0x10000\nexit").run(&mut cage(), 0, [0; 5], &mut Fuel(10), &mut Faulty);
    panic!("the fault became {result:?}");
}

fn sent_signal() {
    install_on_fault();
    run_and_trap();
    // SAFETY: sends this thread a signal.
    unsafe { libc::raise(libc::SIGSEGV) };
}

/// On a thread that has the engine's signal stack instead of the standard library's.
fn stack_overflow() {
    fn recurse(depth: u64) -> u64 {
        black_box(if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + 1 })
    }
    let thread = std::thread::spawn(|| {
        run_and_trap();
        recurse(0)
    });
    thread.join().expect("the process ends before this");
}
