//! Programs that forge references, addresses and records.

use nearside_engine::{Cage, Code, CompileError, Fuel, HelperFault, MapHelpers, Module, Operation, Reason, Trap};
use nearside_programs::isa::{Instruction, Reg, WideSource};
use nearside_programs::manifest::Target;
use nearside_programs::{Builder, MapKind, MapSpec};

use super::{BACKENDS, KEY, World, compile, reference, spec, try_maps};
use crate::common::{FUEL, READ_ONLY, REGIONS, emulated, text_code};

/// Whatever a register holds: a map of the program, or a fault that says so.
#[test]
fn forged_references() {
    let specs = [spec("array", MapKind::Array, 4, 8, 2), spec("ring", MapKind::RingBuffer, 0, 0, 4096)];
    let mut world = World::new(&specs);
    for number in [1, 2, 3, 130, 131, 134, 195] {
        for value in [0, 1, KEY, 1 << 32, (2 << 32) - 1, reference(2), reference(0) | 1 << 40, 0xa000_0000, u64::MAX] {
            let fault = HelperFault::Argument { index: 1, value };
            assert_eq!(world.call(number, [value, KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number, fault }));
        }
    }
    // A map, but not one for this helper.
    for (number, map) in [(1, 1), (2, 1), (3, 1), (195, 0), (195, 1), (130, 0), (131, 0), (134, 0)] {
        let fault = HelperFault::Argument { index: 1, value: reference(map) };
        assert_eq!(world.call(number, [reference(map), KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number, fault }));
    }
    let fault = HelperFault::Argument { index: 2, value: reference(0) };
    assert_eq!(world.call(25, [0, reference(0), 0, KEY, 4]), Err(Trap::Helper { pc: 0, number: 25, fault }));
}

/// Keys and values must be memory of the program, whole.
#[test]
fn forged_addresses() {
    let mut world = World::new(&[spec("hash", MapKind::Hash, 8, 16, 2)]);
    let fault = |number, address, len| {
        let fault = HelperFault::Memory { operation: Operation::Load, address, len };
        Err(Trap::Helper { pc: 0, number, fault })
    };
    for address in [0, 0x7000_0000, 0xffff_ffff, READ_ONLY - 1] {
        for number in [1, 2, 3] {
            assert_eq!(world.call(number, [reference(0), address.into(), KEY, 0, 0]), fault(number, address, 8));
        }
        assert_eq!(world.call(2, [reference(0), KEY, address.into(), 0, 0]), fault(2, address, 16));
    }
    // The value of a map is memory, too.
    assert_eq!(world.call(2, [reference(0), KEY, KEY, 0, 0]), Ok(0));
    let value = world.call(1, [reference(0), KEY, 0, 0, 0]).unwrap();
    assert_eq!(world.call(2, [reference(0), value, value, 0, 0]), Ok(0));
    assert_eq!(world.call(1, [reference(0), value | 1 << 50, 0, 0, 0]).map(|address| address > 0), Ok(true));
}

/// Behind the maps, and between what may be written and what may not, there is nothing; nor is there after they are detached.
#[test]
fn addresses_beyond_the_maps() {
    let specs =
        [spec("array", MapKind::Array, 4, 65_536, 1), MapSpec { flags: 1 << 7, ..spec(".rodata", MapKind::Array, 4, 8, 1) }];
    let load = text_code("r0 = *(u64 *)(r1 + 0x0)\nexit").code;
    let store = text_code("*(u64 *)(r1 + 0x0) = 0x1\nexit").code;
    let add = text_code("r2 = 0x1\nlock *(u64 *)(r1 + 0x0) += r2\nexit").code;
    for backend in BACKENDS {
        let maps = try_maps(&specs, 1).unwrap();
        let mut cage = Cage::new(&REGIONS).unwrap();
        cage.attach(&maps).unwrap();
        let run = |cage: &mut Cage, slots, address: u64| {
            compile(slots, &[0], &specs, backend).run(cage, 0, [address, 0, 0, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0))
        };
        let trap = |pc, operation, address| Err(Trap::Memory { pc, operation, address });
        assert_eq!(run(&mut cage, &load, 0xa000_fff8), Ok(0));
        assert_eq!(run(&mut cage, &store, 0xa000_fff8), Ok(0));
        assert_eq!(run(&mut cage, &load, 0xa000_fff9), trap(0, Operation::Load, 0xa001_0000));
        assert_eq!(run(&mut cage, &store, 0xa000_fffc), trap(0, Operation::Store, 0xa001_0000));
        let mut straddling = run(&mut cage, &load, 0x9fff_fffc);
        emulated(&mut straddling, 0x9fff_fffc);
        assert_eq!(straddling, trap(0, Operation::Load, 0x9fff_fffc));
        assert_eq!(run(&mut cage, &load, 0x8000_fff8), Ok(0));
        assert_eq!(run(&mut cage, &store, 0x8000_0000), trap(0, Operation::Store, 0x8000_0000));
        assert_eq!(run(&mut cage, &add, 0x8000_0000), trap(1, Operation::Store, 0x8000_0000));
        assert_eq!(run(&mut cage, &add, 0xa000_0004), Err(Trap::Unaligned { pc: 1, address: 0xa000_0004 }));
        cage.detach().unwrap();
        assert_eq!(run(&mut cage, &load, 0xa000_0000), trap(0, Operation::Load, 0xa000_0000));
        assert_eq!(run(&mut cage, &load, 0x8000_0000), trap(0, Operation::Load, 0x8000_0000));
    }
}

