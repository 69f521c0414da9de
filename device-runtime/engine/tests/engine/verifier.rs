//! What is refused, with the instruction and the reason; and what is not.

use nearside_engine::{Backend, Code, CompileError, Fallback, JIT_SLOTS_MAX, Module, Reason, SLOTS_MAX};
use nearside_programs::Builder;
use nearside_programs::abi::helper;
use nearside_programs::isa::{AtomicOp, CallTarget, Instruction, Reg, Size, Slot, WideSource};
use nearside_programs::manifest::Target;

use crate::common::text_code;

fn compile_for(slots: &[Slot], entries: &[u32], target: Target, backend: Backend) -> Result<Module, CompileError> {
    Module::compile(Code { slots, entries, maps: &[], target }, backend)
}

fn compile(slots: &[Slot]) -> Result<Module, CompileError> {
    compile_for(slots, &[0], Target::Columnar, Backend::Interpreter)
}

#[track_caller]
fn refused(text: &str, pc: usize, reason: Reason) {
    assert_eq!(compile(&text_code(text).code).map(|_| ()), Err(CompileError::Instruction { pc, reason }), "{text}");
}

#[track_caller]
fn refused_instruction(instruction: Instruction, reason: Reason) {
    let mut builder = Builder::new();
    builder.emit(instruction).exit();
    let slots = builder.finish().unwrap().code;
    assert_eq!(compile(&slots).map(|_| ()), Err(CompileError::Instruction { pc: 0, reason }), "{instruction:?}");
}

#[track_caller]
fn accepted(text: &str) {
    let code = text_code(text).code;
    for backend in [Backend::Interpreter, Backend::Jit] {
        let module = compile_for(&code, &[0], Target::Columnar, backend);
        assert_eq!(module.map(|module| module.backend()), Ok(backend), "{text}");
    }
}

#[test]
fn control_flow_stays_in_its_function() {
    refused("goto +0x1\nexit", 0, Reason::OutOfProgram { target: 2 });
    refused("goto -0x2\nexit", 0, Reason::OutOfProgram { target: -1 });
    refused("if r0 == 0x0 goto +0x7\nexit", 0, Reason::OutOfProgram { target: 8 });
    refused("gotol +0x70000000\nexit", 0, Reason::OutOfProgram { target: 0x7000_0001 });
    refused("goto +0x1\nr0 = 0x1 ll\nexit", 0, Reason::IntoLddw { target: 2 });
    refused("call +0x5\nexit", 0, Reason::OutOfProgram { target: 6 });
    refused("call +0x2\nexit\nr0 = 0x1 ll\nexit", 0, Reason::IntoLddw { target: 3 });
    refused("<a>:\ncall b\ngoto +0x1\n<b>:\nr0 = 0x0\nexit", 1, Reason::OutOfFunction { target: 3 });
    refused("<a>:\ncall b\nexit\n<b>:\ngoto -0x2\nexit", 2, Reason::OutOfFunction { target: 1 });
    accepted("goto +0x0\nexit");
    accepted("<a>:\ncall b\nexit\n<b>:\nif r1 == 0x0 goto -0x1\nexit");
}

#[test]
fn control_does_not_fall_through() {
    refused("r0 = 0x0", 0, Reason::FallThrough);
    refused("exit\nr0 = 0x1 ll", 1, Reason::FallThrough);
    refused("if r0 == 0x0 goto -0x1", 0, Reason::FallThrough);
    refused("exit\ncall 0x10000", 1, Reason::FallThrough);
    refused("<a>:\ncall b\n<b>:\nexit", 0, Reason::FallThrough);
    accepted("goto -0x1");
    // Nothing reaches the middle, and it is checked all the same.
    accepted("exit\nr0 = 0x0\nexit");
    refused("exit\nr10 = 0x0\nexit", 1, Reason::FramePointer);
}

#[test]
fn the_frame_pointer_is_read_only() {
    for text in [
        "r10 = 0x0",
        "r10 += 0x8",
        "r10 = r1",
        "w10 = 0x0",
        "r10 = -r10",
        "r10 = *(u64 *)(r1 + 0x0)",
        "r10 = be16 r10",
        "r10 = 0x1 ll",
    ] {
        refused(&format!("{text}\nexit"), 0, Reason::FramePointer);
    }
    let atomic = |op, fetch, base, src| Instruction::Atomic { size: Size::D, op, fetch, base, offset: -8, src };
    refused_instruction(atomic(AtomicOp::Add, true, Reg::R1, Reg::R10), Reason::FramePointer);
    refused_instruction(atomic(AtomicOp::Exchange, true, Reg::R1, Reg::R10), Reason::FramePointer);
    accepted("lock *(u64 *)(r1 + 0x0) += r10\n*(u64 *)(r1 + 0x0) = r10\nr1 = r10\nexit");
}

#[test]
fn accesses_of_the_frame_are_inside_it() {
    for (text, offset) in [
        ("r0 = *(u8 *)(r10 + 0x0)", 0),
        ("r0 = *(u64 *)(r10 - 0x7)", -7),
        ("r0 = *(u8 *)(r10 - 0x201)", -513),
        ("*(u64 *)(r10 - 0x204) = r1", -516),
        ("*(u32 *)(r10 + 0x8) = 0x1", 8),
        ("lock *(u64 *)(r10 + 0x0) += r1", 0),
    ] {
        refused(&format!("{text}\nexit"), 0, Reason::Stack { offset });
    }
    accepted("r0 = *(u8 *)(r10 - 0x1)\n*(u64 *)(r10 - 0x200) = r0\nr0 = *(u64 *)(r10 - 0x8)\nexit");
}

