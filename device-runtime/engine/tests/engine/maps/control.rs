//! `loop` and `tail_call`: what they compute, charge, and where they end.

use nearside_engine::{Cage, Fuel, HelperFault, MapHelpers, Trap};
use nearside_programs::{Assembled, MapKind, MapSpec};

use super::{BACKENDS, compile, errno, reference, spec, try_maps};
use crate::common::{FUEL, REGIONS, text_code};

/// Result and fuel used, the same in both engines. Every function is an entry point; `programs` go into map 0 by name.
#[track_caller]
fn run_with(text: &str, programs: &[(u32, &str)], arguments: [u64; 5], fuel: u64) -> (Result<u64, Trap>, u64) {
    let Assembled { code, functions, .. } = text_code(text);
    let entries: Vec<u32> = functions.iter().map(|function| function.start).collect();
    let specs = [spec("programs", MapKind::ProgramArray, 4, 4, 40), spec("values", MapKind::Array, 4, 8, 1)];
    let [interpreted, translated] = BACKENDS.map(|backend| {
        let maps = try_maps(&specs, 1).unwrap();
        for (index, name) in programs {
            let function = functions.iter().find(|function| function.name == *name).unwrap();
            maps.host(0).unwrap().set_program(*index, function.start).unwrap();
        }
        let mut cage = Cage::new(&REGIONS).unwrap();
        cage.attach(&maps).unwrap();
        let mut left = Fuel(fuel);
        let result = compile(&code, &entries, &specs, backend).run(&mut cage, 0, arguments, &mut left, &mut MapHelpers::new(0));
        (result, fuel - left.0)
    });
    if !matches!(interpreted.0, Err(Trap::Memory { .. })) {
        assert_eq!(interpreted, translated, "{text}");
    }
    assert_eq!(interpreted.0, translated.0, "{text}");
    interpreted
}

#[track_caller]
fn run(text: &str, programs: &[(u32, &str)], arguments: [u64; 5]) -> Result<u64, Trap> {
    run_with(text, programs, arguments, FUEL).0
}

/// r0 of `loop(r1, f, r10 - 8, r4)`, plus 2^32 times what `f` adds up at r10 - 8.
fn looping(f: &str) -> String {
    format!(
        "<main>:\n*(u64 *)(r10 - 0x8) = 0x0\nr6 = 0x11\nr3 = r10\nr3 += -0x8\nld_pseudo r2, 0x4, 0x9\ncall 0xb5\n\
         if r6 != 0x11 goto +0x4\nr1 = *(u64 *)(r10 - 0x8)\nr1 <<= 0x20\nr0 += r1\nexit\nr0 = 0x0\nexit\n<f>:\n{f}\nexit"
    )
}

const ADD_INDEX: &str = "r3 = *(u64 *)(r2 + 0x0)\nr3 += r1\n*(u64 *)(r2 + 0x0) = r3\nr6 = 0x99\nr0 = 0x0";

#[test]
fn loops_call_once_for_each_number() {
    let text = looping(ADD_INDEX);
    for count in [0, 1, 2, 10, 1000] {
        let sum: u64 = (0..count).sum();
        assert_eq!(run(&text, &[], [count, 0, 0, 0, 0]), Ok(count + (sum << 32)), "{count}");
        // Only 32 bits count.
        assert_eq!(run(&text, &[], [count | 1 << 32, 0, 0, 0, 0]), Ok(count + (sum << 32)));
    }
    // Whatever is not 0 ends it, after the call that returned it.
    let stopping = looping("r0 = 0x0\nif r1 < 0x3 goto +0x2\nr0 = 0x1 ll");
    assert_eq!(run(&stopping, &[], [10, 0, 0, 0, 0]), Ok(4));
    assert_eq!(run(&stopping, &[], [2, 0, 0, 0, 0]), Ok(2));
    let high = looping("r0 = 0x100000000 ll");
    assert_eq!(run(&high, &[], [10, 0, 0, 0, 0]), Ok(1));
    // The callback finds nothing but its two arguments.
    let registers = looping("r0 = r3\nr0 |= r4\nr0 |= r5\nr0 |= r6\nr0 |= r9");
    assert_eq!(run(&registers, &[], [3, 0, 0, 0, 0]), Ok(3));
}

