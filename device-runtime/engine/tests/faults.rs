//! Faults that are not the program's go where they would have gone without the engine. Each case is a process of its own, which
//! runs a program that faults (and gets its trap), then faults itself.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use nearside_engine::{Backend, Cage, Code, Fuel, HelperFault, Helpers, Memory, Module, NoHelpers, Trap};
use nearside_programs::assemble;
use nearside_programs::manifest::Target;

/// What a handler of ours exits with.
const HANDLED: i32 = 42;

/// Name, what it does, how its process must end.
type Case = (&'static str, fn(), fn(ExitStatus) -> bool);

const CASES: [Case; 11] = [
    ("a handler from before gets the fault", earlier_handler, |status| status.code() == Some(HANDLED)),
    ("a handler without siginfo, too", earlier_plain_handler, |status| status.code() == Some(HANDLED)),
    ("without one, the process dies of the signal", no_handler, |status| status.signal() == Some(libc::SIGSEGV)),
    ("a fault in a helper is not the program's", fault_in_helper, |status| status.code() == Some(HANDLED)),
    ("a signal that somebody sent is handed on", sent_signal, |status| status.code() == Some(HANDLED)),
    ("a signal that was ignored still is", ignored_signal, |status| status.success()),
    ("an access beyond a file's end is SIGBUS, and handed on", beyond_the_file, |status| status.code() == Some(HANDLED)),
    ("a handler that repairs the fault lets the access go on", repairing_handler, |status| status.success()),
    ("a handler finds itself on the thread's own large signal stack", own_signal_stack, |status| status.code() == Some(HANDLED)),
    ("a fault of another thread during a run is not the run's", other_thread, |status| status.code() == Some(HANDLED)),
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
    let known = [libc::SIGSEGV, libc::SIGBUS].contains(&signal);
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(if known { HANDLED } else { 1 }) }
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
    let install = |signal| unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    assert_eq!([libc::SIGSEGV, libc::SIGBUS].map(install), [0, 0]);
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

fn ignored_signal() {
    install(libc::SIG_IGN, 0);
    run_and_trap();
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: sends this thread a signal.
        unsafe { libc::raise(signal) };
    }
}

/// A page of memory of our own, with these permissions.
fn page(protection: c_int, flags: c_int, file: c_int) -> *mut u8 {
    // SAFETY: the kernel picks the address, so no other mapping is touched.
    let start = unsafe { libc::mmap(ptr::null_mut(), PAGE_LEN, protection, flags, file, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    start.cast()
}

/// As large as any processor's page.
const PAGE_LEN: usize = 64 << 10;

fn beyond_the_file() {
    install_on_fault();
    run_and_trap();
    // SAFETY: makes an empty file in memory.
    let file = unsafe { libc::memfd_create(c"empty".as_ptr(), 0) };
    let start = page(libc::PROT_READ, libc::MAP_SHARED, file);
    // SAFETY: none; the fault is the test, and the process ends in the handler.
    black_box(unsafe { ptr::read_volatile(start) });
}

/// What [`repair`] makes readable.
static BROKEN: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

extern "C" fn repair(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: a page of our own that nothing borrows.
    unsafe { libc::mprotect(BROKEN.load(Ordering::Relaxed).cast(), PAGE_LEN, libc::PROT_READ) };
}

fn repairing_handler() {
    install(repair as *const () as usize, libc::SA_SIGINFO);
    run_and_trap();
    for _ in 0..3 {
        let start = page(libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
        BROKEN.store(start, Ordering::Relaxed);
        // SAFETY: the handler makes the page readable before the access is tried again.
        assert_eq!(unsafe { ptr::read_volatile(start) }, 0);
        run_and_trap();
    }
}

/// The stack [`on_own_stack`] must be on.
static OWN_STACK: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Bytes of it: more than the engine asks for.
const OWN_STACK_LEN: usize = 128 << 10;

extern "C" fn on_own_stack(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    let local = black_box(0_u8);
    let here = (&raw const local).addr();
    let start = OWN_STACK.load(Ordering::Relaxed).addr();
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(if (start..start + OWN_STACK_LEN).contains(&here) { HANDLED } else { 1 }) }
}

fn own_signal_stack() {
    let stack: &'static mut [u8] = vec![0; OWN_STACK_LEN].leak();
    OWN_STACK.store(stack.as_mut_ptr(), Ordering::Relaxed);
    let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: OWN_STACK_LEN };
    // SAFETY: memory that is writable and never freed.
    assert_eq!(unsafe { libc::sigaltstack(&raw const new, ptr::null_mut()) }, 0);
    install(on_own_stack as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
    run_and_trap();
    fault();
}

/// While this thread is in generated code's helper, another one faults.
fn other_thread() {
    struct Waiting;
    impl Helpers for Waiting {
        fn call(&mut self, _: u32, _: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
            std::thread::spawn(fault).join().expect("the process ends before this");
            Ok(0)
        }
    }
    install_on_fault();
    let result = module("call 0x10000\nexit").run(&mut cage(), 0, [0; 5], &mut Fuel(10), &mut Waiting);
    panic!("the fault became {result:?}");
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
