//! What a program must never cause, tried: `docs/safety.md` says why it cannot.

use std::fs;

use nearside_engine::{
    Backend, Code, CompileError, Fallback, Fuel, HelperFault, Helpers, JIT_LOOPS_MAX, Memory, Module, Reason, SLOTS_MAX, Trap,
};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

use crate::common::{Both, FUEL, GROWING, READ_ONLY, READ_WRITE, cage, module, text_code};

fn slot(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> Slot {
    Slot { opcode, dst, src, offset, imm }
}

const EXIT: Slot = Slot { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 };

/// A branch that depends on both registers.
fn branch(offset: i16) -> Slot {
    slot(0x1d, 1, 2, offset, 0)
}

fn compile(slots: &[Slot], backend: Backend) -> Result<Module, CompileError> {
    Module::compile(Code { slots, entries: &[0], maps: &[], target: Target::Packet }, backend)
}

/// Mappings of this process that are both writable and executable, and those that are executable and of no file.
fn mappings() -> (Vec<String>, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let permissions = |line: &&str| line.split_whitespace().nth(1).unwrap_or("").to_owned();
    let both = maps.lines().filter(|line| permissions(line).contains('w') && permissions(line).contains('x'));
    let code = maps.lines().filter(|line| permissions(line).contains('x') && line.split_whitespace().count() == 5);
    (both.map(str::to_owned).collect(), code.count())
}

/// Code is written before it is executable, and never after: looked at from within a run, too.
#[test]
fn no_page_is_writable_and_executable() {
    struct Looking(Option<(Vec<String>, usize)>);
    impl Helpers for Looking {
        fn call(&mut self, _: u32, _: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
            self.0 = Some(mappings());
            Ok(0)
        }
    }
    let module = module(&text_code("call 0x10000\nexit").code, Backend::Jit);
    let mut helpers = Looking(None);
    assert_eq!(module.run(&mut cage(), 0, [0; 5], &mut Fuel(FUEL), &mut helpers), Ok(0));
    let (both, code) = helpers.0.unwrap();
    assert_eq!(both, Vec::<String>::new());
    assert!(code > 0, "generated code is somewhere");
    assert_eq!(mappings().0, Vec::<String>::new());
}

/// All registers and the whole stack, at entry, after helpers, intrinsics and atomic operations: arguments, zeros,
/// cage addresses, none of which reaches 2^33; where this process has its memory is not among them.
#[test]
fn no_register_holds_a_native_address() {
    let dump = |place: u32| {
        (0..=10).map(|register| format!("*(u64 *)(r10 - {:#x}) = r{register}\n", place + 8 * register)).collect::<String>()
    };
    // r1 = where dumps go; each call is followed by a dump of its own.
    let copy = "r1 = 0x20100 ll\nr2 = r10\nr3 = 0x0\nloop:\nr4 = *(u64 *)(r2 - 0x200)\n*(u64 *)(r1 + 0x0) = r4\nr1 += 0x8\nr2 += 0x8\n\
                r3 += 0x1\nif r3 != 0x40 goto loop\nr0 = 0x0\nexit\n";
    let text = format!(
        "<main>:\n{}call 0x10000\n{}r1 = 0x40\nr2 = 0x0\nr3 = 0x0\ncall 0x10050\n{}r1 = r10\nr2 = 0x1\n\
         r1 += -0x1f8\nr2 = atomic_fetch_add((u64 *)(r1 + 0x0), r2)\nr1 = 0x0\n{}{copy}",
        dump(0x58),
        dump(0xb0),
        dump(0x108),
        dump(0x160),
    );
    let outcome = Both::text(&text).run_with([0, 0, 0, 4, 5], FUEL);
    assert_eq!(outcome.result, Ok(0));
    let words = outcome.memory[1][0x100..0x300].chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    for (index, word) in words.enumerate() {
        assert!(word < 1 << 33, "word {index}: {word:#x}");
    }
    // The rest of the stack's unit, after a helper ran and another run trapped.
    let scan =
        "r1 = r10\nr1 += -0x10000\nr0 = 0x0\nloop:\nr2 = *(u64 *)(r1 + 0x0)\nr0 |= r2\nr1 += 0x8\nif r1 != r10 goto loop\nexit";
    assert_eq!(Both::text(&format!("r1 = 0x0\nr2 = 0x0\nr3 = 0x0\ncall 0x10000\n{scan}")).run([0; 5]), Ok(0));
}

/// Whatever a base register and an offset come to, 32 bits of it count, and a range never wraps around the end of the cage.
#[test]
fn addresses_wrap_inside_the_cage() {
    let program = Both::text("r0 = *(u64 *)(r1 + 0x7fff)\nexit");
    let first = u64::from_le_bytes(cage().region(0)[..8].try_into().unwrap());
    for high in [0, 1 << 32, 0xdead_beef_0000_0000, 0xffff_ffff_0000_0000] {
        assert_eq!(program.run([high + u64::from(READ_ONLY) - 0x7fff, 0, 0, 0, 0]), Ok(first));
    }
    let last = Both::text("r0 = *(u64 *)(r1 + 0x0)\nexit");
    for base in (0xffff_fff9..=u64::from(u32::MAX)).chain(u64::MAX - 6..=u64::MAX) {
        assert!(matches!(last.run([base, 0, 0, 0, 0]), Err(Trap::Memory { pc: 0, .. })), "{base:#x}");
    }
}

/// A helper's range may be any three numbers; only what is inside one region gets through.
#[test]
fn helpers_ranges_do_not_wrap() {
    let mut cage = cage();
    let mut memory = cage.memory();
    for address in [0, 1, u64::from(READ_ONLY), u64::from(GROWING) + 0xffff, u64::from(u32::MAX), u64::MAX] {
        for len in [usize::MAX, usize::MAX - 1, 1 << 32, (1 << 32) + 1, u32::MAX as usize, 0x1_0001] {
            assert!(memory.read(address, len).is_err(), "{address:#x} + {len:#x}");
            assert!(memory.write(address, len).is_err(), "{address:#x} + {len:#x}");
        }
    }
}

/// Programs of the largest size, of shapes that a verifier which follows paths, or sorts badly, does not come back from.
#[test]
fn a_million_instructions_are_verified() {
    let repeat = |slot: Slot| [vec![slot; SLOTS_MAX - 1], vec![EXIT]].concat();
    let shapes = [
        // Twice as many paths with each branch.
        repeat(branch(0)),
        repeat(slot(0xaf, 1, 2, 0, 0)),
        // As deep a nest as offsets allow, again and again; then loops around everything.
        (0..SLOTS_MAX - 1).map(|index| branch((SLOTS_MAX - 2 - index).min(32_000) as i16)).chain([EXIT]).collect(),
        (0..SLOTS_MAX - 1).map(|index| branch(-((index + 1).min(32_768) as i32) as i16)).chain([EXIT]).collect(),
        (0..SLOTS_MAX).map(|index| if index == 0 { EXIT } else { slot(0x06, 0, 0, 0, -(index as i32) - 1) }).collect(),
        // A chain of jumps over the whole program and back.
        (0..SLOTS_MAX).map(|index| slot(0x06, 0, 0, 0, (SLOTS_MAX - 2 * index) as i32 - 2)).collect(),
        // Half a million functions, each called from all over.
        (0..SLOTS_MAX / 2).flat_map(|index| [slot(0x85, 0, 1, 0, -(2 * index as i32) - 1), EXIT]).collect(),
    ];
    for (index, slots) in shapes.iter().enumerate() {
        assert_eq!(slots.len(), SLOTS_MAX);
        let module = compile(slots, Backend::Jit).unwrap_or_else(|error| panic!("shape {index}: {error}"));
        assert!(matches!(module.fallback(), Some(Fallback::TooLarge { .. })), "shape {index}");
        let result = module.run(&mut cage(), 0, [1, 2, 0, 0, 0], &mut Fuel(2_000_000), &mut nearside_engine::NoHelpers);
        assert!(matches!(result, Ok(_) | Err(Trap::OutOfFuel { .. } | Trap::CallDepth { .. })), "shape {index}: {result:?}");
    }
    // Each function calls the next: the ninth frame is seen without following calls.
    let chain: Vec<Slot> = (0..SLOTS_MAX / 2 - 1).flat_map(|_| [slot(0x85, 0, 1, 0, 1), EXIT]).chain([EXIT, EXIT]).collect();
    let refusal = compile(&chain, Backend::Jit).map(|_| ());
    assert!(matches!(refusal, Err(CompileError::Instruction { reason: Reason::CallDepth, .. })), "{refusal:?}");
}

/// Small programs whose shape makes a code generator slow are not given to it, and run all the same. The numbers are the limit's, not a clock's.
#[test]
fn the_jit_refuses_what_would_take_it_long() {
    let with_exit = |slots: Vec<Slot>| [slots, vec![EXIT]].concat();
    // `depth` loop heads, and as many branches back, innermost first.
    let nest = |depth: i16| {
        let heads = (0..depth).map(|index| slot(0x0f, (index % 10) as u8, 3, 0, 0));
        with_exit(heads.chain((0..depth).map(|index| branch(-2 * index - 2))).collect())
    };
    let nested = compile(&nest(4_000), Backend::Jit).unwrap();
    assert_eq!(nested.fallback(), Some(&Fallback::TooManyLoops { loops: 4_000 * 4_000 * 8_001 }));
    assert_eq!(nested.backend(), Backend::Interpreter);
    let run = |module: &Module| module.run(&mut cage(), 0, [1, 2, 5, 0, 0], &mut Fuel(FUEL), &mut nearside_engine::NoHelpers);
    assert_eq!(run(&nested), run(&compile(&nest(4_000), Backend::Interpreter).unwrap()));

    // Below the limit, the JIT takes it.
    let depth = 400;
    const { assert!(400 * 400 * 801 < JIT_LOOPS_MAX) };
    assert_eq!(compile(&nest(depth), Backend::Jit).unwrap().backend(), Backend::Jit);

    // Loops beside each other are no nest: as many as fit.
    let beside = with_exit([slot(0x0f, 3, 4, 0, 0), branch(-2)].repeat(3_000));
    assert_eq!(compile(&beside, Backend::Jit).unwrap().backend(), Backend::Jit);

    // Instructions that become many count as many.
    for (slot, weight) in [(slot(0x8d, 1, 0, 0, 0), 8), (slot(0x3f, 1, 2, 0, 0), 2), (slot(0xdb, 1, 2, 0, 1), 2), (branch(0), 1)]
    {
        let module = compile(&with_exit(vec![slot; 8_192]), Backend::Jit).unwrap();
        assert_eq!(module.fallback(), Some(&Fallback::TooLarge { slots: 8_192 * weight + 1 }));
    }
}

/// Recursion, `callx` to itself, and loops through calls all use up fuel or frames.
#[test]
fn calls_are_bounded() {
    let recursion = Both::text("<f>:\ncall f\nexit");
    assert_eq!(recursion.run([0; 5]), Err(Trap::CallDepth { pc: 0 }));
    // Calls in a loop: each costs its function's slots.
    let calls = Both::text("<main>:\nr6 = 0x0\nloop:\ncall f\nr6 += 0x1\nif r6 != 0x7fffffff goto loop\nexit\n<f>:\nexit");
    let outcome = calls.run_with([0; 5], 10_000);
    assert!(matches!(outcome.result, Err(Trap::OutOfFuel { .. })));
    assert!(outcome.fuel < 10);
    assert_eq!(calls.run_with([READ_WRITE.into(), 0, 0, 0, 0], 5).result, Err(Trap::OutOfFuel { pc: 5 }));
}
