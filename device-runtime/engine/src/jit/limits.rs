//! What the code generator is not asked to do: its time grows faster than the program, and it cannot be interrupted.
//!
//! Two sizes are known before it begins, in time linear in the program, and bound its time whatever the program's shape; between functions the
//! clock is looked at, too.

use std::time::Duration;

use nearside_programs::isa::{AluOp, CallTarget, Instruction, Operand};

use super::Fallback;
use super::translate::{OneBlock, one_block_loops};
use crate::intrinsic::Intrinsic;
use crate::verify::{Function, Program, jump_target};

/// Programs that are longer than this are interpreted; what becomes many machine instructions or blocks counts as several slots.
/// Cranelift takes up to half a second for so many in the worst shape found.
pub const JIT_SLOTS_MAX: usize = 8192;

/// Most retreating jumps × how many of them span one place × slots, summed over functions.
///
/// Loops make Cranelift's time grow with about this product: a thousand slots of nothing but loop heads and back edges reach it and take 0.2 s, eight
/// thousand would take minutes. An honest program of eight thousand slots may have 400 loops, nested 80 deep.
pub const JIT_LOOPS_MAX: u64 = 1 << 28;

/// After so long no further function is translated, and the program is interpreted. The other limits keep honest machines far below it.
pub const JIT_TIME_MAX: Duration = Duration::from_secs(10);

/// Loops are translated several turns at a time only where they come to no more than this part of [`JIT_LOOPS_MAX`]: that doubles their jumps.
const TURNS_LOOPS_SHARE: u64 = 64;

/// Refuses what could take the code generator longer than anybody waits. Says whether loops of one block may be translated several turns at a time.
pub(super) fn check(program: &Program) -> Result<bool, Fallback> {
    let slots: usize = program.iter().map(|(_, instruction)| weight(&instruction)).sum();
    if slots > JIT_SLOTS_MAX {
        return Err(Fallback::TooLarge { slots });
    }
    let loops = program.functions.iter().map(|function| loops(program, *function)).sum();
    if loops > JIT_LOOPS_MAX {
        return Err(Fallback::TooManyLoops { loops });
    }
    let copied: usize =
        program.functions.iter().flat_map(|function| one_block_loops(program, *function)).map(OneBlock::copied_slots).sum();
    Ok(slots + copied <= JIT_SLOTS_MAX && loops <= JIT_LOOPS_MAX / TURNS_LOOPS_SHARE)
}

/// Slots an instruction counts as. The factors are Cranelift's times for programs of nothing else.
fn weight(instruction: &Instruction) -> usize {
    match instruction {
        Instruction::Call(CallTarget::Register(_)) => 8,
        Instruction::Call(CallTarget::Helper(number)) if Intrinsic::by_number(*number).is_some() => 4,
        Instruction::Call(_) | Instruction::Atomic { .. } | Instruction::LoadPacket { .. } | Instruction::LoadImm64 { .. } => 2,
        Instruction::Alu { op: AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, src: Operand::Reg(_), .. } => 2,
        _ => 1,
    }
}

/// What [`JIT_LOOPS_MAX`] bounds, for one function.
fn loops(program: &Program, function: Function) -> u64 {
    let len = function.end - function.start;
    // By slot: retreating jumps whose span begins there, less those whose span ended just before.
    let mut spans = vec![0_i64; len + 1];
    let mut count = 0;
    for (pc, instruction) in program.body(function) {
        let target = match instruction {
            Instruction::Jump { offset, .. } => jump_target(pc, offset),
            Instruction::Branch { offset, .. } => jump_target(pc, offset.into()),
            _ => continue,
        };
        if target <= pc {
            count += 1;
            spans[target - function.start] += 1;
            spans[pc + 1 - function.start] -= 1;
        }
    }
    let mut open = 0;
    let depth = spans.iter().map(|change| {
        open += change;
        open
    });
    let depth = depth.max().unwrap_or(0).unsigned_abs();
    // At most a million slots: the product of three has 60 bits.
    count * depth * len as u64
}
