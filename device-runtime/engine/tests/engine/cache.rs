//! The compile cache: one translation for all who ask, nobody waits longer than wanted, and what is kept is bounded.

use std::time::Duration;

use nearside_engine::{Backend, CacheLimits, Cage, Code, CodeKey, CompileCache, Fuel, JIT_SLOTS_MAX, Module, NoHelpers};
use nearside_programs::assemble;
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

/// Longer than any translation here.
const PATIENT: Duration = Duration::from_secs(60);

fn key(number: u64) -> CodeKey {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    CodeKey { digest, target: Target::Columnar }
}

/// A program that returns a number.
fn program(number: u64) -> Vec<Slot> {
    assemble(&format!("r0 = {number}\n exit")).unwrap().code
}

fn code(slots: &[Slot]) -> Code<'_> {
    Code { slots, entries: &[0], maps: &[], target: Target::Columnar }
}

fn run(module: &Module) -> u64 {
    let mut cage = Cage::new(&[]).unwrap();
    module.run(&mut cage, 0, [0; 5], &mut Fuel(100), &mut NoHelpers).unwrap()
}

/// Many threads, few programs: each gets the program it asked for, as machine code, and there is one entry a program.
#[test]
fn threads_share_programs() {
    let cache = CompileCache::new(CacheLimits { threads: 2, ..CacheLimits::default() }).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..200 {
                    let number = (thread + round) % 5;
                    let module = cache.module(key(number), code(&program(number)), PATIENT).unwrap();
                    assert_eq!((run(&module), module.backend()), (number, Backend::Jit));
                }
            });
        }
    });
    assert_eq!(cache.program_count(), 5);
}

/// A key names one program: the code of a second caller is not even looked at. After it is forgotten, it is.
#[test]
fn a_key_is_a_program() {
    let cache = CompileCache::new(CacheLimits::default()).unwrap();
    assert_eq!(run(&cache.module(key(1), code(&program(7)), PATIENT).unwrap()), 7);
    assert_eq!(run(&cache.module(key(1), code(&program(8)), PATIENT).unwrap()), 7);
    let other_target = CodeKey { target: Target::Packet, ..key(1) };
    assert_eq!(run(&cache.module(other_target, code(&program(9)), PATIENT).unwrap()), 9);
    cache.remove(&key(1));
    assert_eq!(run(&cache.module(key(1), code(&program(8)), PATIENT).unwrap()), 8);
}

/// Whoever does not wait gets a module at once, and machine code later.
#[test]
fn nobody_has_to_wait() {
    let cache = CompileCache::new(CacheLimits { queue_max: 1, ..CacheLimits::default() }).unwrap();
    for number in 0..100 {
        assert_eq!(run(&cache.module(key(number), code(&program(number)), Duration::ZERO).unwrap()), number);
    }
    for number in 0..100 {
        // Those that found the queue full are asked for again.
        while cache.module(key(number), code(&program(number)), PATIENT).unwrap().backend() != Backend::Jit {
            std::thread::yield_now();
        }
    }
}

/// The program asked for longest ago goes; a module in somebody's hands goes on.
#[test]
fn the_oldest_goes() {
    let cache = CompileCache::new(CacheLimits { programs_max: 2, ..CacheLimits::default() }).unwrap();
    let first = cache.module(key(1), code(&program(1)), PATIENT).unwrap();
    cache.module(key(2), code(&program(2)), PATIENT).unwrap();
    cache.module(key(1), code(&program(1)), PATIENT).unwrap();
    cache.module(key(3), code(&program(3)), PATIENT).unwrap();
    assert_eq!((cache.program_count(), run(&first)), (2, 1));
    // Other code under a key that is known would not be looked at: 2 went, 1 stayed.
    assert_eq!(run(&cache.module(key(1), code(&program(10)), PATIENT).unwrap()), 1);
    assert_eq!(run(&cache.module(key(2), code(&program(20)), PATIENT).unwrap()), 20);
}

/// What the verifier refuses is refused each time; what the JIT refuses is interpreted, and says why.
#[test]
fn refusals() {
    let cache = CompileCache::new(CacheLimits::default()).unwrap();
    let endless = assemble("r0 = 1").map(|assembled| assembled.code).unwrap();
    for _ in 0..2 {
        assert!(cache.module(key(1), code(&endless), PATIENT).is_err());
    }
    assert_eq!(cache.program_count(), 0);
    let long = [vec![assemble("r0 = 3").unwrap().code[0]; JIT_SLOTS_MAX + 1], program(4)].concat();
    let module = cache.module(key(2), code(&long), PATIENT).unwrap();
    assert_eq!(module.backend(), Backend::Interpreter);
    assert!(module.fallback().is_some());
}