/// Only what the run reserved can be submitted, once.
#[test]
fn forged_records() {
    let mut world = World::new(&[spec("ring", MapKind::RingBuffer, 0, 0, 4096)]);
    let address = world.call(131, [reference(0), 8, 0, 0, 0]).unwrap();
    assert!(address > 0);
    // Reserved by a run that is over.
    for number in [132, 133] {
        for value in [0, address, address + 8, reference(0)] {
            let fault = HelperFault::Argument { index: 1, value };
            assert_eq!(world.call(number, [value, 0, 0, 0, 0]), Err(Trap::Helper { pc: 0, number, fault }));
        }
    }
    let twice = "call 0x83\nr6 = r0\nr1 = r6\nr2 = 0x0\ncall 0x84\nr1 = r6\nr2 = 0x0\ncall 0x84\nexit";
    let slots = text_code(twice).code;
    for side in &mut world.sides {
        let module = compile(&slots, &[0], &world.specs, side.backend);
        let run = module.run(&mut side.cage, 0, [reference(0), 8, 0, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
        let trap = matches!(run, Err(Trap::Helper { pc: 7, number: 132, fault: HelperFault::Argument { index: 1, .. } }));
        assert!(trap, "{run:?}");
    }
}

/// The verifier knows the maps; it counts them and measures their values.
#[test]
fn lddw_of_maps_is_verified() {
    let specs = [
        spec("array", MapKind::Array, 4, 10, 3),
        spec("hash", MapKind::Hash, 4, 10, 3),
        spec("percpu", MapKind::PerCpuArray, 4, 10, 3),
        spec("huge", MapKind::Array, 4, u32::MAX, u32::MAX),
    ];
    let check = |source, index: u64, offset: u64| {
        let mut builder = Builder::new();
        builder.emit(Instruction::LoadImm64 { dst: Reg::R1, source, value: index | offset << 32 }).exit();
        let slots = builder.finish().unwrap().code;
        let code = Code { slots: &slots, entries: &[0], maps: &specs, target: Target::Packet };
        Module::compile(code, BACKENDS[0]).err().map(|error| match error {
            CompileError::Instruction { pc: 0, reason } => reason,
            other => panic!("{other}"),
        })
    };
    use WideSource::{MapByFd, MapByIndex, MapValueByFd, MapValueByIndex};
    for index in 0..4 {
        assert_eq!(check(MapByIndex, index, 0), None);
    }
    assert_eq!(check(MapByIndex, 4, 0), Some(Reason::NoSuchMap { index: 4 }));
    assert_eq!(check(MapByIndex, 0xffff_ffff, 0), Some(Reason::NoSuchMap { index: u32::MAX }));
    assert_eq!(check(MapValueByIndex, 0, 9), None);
    assert_eq!(check(MapValueByIndex, 0, 10), Some(Reason::OutOfValue { index: 0, offset: 10, value_len: 10 }));
    assert_eq!(check(MapValueByIndex, 0, 0xffff_ffff), Some(Reason::OutOfValue { index: 0, offset: 0xffff_ffff, value_len: 10 }));
    assert_eq!(check(MapValueByIndex, 4, 0), Some(Reason::NoSuchMap { index: 4 }));
    for index in 1..4 {
        assert_eq!(check(MapValueByIndex, index, 0), Some(Reason::NoDirectValue { index: index as u32 }));
    }
    assert_eq!((check(MapByFd, 0, 0), check(MapValueByFd, 0, 0)), (Some(Reason::MapByFd), Some(Reason::MapByFd)));
}

/// A worker that is none of the maps' CPUs is told so.
#[test]
fn cpus_are_checked() {
    let mut world = World::new(&[spec("hash", MapKind::PerCpuHash, 4, 8, 2)]);
    world.cpu = 3;
    let fault = HelperFault::Cpu { cpu: 3, cpus: 3 };
    for number in [1, 2, 3] {
        assert_eq!(world.call(number, [reference(0), KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number, fault }));
    }
}
