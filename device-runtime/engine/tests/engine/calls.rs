//! Functions, `callx`, entry points, and what registers hold after a call.

use nearside_engine::{Backend, Cage, Code, Fuel, HelperFault, Helpers, Memory, Module, Operation, Trap};
use nearside_programs::abi::helper;
use nearside_programs::isa::{CallTarget, Instruction, Reg, WideSource};
use nearside_programs::manifest::Target;

use crate::common::{Both, FUEL, cage, module, text_code};

/// r6 to r9 and r10 are the caller's again; r1 to r5 are 0; a callee finds 0 in r0 and r6 to r9.
#[test]
fn registers_after_a_call() {
    let callee = "<f>:\nr0 += r6\nr0 += r9\nr0 += r1\nr6 = 0x1\nr9 = 0x1\nr1 = 0x7\nexit";
    let caller =
        |checks: &str| Both::text(&format!("<main>:\nr0 = 0x33\nr6 = 0x10\nr9 = 0x20\ncall f\n{checks}\nexit\n{callee}"));
    assert_eq!(caller("").run([5, 0, 0, 0, 0]), Ok(5));
    assert_eq!(caller("r0 = r6\nr0 += r9").run([5, 0, 0, 0, 0]), Ok(0x30));
    for register in 1..=5 {
        assert_eq!(caller(&format!("r0 = r{register}")).run([5, 6, 7, 8, 9]), Ok(0), "r{register}");
        let helper = Both::text(&format!("call 0x10000\nr0 = r{register}\nexit"));
        assert_eq!(helper.run([5, 0, 0, 8, 9]), Ok(0), "r{register}");
    }
    assert_eq!(Both::text("r0 += r6\nr0 += r9\nexit").run([1, 2, 3, 4, 5]), Ok(0));
}

/// Frames are 512 bytes apart, and a pointer to the caller's works in the callee.
#[test]
fn each_call_has_a_frame() {
    let program = Both::text("<main>:\nr1 = r10\ncall f\nexit\n<f>:\nr0 = r1\nr0 -= r10\nexit");
    assert_eq!(program.run([0; 5]), Ok(512));
    let program = Both::text(
        "<main>:\n*(u64 *)(r10 - 0x8) = 0x5\nr1 = r10\nr1 += -0x8\ncall f\nr0 = *(u64 *)(r10 - 0x8)\nexit\n\
         <f>:\n*(u64 *)(r10 - 0x8) = 0x6\nr2 = *(u64 *)(r1 + 0x0)\nr2 += 0x1\n*(u64 *)(r1 + 0x0) = r2\nexit",
    );
    assert_eq!(program.run([0; 5]), Ok(6));
}

/// `lddw` of a code address and `callx` reach a function; anything else in the register is a trap.
#[test]
fn callx_reaches_functions_only() {
    let program = Both::build(|builder| {
        let address =
            |offset: i32| Instruction::LoadImm64 { dst: Reg::R6, source: WideSource::Code, value: u64::from(offset as u32) };
        builder.emit(address(5)); // slot 6 = 0 + 1 + 5
        builder.add(Reg::R6, Reg::R1).emit(Instruction::Call(CallTarget::Register(Reg::R6))).add(Reg::R0, 1).exit();
        builder.mov(Reg::R0, Reg::R2).exit();
    });
    assert_eq!(program.run([0, 41, 0, 0, 0]), Ok(42));
    // One function down is the caller itself.
    assert_eq!(program.run([-1_i64 as u64, 41, 0, 0, 0]), Err(Trap::CallDepth { pc: 3 }));
    for (offset, value) in [(1, 0x1_0000_0002), (-2_i64, 0xffff_ffff), (-0x1_0000_0001, 0), (i64::MIN, 0x8000_0001_0000_0001)] {
        assert_eq!(program.run([offset as u64, 0, 0, 0, 0]), Err(Trap::NotAFunction { pc: 3, value }), "{offset:#x}");
    }
}

/// `callx` on a number calls the helper of that number, if the target has it; nothing of the engine's own, and nothing of others.
#[test]
fn callx_reaches_helpers_by_number() {
    let callx = Instruction::Call(CallTarget::Register(Reg::R6));
    let program = Both::build(|builder| {
        builder.mov(Reg::R6, Reg::R4).mov(Reg::R4, 0).emit(callx).add(Reg::R0, Reg::R1).add(Reg::R0, Reg::R6).exit();
    });
    let group_ids = u64::from(helper::GROUP_IDS);
    assert_eq!(program.run([1, 0, 0, group_ids, 40]), Ok(41 + group_ids));
    let fault = HelperFault::Memory { operation: Operation::Store, address: 1, len: 8 };
    assert_eq!(program.run([0, 1, 0, group_ids, 0]), Err(Trap::Helper { pc: 2, number: helper::GROUP_IDS, fault }));
    assert_eq!(program.run([FUEL, 0, 0, group_ids, 0]), Err(Trap::OutOfFuel { pc: 2 }));
    for value in [helper::KTIME_GET_NS.into(), helper::F64_ADD.into(), 4, 1 << 48 | group_ids, u64::MAX] {
        assert_eq!(program.run([1, 0, 0, value, 40]), Err(Trap::NotAFunction { pc: 2, value }));
    }
}

/// Any entry point can be run, and nothing but an entry point.
#[test]
fn entry_points() {
    let code = text_code("<a>:\nr0 = 0x1\nexit\n<b>:\nr0 = 0x2\nexit\n<c>:\nr0 = 0x3\nexit");
    for backend in [Backend::Interpreter, Backend::Jit] {
        let module =
            Module::compile(Code { slots: &code.code, entries: &[4, 0, 4], maps: &[], target: Target::Columnar }, backend)
                .unwrap();
        let run = |entry| module.run(&mut cage(), entry, [0; 5], &mut Fuel(FUEL), &mut nearside_engine::NoHelpers);
        assert_eq!(run(0), Ok(1));
        assert_eq!(run(4), Ok(3));
        assert_eq!(run(2), Err(Trap::NoSuchEntry { entry: 2 }));
        assert_eq!(run(u32::MAX), Err(Trap::NoSuchEntry { entry: u32::MAX }));
    }
}

/// A helper may run another module on its thread; a trap there is its own business, and faults of the outer run are still caught.
#[test]
fn runs_nest() {
    struct Nested<'a>(&'a Module);
    impl Helpers for Nested<'_> {
        fn call(&mut self, _: u32, [a, ..]: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
            let mut cage = Cage::new(&[]).unwrap();
            let inner = self.0.run(&mut cage, 0, [a, 0, 0, 0, 0], &mut Fuel(FUEL), &mut nearside_engine::NoHelpers);
            Ok(u64::from(matches!(inner, Err(Trap::Memory { .. }))))
        }
    }
    for backend in [Backend::Interpreter, Backend::Jit] {
        let inner = module(&text_code("r0 = *(u8 *)(r1 + 0x0)\nexit").code, backend);
        let outer = module(&text_code("r6 = r2\ncall 0x10000\nr1 = *(u8 *)(r6 + 0x0)\nexit").code, backend);
        let run = |address| outer.run(&mut cage(), 0, [5, address, 0, 0, 0], &mut Fuel(FUEL), &mut Nested(&inner));
        assert_eq!(run(0x1_0000), Ok(1));
        assert!(matches!(run(0x7), Err(Trap::Memory { pc: 2, address: 7, .. })));
    }
}