#[test]
fn only_helpers_of_the_target_exist() {
    refused("call 0x4\nexit", 0, Reason::UnknownHelper { number: 4 });
    refused("call 0x1\nexit", 0, Reason::HelperOfOtherTarget { number: helper::MAP_LOOKUP_ELEM });
    refused("r0 = 0x0\ncall 0x7fffffff\nexit", 1, Reason::UnknownHelper { number: 0x7fff_ffff });
    refused_instruction(Instruction::Call(CallTarget::HelperByBtf(5)), Reason::HelperByBtf { id: 5 });
    let text = format!("call {:#x}\nexit", helper::GROUP_IDS);
    accepted(&text);
    let refusal = compile_for(&text_code(&text).code, &[0], Target::Packet, Backend::Interpreter).err();
    let reason = Reason::HelperOfOtherTarget { number: helper::GROUP_IDS };
    assert_eq!(refusal, Some(CompileError::Instruction { pc: 0, reason }));
    assert_eq!(
        refusal.map(|error| error.to_string()),
        Some("instruction 0: helper 65536 (group_ids) belongs to another target".to_owned())
    );
}

/// The kernel has helpers that no target here has: the message names them.
#[test]
fn the_kernels_helpers_are_refused_by_name() {
    let message = |text: &str| {
        compile_for(&text_code(text).code, &[0], Target::Packet, Backend::Interpreter).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(message("r0 = 0x0\ncall 69\nexit"), "instruction 1: helper 69 (fib_lookup) does not exist here");
    assert_eq!(message("call 0xd4\nexit"), "instruction 0: helper 212 does not exist here");
}

#[test]
fn files_variables_and_packets_do_not_exist() {
    let wide = |source| Instruction::LoadImm64 { dst: Reg::R1, source, value: 0 };
    for source in [WideSource::MapByFd, WideSource::MapValueByFd] {
        refused_instruction(wide(source), Reason::MapByFd);
    }
    for source in [WideSource::MapByIndex, WideSource::MapValueByIndex] {
        refused_instruction(wide(source), Reason::NoSuchMap { index: 0 });
    }
    refused_instruction(wide(WideSource::Variable), Reason::Variable);
    for load in ["r0 = *(u32 *)skb[0x0]", "r0 = *(u8 *)skb[r1]"] {
        refused(&format!("{load}\nexit"), 0, Reason::LegacyPacketLoad);
        let code = text_code(&format!("{load}\nexit")).code;
        assert!(compile_for(&code, &[0], Target::Packet, Backend::Jit).is_ok(), "{load}");
    }
}

#[test]
fn encodings_are_strict() {
    let exit = Slot { opcode: 0x95, ..Slot::default() };
    let check = |slots: &[Slot], message: &str| {
        assert_eq!(compile(slots).map(|_| ()).unwrap_err().to_string(), message);
    };
    check(&[Slot { opcode: 0xff, ..exit }, exit], "instruction 0: opcode 0xff does not exist");
    check(&[exit, Slot { imm: 1, ..exit }], "instruction 1: opcode 0x95 does not allow 1 in field `imm`");
    check(&[exit, Slot { opcode: 0x18, ..exit }], "instruction 1: lddw without its second slot");
    check(&[], "a program of 0 slots: 1 to 1000000 are allowed");
}

#[test]
fn entry_points_begin_instructions() {
    let code = text_code("r0 = 0x1 ll\nexit\nexit").code;
    let check = |entry| compile_for(&code, &[0, entry], Target::Columnar, Backend::Interpreter).map(|_| ());
    assert_eq!(check(3), Ok(()));
    assert_eq!(check(1), Err(CompileError::Entry { slot: 1 }));
    assert_eq!(check(4), Err(CompileError::Entry { slot: 4 }));
    assert_eq!(check(u32::MAX), Err(CompileError::Entry { slot: u32::MAX }));
    // What comes before an entry point must not run into it.
    assert_eq!(check(2), Err(CompileError::Instruction { pc: 0, reason: Reason::FallThrough }));
}

/// Chains of calls are counted; what recursion does shows at run time.
#[test]
fn chains_of_calls_are_bounded() {
    let chain = |functions: usize| {
        let body = |index| {
            if index + 1 < functions {
                format!("<f{index}>:\ncall f{}\nexit\n", index + 1)
            } else {
                format!("<f{index}>:\nr0 = 0x1\nexit\n")
            }
        };
        (0..functions).map(body).collect::<String>()
    };
    accepted(&chain(8));
    refused(&chain(9), 14, Reason::CallDepth);
    // Two ways to the same function: the longer one counts.
    refused(&format!("<main>:\ncall f7\ncall f0\nexit\n{}", chain(8)), 15, Reason::CallDepth);
    accepted("<a>:\nif r1 == 0x0 goto +0x1\ncall b\nexit\n<b>:\ncall a\nexit");
}

/// The limit of a program is refused by name; the JIT's limit is not an error.
#[test]
fn sizes_are_limited() {
    let exit = Slot { opcode: 0x95, ..Slot::default() };
    let error = compile(&vec![exit; SLOTS_MAX + 1]).map(|_| ());
    assert_eq!(error, Err(CompileError::Length { slots: SLOTS_MAX + 1, limit: SLOTS_MAX }));
    assert!(compile(&vec![exit; SLOTS_MAX]).is_ok());
    let large = compile_for(&vec![exit; JIT_SLOTS_MAX + 1], &[0], Target::Columnar, Backend::Jit).unwrap();
    assert_eq!(large.backend(), Backend::Interpreter);
    assert_eq!(large.fallback(), Some(&Fallback::TooLarge { slots: JIT_SLOTS_MAX + 1 }));
    let small = compile_for(&[exit], &[0], Target::Columnar, Backend::Jit).unwrap();
    assert_eq!((small.backend(), small.fallback()), (Backend::Jit, None));
}