#[test]
fn loops_have_limits() {
    let flags = "<main>:\nr4 = r3\nr2 = r2\ncall 0xb5\nexit\n<f>:\nexit";
    let function = 1 << 32 | 1;
    let call = |count, callback, flags_| run_with(flags, &[], [count, callback, flags_, 0, 0], 30_000_000);
    assert_eq!(call(5, function, 1).0, Ok(errno(libc::EINVAL)));
    assert_eq!(call(1 << 24, function, 1).0, Ok(errno(libc::EINVAL)));
    assert_eq!(call((1 << 23) + 1, function, 0).0, Ok(errno(libc::E2BIG)));
    assert_eq!(call(u32::MAX.into(), 0, 0).0, Ok(errno(libc::E2BIG)));
    assert_eq!(call(1 << 23, function, 0), (Ok(1 << 23), 4 + (1 << 23)));
    for value in [0, 2 << 32, function + 1, u64::MAX] {
        assert_eq!(call(0, value, 0).0, Err(Trap::NotAFunction { pc: 2, value }));
    }
    // The entry's four and the callback's one, a call.
    for fuel in 5..9 {
        let (result, used) = run_with("<main>:\ncall 0xb5\nexit\n<f>:\nr0 = 0x0\nexit", &[], [3, function, 0, 0, 0], fuel);
        let expected = if fuel < 8 { Err(Trap::OutOfFuel { pc: 2 }) } else { Ok(3) };
        assert_eq!((result, used), (expected, fuel / 2 * 2), "{fuel}");
    }
}

#[test]
fn loops_nest_until_the_frames_end() {
    // f(i, c) loops over itself; the eighth frame cannot.
    let text =
        "<main>:\nr2 = 0x100000001 ll\ncall 0xb5\nexit\n<f>:\nr1 = 0x1\nr2 = 0x100000001 ll\nr3 = 0x0\nr4 = 0x0\ncall 0xb5\nexit";
    assert_eq!(run(text, &[], [1, 0, 0, 0, 0]), Err(Trap::CallDepth { pc: 9 }));
    // Traps inside say where they are, and end the run.
    let fault = looping("r0 = *(u8 *)(r1 + 0x0)");
    assert!(matches!(run(&fault, &[], [1, 0, 0, 0, 0]), Err(Trap::Memory { pc: 14, address: 0, .. })));
    // A loop in a loop, with frames of their own.
    let nested = "<main>:\n*(u64 *)(r10 - 0x8) = 0x0\nr1 = 0x5\nr2 = 0x100000001 ll\nr3 = r10\nr3 += -0x8\nr4 = 0x0\ncall 0xb5\nr0 = *(u64 *)(r10 - 0x8)\nexit\n\
         <f>:\n*(u64 *)(r10 - 0x8) = 0x7\nr6 = r10\nr1 += 0x1\nr3 = r2\nr2 = 0x100000002 ll\nr4 = 0x0\ncall 0xb5\nr0 = 0x0\nif r6 == r10 goto +0x1\nr0 = 0x1\nexit\n\
         <g>:\nr3 = *(u64 *)(r2 + 0x0)\nr3 += 0x1\n*(u64 *)(r2 + 0x0) = r3\n*(u64 *)(r10 - 0x8) = 0x9\nr0 = 0x0\nexit";
    assert_eq!(run(nested, &[], [0; 5]), Ok(1 + 2 + 3 + 4 + 5));
}

/// The target goes on in this frame: same stack, fresh registers, and its result is this function's.
#[test]
fn tail_calls_take_the_frame() {
    let text = "<main>:\nr6 = 0x5\n*(u64 *)(r10 - 0x8) = 0x30\nr9 = r1\ncall sub\nr0 += r9\nr0 += r6\nexit\n\
                <sub>:\nr6 = 0x7\n*(u64 *)(r10 - 0x8) = 0x100\nld_pseudo r2, 0x5, 0x0\nr3 = 0x2\nr1 = 0x1000\ncall 0xc\nr0 = 0x999\nexit\n\
                <target>:\nr0 += r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\nr0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nr1 = *(u64 *)(r10 - 0x8)\nr0 += r1\nexit";
    assert_eq!(run(text, &[(2, "target")], [0x20_0000, 0, 0, 0, 0]), Ok(0x20_0000 + 5 + 0x1000 + 0x100));
    // Nothing there: execution goes on.
    assert_eq!(run(text, &[(1, "target")], [0; 5]), Ok(5 + 0x999));
    // Main: 7 + 1; sub: 9; target: 12.
    for (fuel, trap) in [(6, 0), (15, 7), (27, 16)] {
        let (result, _) = run_with(text, &[(2, "target")], [0; 5], fuel);
        assert_eq!(result, Err(Trap::OutOfFuel { pc: trap }), "{fuel}");
    }
}

