//! Loads, stores and atomic operations: edges of regions, permissions, alignment.

use nearside_engine::{Access, Cage, CageError, HelperFault, Operation, Region, Trap};
use nearside_programs::isa::{AtomicOp, Instruction, Reg, Size};
use nearside_programs::manifest::Target;

use crate::common::{Both, GROWING, NEIGHBOUR, READ_ONLY, READ_WRITE, REGIONS, cage, module, run_on, text_code};

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::D];

/// Little-endian value of bytes, as the host sees them.
fn value(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Only the low 32 bits of base + offset count.
#[test]
fn addresses_wrap_at_32_bits() {
    let program = Both::text("r0 = *(u8 *)(r1 + 0x10)\nexit");
    let expected = u64::from(cage().region(0)[0x10]);
    for high in [0, 1 << 32, 0xdead_beef << 32, u64::MAX << 32] {
        assert_eq!(program.run([high | u64::from(READ_ONLY), 0, 0, 0, 0]), Ok(expected));
    }
    // -0x10 + 0x10 wraps to address 0, which is never mapped.
    let trap = Trap::Memory { pc: 0, operation: Operation::Load, address: 0 };
    assert_eq!(program.run([-0x10_i64 as u64, 0, 0, 0, 0]), Err(trap));
}

/// For each size and each way an access can miss: the trap names the first byte that is out of bounds.
#[test]
fn the_whole_access_must_be_mapped() {
    for size in SIZES {
        let len = u64::from(size.bytes());
        let load = Both::build(|builder| {
            builder.load(size, Reg::R0, Reg::R1, 0).exit();
        });
        let store = Both::build(|builder| {
            builder.store(size, Reg::R1, 0, 0).exit();
        });
        let check = |program: &Both, operation, base: u64, fault: Option<u32>| {
            let expected = fault.map_or(Ok(()), |address| Err(Trap::Memory { pc: 0, operation, address }));
            assert_eq!(program.run([base, 0, 0, 0, 0]).map(|_| ()), expected, "{size:?} {operation} {base:#x}");
        };
        let (load, store) = (&load, &store);
        for (base, address) in [(0, 0), (0x7fff_0000, 0x7fff_0000), (0xffff_ffff, 0xffff_ffff), (0xffff_0000, 0xffff_0000)] {
            check(load, Operation::Load, base, Some(address));
            check(store, Operation::Store, base, Some(address));
        }
        // The last bytes of a region, and one further: the next unit is reserved, and not open.
        let end = u64::from(GROWING) + 0x1_0000;
        check(load, Operation::Load, end - len, None);
        check(store, Operation::Store, end - len, None);
        check(load, Operation::Load, end - len + 1, Some(end as u32));
        check(store, Operation::Store, end - len + 1, Some(end as u32));
        // Before the first byte.
        let start = u64::from(READ_ONLY) - 1;
        check(load, Operation::Load, start, Some(start as u32));
        // A read-only region.
        check(store, Operation::Store, u64::from(READ_ONLY), Some(READ_ONLY));
        // From a read-only region into an adjacent one: loads go through, stores do not.
        let edge = u64::from(READ_WRITE) - 1;
        check(load, Operation::Load, edge, None);
        check(store, Operation::Store, edge, Some(edge as u32));
    }
}

/// An access over the border of adjacent regions is one access.
#[test]
fn adjacent_regions_serve_an_access_together() {
    let cage = cage();
    let program = Both::text("r0 = *(u64 *)(r1 + 0x0)\nexit");
    for before in 1..8 {
        let (first, second) = (&cage.region(0)[0x1_0000 - before..], &cage.region(1)[..8 - before]);
        let expected = value(&[first, second].concat());
        assert_eq!(program.run([u64::from(READ_WRITE) - before as u64, 0, 0, 0, 0]), Ok(expected));
    }
}

/// What a store that faults in its second page wrote to its first: nothing.
#[test]
fn a_store_happens_whole_or_not_at_all() {
    let program = Both::text("*(u64 *)(r1 + 0x0) = r2\nexit");
    let outcome = program.run_with([u64::from(GROWING) + 0xfffc, u64::MAX, 0, 0, 0], 100);
    assert_eq!(outcome.result, Err(Trap::Memory { pc: 0, operation: Operation::Store, address: GROWING + 0x1_0000 }));
    assert!(outcome.memory[2] == cage().region(2));
}

/// Growing opens bytes that are zero, in both views; what was there stays.
#[test]
fn regions_grow_between_runs() {
    let text = "r0 = *(u8 *)(r1 + 0x0)\n*(u8 *)(r1 + 0x0) = 0x7\nexit";
    for backend in [nearside_engine::Backend::Interpreter, nearside_engine::Backend::Jit] {
        let module = module(&text_code(text).code, backend);
        let mut cage = cage();
        let end = GROWING + 0x1_0000;
        let arguments = [u64::from(end), 0, 0, 0, 0];
        let trap = Trap::Memory { pc: 0, operation: Operation::Load, address: end };
        assert_eq!(run_on(&module, &mut cage, arguments, 100).result, Err(trap));
        let first = cage.region(2).to_vec();
        cage.grow(2, 0x2_0000).unwrap();
        cage.grow(2, 0x1_0000).unwrap(); // shorter: nothing happens
        assert_eq!(run_on(&module, &mut cage, arguments, 100).result, Ok(0));
        assert_eq!(cage.region(2).len(), 0x2_0000);
        assert!(cage.region(2)[..0x1_0000] == first);
        assert_eq!(cage.region(2)[0x1_0000], 7);
        assert!(cage.region(2)[0x1_0001..].iter().all(|byte| *byte == 0));
        assert!(matches!(cage.grow(2, 0x3_0000), Err(CageError::OutOfRange { index: 2, .. })));
        assert!(matches!(cage.grow(2, 0x2_8000), Err(CageError::Unaligned { index: 2 })));
    }
}

#[test]
fn regions_are_checked() {
    let region = |start, len, reserved| Region { start, len, reserved, access: Access::ReadWrite };
    let check = |regions: &[Region]| Cage::new(regions).err().map(|error| error.to_string());
    assert_eq!(check(&REGIONS), None);
    assert_eq!(check(&[]), None);
    assert_eq!(check(&[region(0x1_0000, 0, 0x1_0000)]), None);
    let unaligned = Some("region 0: start, len and reserved must be multiples of 65536, and reserved not 0".to_owned());
    assert_eq!(check(&[region(0x1_0001, 0, 0x1_0000)]), unaligned);
    assert_eq!(check(&[region(0x1_0000, 4096, 0x1_0000)]), unaligned);
    assert_eq!(check(&[region(0x1_0000, 0, 0)]), unaligned);
    let out_of_range = |regions: &[Region]| matches!(Cage::new(regions), Err(CageError::OutOfRange { .. }));
    assert!(out_of_range(&[region(0, 0x1_0000, 0x1_0000)]));
    assert!(out_of_range(&[region(0x1_0000, 0x2_0000, 0x1_0000)]));
    assert!(out_of_range(&[region(0xffff_0000, 0x1_0000, 0x1_0000)]));
    assert!(out_of_range(&[region(0xfffc_0000, 0x1_0000, 0x1_0000)]));
    assert!(out_of_range(&[region(0xfff0_0000, 0, 0xfff0_0000)]));
    let overlap = Cage::new(&[region(0x5_0000, 0, 0x1_0000), region(0x1_0000, 0, 0x5_0000)]);
    assert!(matches!(overlap, Err(CageError::Overlap { address: 0x5_0000 })));
}

/// A cage address a helper gets is checked against one region, over its whole length.
#[test]
fn helpers_see_one_region_at_a_time() {
    let mut cage = cage();
    let mut memory = cage.memory();
    let fault = |operation, address, len| Err(HelperFault::Memory { operation, address, len });
    assert_eq!(memory.read(READ_ONLY.into(), 0x1_0000).map(<[u8]>::len), Ok(0x1_0000));
    assert_eq!(memory.read(READ_ONLY.into(), 0x1_0001), fault(Operation::Load, READ_ONLY, 0x1_0001));
    assert_eq!(memory.read(u64::from(READ_WRITE) - 1, 2), fault(Operation::Load, READ_WRITE - 1, 2));
    assert_eq!(memory.read(u64::from(READ_ONLY) - 1, 2), fault(Operation::Load, READ_ONLY - 1, 2));
    assert_eq!(memory.read(READ_ONLY.into(), usize::MAX), fault(Operation::Load, READ_ONLY, u64::MAX));
    assert_eq!(memory.read(0, 0), Ok(&[][..]));
    assert_eq!(memory.write(READ_ONLY.into(), 1).map(|bytes| &*bytes), fault(Operation::Store, READ_ONLY, 1));
    memory.write((1 << 40) | u64::from(READ_WRITE), 2).unwrap().copy_from_slice(&[1, 2]);
    assert_eq!(cage.region(1)[..2], [1, 2]);
}

/// A helper reads and writes at once only where the two are apart, in whichever order, and only what it may write.
#[test]
fn helpers_read_and_write() {
    let mut cage = cage();
    let (read_only, [first, second]) = (u64::from(READ_ONLY), [0, 8].map(|offset| u64::from(READ_WRITE) + offset));
    let expected = cage.region(1)[..8].to_vec();
    let mut memory = cage.memory();
    let fault = |to: u64| Err(HelperFault::Memory { operation: Operation::Store, address: to as u32, len: 8 });
    for (from, to) in [(read_only, first), (second, first), (first, second)] {
        let source = memory.read(from, 8).unwrap().to_vec();
        let (given, target) = memory.read_and_write(from, to, 8).unwrap();
        assert_eq!(given, source);
        target.copy_from_slice(&expected);
        assert_eq!(memory.read(to, 8).unwrap(), expected);
    }
    for (from, to) in [(first, first), (first, first + 7), (first + 7, first), (first, read_only)] {
        assert_eq!(memory.read_and_write(from, to, 8).map(|_| ()), fault(to));
    }
}

const ATOMICS: [AtomicOp; 6] =
    [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor, AtomicOp::Exchange, AtomicOp::CompareExchange];

/// r1 = address, r2 = operand, r3 = what r0 is before. Returns r0 ^ (r2 rotated by multiplication), so that both results show.
fn atomic_program(size: Size, op: AtomicOp, fetch: bool) -> Both {
    Both::build(|builder| {
        builder.mov(Reg::R0, Reg::R3);
        builder.emit(Instruction::Atomic { size, op, fetch, base: Reg::R1, offset: 8, src: Reg::R2 });
        builder.mul(Reg::R2, 3).xor(Reg::R0, Reg::R2).exit();
    })
}

/// Alignment is checked first; then the memory must be writable, even if nothing would change.
#[test]
fn atomic_operations_trap_alike() {
    for size in [Size::W, Size::D] {
        for op in ATOMICS {
            let program = atomic_program(size, op, true);
            for misalignment in (0..12).filter(|offset| offset % size.bytes() != 0) {
                for base in [READ_WRITE, READ_ONLY, 0] {
                    let address = base + 8 + misalignment;
                    let expected = Err(Trap::Unaligned { pc: 1, address });
                    assert_eq!(program.run([u64::from(base + misalignment), 0, 0, 0, 0]), expected);
                }
            }
            for base in [READ_ONLY, 0x7000_0000, NEIGHBOUR + 0x1_0000] {
                let expected = Err(Trap::Memory { pc: 1, operation: Operation::Store, address: base + 8 });
                assert_eq!(program.run([base.into(), 0, 0, 0, 0]), expected, "{size:?} {op:?}");
            }
        }
    }
}

/// Every run begins with zero frames; the stack is the program's own.
#[test]
fn the_stack_begins_zero() {
    let program =
        Both::text("r0 = *(u64 *)(r10 - 0x200)\n*(u64 *)(r10 - 0x200) = 0x5\nr1 = *(u64 *)(r10 - 0x200)\nr0 += r1\nexit");
    assert_eq!(program.run([0; 5]), Ok(5));
    for backend in [nearside_engine::Backend::Interpreter, nearside_engine::Backend::Jit] {
        let module = module(&text_code("r0 = *(u64 *)(r10 - 0x8)\n*(u64 *)(r10 - 0x8) = 0x5\nexit").code, backend);
        let mut cage = cage();
        for _ in 0..2 {
            assert_eq!(run_on(&module, &mut cage, [0; 5], 100).result, Ok(0));
        }
    }
}

/// However a frame is entered, no run finds what an earlier one left in it.
#[test]
fn frames_begin_zero() {
    let function = "r0 = *(u64 *)(r10 - 0x10)\nexit\n<f>:\nr3 = *(u64 *)(r10 - 0x8)\n*(u64 *)(r10 - 0x8) = 0x5\n*(u64 *)(r2 + 0x0) = r3\nr0 = 0x0\nexit";
    let calls = [
        "r2 = r10\nr2 += -0x10\ncall f",
        "r2 = r10\nr2 += -0x10\nld_pseudo r6, 0x4, 0x4\ncallx r6",
        "r3 = r10\nr3 += -0x10\nr1 = 0x1\nld_pseudo r2, 0x4, 0x5\nr4 = 0x0\ncall loop",
    ];
    for call in calls {
        let slots = text_code(&format!("<main>:\n{call}\n{function}")).code;
        for backend in [nearside_engine::Backend::Interpreter, nearside_engine::Backend::Jit] {
            let code = nearside_engine::Code { slots: &slots, entries: &[0], maps: &[], target: Target::Packet };
            let module = nearside_engine::Module::compile(code, backend).unwrap();
            let mut cage = cage();
            for _ in 0..2 {
                assert_eq!(run_on(&module, &mut cage, [0; 5], 1000).result, Ok(0), "{call}");
            }
        }
    }
}
