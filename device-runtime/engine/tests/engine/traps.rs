//! Every way a run can end badly, with the instruction that did it.

use nearside_engine::{Backend, Fuel, HelperFault, NoHelpers, Operation, Trap};

use crate::common::{Both, FUEL, READ_ONLY, READ_WRITE, cage, module, text_code};

fn load(pc: u32, address: u32) -> Trap {
    Trap::Memory { pc, operation: Operation::Load, address }
}

/// The trap names the access, not what uses or follows its value: a code generator likes to fold loads into their users.
#[test]
fn memory_traps_name_the_access() {
    let users = [
        "r0 += r3",
        "r3 += r0\nr0 = r3",
        "if r3 == 0x5 goto +0x0",
        "if r0 s< r3 goto +0x0",
        "*(u64 *)(r2 + 0x0) = r3",
        "r3 += 0x1\n*(u64 *)(r1 + 0x0) = r3",
        "w0 = w3",
        "r0 *= r3",
        "r0 = be64 r0\nr3 ^= r0",
        "lock *(u64 *)(r2 + 0x0) += r3",
    ];
    for size in ["u8", "u16", "u32", "u64", "s8", "s16", "s32"] {
        for user in users {
            let program = Both::text(&format!("r0 = 0x1\nr3 = *({size} *)(r1 + 0x0)\n{user}\nexit"));
            assert_eq!(program.run([0x5000_0000, READ_WRITE.into(), 0, 0, 0]), Err(load(1, 0x5000_0000)), "{size} {user}");
        }
    }
}

/// A load whose value nobody uses still happens.
#[test]
fn unused_loads_trap() {
    let program = Both::text("r3 = *(u64 *)(r1 + 0x0)\nr0 = 0x1\nexit");
    assert_eq!(program.run([0; 5]), Err(load(0, 0)));
}

/// So does a store that changes nothing, or that the next one overwrites: a code generator likes to leave them out.
#[test]
fn useless_stores_trap() {
    let store = |pc| Err(Trap::Memory { pc, operation: Operation::Store, address: READ_ONLY });
    for size in ["u8", "u16", "u32", "u64"] {
        let back = Both::text(&format!("r3 = *({size} *)(r1 + 0x0)\n*({size} *)(r1 + 0x0) = r3\nexit"));
        assert_eq!(back.run([READ_ONLY.into(), 0, 0, 0, 0]), store(1), "{size}");
        let twice = Both::text(&format!("*({size} *)(r1 + 0x0) = r2\n*({size} *)(r1 + 0x0) = r3\nexit"));
        assert_eq!(twice.run([READ_ONLY.into(), 0, 0, 0, 0]), store(0), "{size}");
        let atomic = Both::text(&format!("*({size} *)(r1 + 0x0) = r2\nlock *(u64 *)(r1 + 0x0) += r3\nexit"));
        assert_eq!(atomic.run([READ_ONLY.into(), 0, 0, 0, 0]), store(0), "{size}");
    }
}

/// Stores before a trap are done, stores after it are not.
#[test]
fn a_trap_stops_the_run_there() {
    let program = Both::text("*(u8 *)(r1 + 0x0) = 0x11\nr0 = *(u64 *)(r2 + 0x0)\n*(u8 *)(r1 + 0x1) = 0x22\nexit");
    let outcome = program.run_with([READ_WRITE.into(), 0, 0, 0, 0], FUEL);
    assert_eq!(outcome.result, Err(load(1, 0)));
    assert_eq!(outcome.memory[1][0], 0x11);
    assert_eq!(outcome.memory[1][1], cage().region(1)[1]);
}

/// A trap in an inner frame ends the run like one in the entry point.
#[test]
fn traps_leave_all_frames() {
    let program = Both::text("<main>:\nr6 = r1\ncall f\nr0 = 0x1\nexit\n<f>:\ncall g\nexit\n<g>:\nr0 = *(u8 *)(r1 + 0x0)\nexit");
    // A called function still has the caller's arguments.
    assert_eq!(program.run([0x4000, 0, 0, 0, 0]), Err(load(6, 0x4000)));
    assert_eq!(program.run([READ_ONLY.into(), 0, 0, 0, 0]), Ok(1));
}

/// The stack has unmapped memory on both sides.
#[test]
fn the_stack_is_guarded() {
    let program = Both::text("r2 = r10\nr2 += r1\nr0 = *(u8 *)(r2 + 0x0)\nexit");
    assert_eq!(program.run([0, 0, 0, 0, 0]), Err(load(2, 0xffff_0000)));
    assert_eq!(program.run([-1_i64 as u64, 0, 0, 0, 0]), Ok(0));
    assert_eq!(program.run([-0x1_0001_i64 as u64, 0, 0, 0, 0]), Err(load(2, 0xfffd_ffff)));
}