#[test]
fn tail_calls_without_a_program_return_an_errno() {
    let text = "<main>:\nr2 = r2\ncall 0xc\nexit\n<other>:\nr0 = 0x1\nexit";
    let call = |programs: &[(u32, &str)], map, index| run(text, programs, [0, map, index, 0, 0]);
    assert_eq!(call(&[], reference(0), 0), Ok(errno(libc::ENOENT)));
    assert_eq!(call(&[(0, "other")], reference(0), 0), Ok(1));
    assert_eq!(call(&[(0, "other")], reference(0), 40), Ok(errno(libc::ENOENT)));
    // Only 32 bits of the index count, as in the kernel.
    assert_eq!(call(&[(0, "other")], reference(0), 1 << 32), Ok(1));
    for map in [0, reference(1), reference(2), 1 << 32, u64::MAX] {
        let fault = HelperFault::Argument { index: 2, value: map };
        assert_eq!(call(&[], map, 0), Err(Trap::Helper { pc: 1, number: 12, fault }));
    }
    // A slot that is no entry point is no program.
    for backend in BACKENDS {
        let specs = [spec("programs", MapKind::ProgramArray, 4, 4, 2)];
        let maps = try_maps(&specs, 1).unwrap();
        maps.host(0).unwrap().set_program(0, 1).unwrap();
        maps.host(0).unwrap().set_program(1, 1_000_000).unwrap();
        let mut cage = Cage::new(&REGIONS).unwrap();
        cage.attach(&maps).unwrap();
        let module = compile(&text_code("call 0xc\nexit").code, &[0], &specs, backend);
        for index in 0..2 {
            let run = module.run(&mut cage, 0, [0, reference(0), index, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
            assert_eq!(run, Ok(errno(libc::ENOENT)));
        }
        // Nor is there any without maps.
        cage.detach().unwrap();
        let run = module.run(&mut cage, 0, [0, reference(0), 0, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
        let fault = HelperFault::Argument { index: 2, value: reference(0) };
        assert_eq!(run, Err(Trap::Helper { pc: 0, number: 12, fault }));
    }
}

/// A program that calls itself does so 33 times, then goes on; frames of subprograms do not matter, and count once for the run.
#[test]
fn tail_calls_are_counted() {
    let chain = "<main>:\nld_pseudo r4, 0x6, 0x1, 0x0\nr5 = *(u64 *)(r4 + 0x0)\nr5 += 0x1\n*(u64 *)(r4 + 0x0) = r5\n\
                 ld_pseudo r2, 0x5, 0x0\nr3 = 0x0\ncall 0xc\nld_pseudo r4, 0x6, 0x1, 0x0\nr1 = *(u64 *)(r4 + 0x0)\nr1 <<= 0x20\nr0 += r1\nexit";
    let (result, used) = run_with(chain, &[(0, "main")], [0; 5], FUEL);
    assert_eq!(result, Ok((34_u64 << 32).wrapping_add(errno(libc::E2BIG))));
    assert_eq!(used, 34 * 15);
    // Two subprograms with a chain each: 33 between them.
    let two = "<main>:\ncall leaf\nr6 = r0\ncall leaf\nr0 += r6\nexit\n\
               <leaf>:\nr6 = r1\nld_pseudo r4, 0x6, 0x1, 0x0\nr5 = *(u64 *)(r4 + 0x0)\nr5 += 0x1\n*(u64 *)(r4 + 0x0) = r5\n\
               ld_pseudo r2, 0x5, 0x0\nr3 = 0x0\ncall 0xc\nld_pseudo r4, 0x6, 0x1, 0x0\nr0 = *(u64 *)(r4 + 0x0)\nexit";
    assert_eq!(run(two, &[(0, "leaf")], [0; 5]), Ok(34 + 35));
}

/// Declarations fill a program array by the names of entry points.
#[test]
fn program_arrays_by_name() {
    use nearside_engine::{MapLimits, MapSetup, Maps, MapsError, SpecError};
    let specs = [MapSpec { named: vec![(1, "b".into())], ..spec("programs", MapKind::ProgramArray, 4, 4, 2) }];
    let make = |entries: &[(&str, u32)]| Maps::new(&specs, &MapSetup { cpus: 1, limits: MapLimits::default(), entries });
    let maps = make(&[("a", 0), ("b", 8)]).unwrap();
    assert_eq!(maps.reader(0).unwrap().entries(), Ok(vec![(vec![1, 0, 0, 0], vec![8, 0, 0, 0])]));
    let missing = make(&[("a", 0)]);
    assert!(matches!(missing, Err(MapsError::Spec { reason: SpecError::Named { index: 1, .. }, .. })), "{missing:?}");
}