/// Entry: the function's 4 slots. Each backward jump: the 3 slots it spans. Nothing is taken that is not there.
#[test]
fn fuel_is_charged_at_entries_and_backward_jumps() {
    let program = Both::text("r1 -= 0x1\nr0 += 0x1\nif r1 != 0x0 goto -0x3\nexit");
    let out = |pc| Err(Trap::OutOfFuel { pc });
    let check = |rounds, fuel, result, left| {
        let outcome = program.run_with([rounds, 0, 0, 0, 0], fuel);
        assert_eq!((outcome.result, outcome.fuel), (result, left), "{rounds} rounds, {fuel} fuel");
    };
    check(1, 3, out(0), 3);
    check(1, 4, Ok(1), 0);
    check(2, 6, out(2), 2);
    check(2, 7, Ok(2), 0);
    check(100, 1000, Ok(100), 1000 - 4 - 3 * 99);
    check(0, 1000, out(2), 0); // 332 whole rounds
    check(0, 1001, out(2), 1);
}

/// A jump to itself and an unconditional one cost, too: no program runs for ever.
#[test]
fn endless_loops_end() {
    for text in ["goto -0x1\nexit", "r0 += 0x1\ngotol -0x2\nexit", "if r1 == 0x0 goto -0x1\nexit"] {
        let outcome = Both::text(text).run_with([0; 5], 100_000);
        assert!(matches!(outcome.result, Err(Trap::OutOfFuel { .. })), "{text}");
    }
}

#[test]
fn recursion_ends_at_the_ninth_frame() {
    let program = Both::text("<main>:\nr2 += 0x1\nr0 = r2\nif r1 == r2 goto +0x1\ncall main\nexit");
    assert_eq!(program.run([8, 0, 0, 0, 0]), Ok(8));
    assert_eq!(program.run([9, 0, 0, 0, 0]), Err(Trap::CallDepth { pc: 3 }));
    // Without enough fuel, it ends at an entry.
    let outcome = program.run_with([9, 0, 0, 0, 0], 12);
    assert_eq!((outcome.result, outcome.fuel), (Err(Trap::OutOfFuel { pc: 0 }), 2));
}

#[test]
fn helper_faults_are_traps() {
    let program = Both::text("r6 = 0x9\ncall 0x10000\nr0 += r6\nexit");
    assert_eq!(program.run([1, 0, 0, 30, 400]), Ok(431 + 9));
    let fault = |fault| Err(Trap::Helper { pc: 1, number: 0x10000, fault });
    let memory = |address| fault(HelperFault::Memory { operation: Operation::Store, address, len: 8 });
    assert_eq!(program.run([0, READ_ONLY.into(), 0, 0, 0]), memory(READ_ONLY));
    assert_eq!(program.run([0, u64::from(READ_WRITE) + 0xfff9, 0, 0, 0]), memory(READ_WRITE + 0xfff9));
    assert_eq!(program.run([0, 0, 1, 0, 0]), fault(HelperFault::Panicked));
    let outcome = program.run_with([50, 0, 0, 0, 0], 53);
    assert_eq!((outcome.result, outcome.fuel), (Err(Trap::OutOfFuel { pc: 1 }), 49));
    let outcome = program.run_with([50, READ_WRITE.into(), 0, 0, 0], 54);
    assert_eq!((outcome.result, outcome.fuel), (Ok(50 + u64::from(READ_WRITE) + 9), 0));
    assert_eq!(outcome.memory[1][..8], (50 + u64::from(READ_WRITE)).to_le_bytes());
}

#[test]
fn missing_helpers_are_traps() {
    for backend in [Backend::Interpreter, Backend::Jit] {
        let module = module(&text_code("call 0x10000\nexit").code, backend);
        let result = module.run(&mut cage(), 0, [0; 5], &mut Fuel(FUEL), &mut NoHelpers);
        assert_eq!(result, Err(Trap::Helper { pc: 0, number: 0x10000, fault: HelperFault::Missing }));
        let result = module.run(&mut cage(), 1, [0; 5], &mut Fuel(FUEL), &mut NoHelpers);
        assert_eq!(result, Err(Trap::NoSuchEntry { entry: 1 }));
    }
}

/// Threads fault and trap at the same time, each in its own cage, on shared code.
#[test]
fn threads_trap_on_their_own() {
    let program = Both::text("r0 = *(u64 *)(r1 + 0x0)\nr0 = r2\nexit");
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let program = &program;
            scope.spawn(move || {
                for round in 0..100 {
                    let address = 0x3000_0000 + thread * 0x1000 + round;
                    assert_eq!(program.run([address, 0, 0, 0, 0]), Err(load(0, address as u32)));
                    assert_eq!(program.run([READ_ONLY.into(), thread, 0, 0, 0]), Ok(thread));
                }
            });
        }
    });
}
