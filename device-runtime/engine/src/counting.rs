//! Exact counts of what a run executed, by basic block.

use std::collections::BTreeSet;

use nearside_programs::isa::Instruction;

use crate::trap::Trap;
use crate::verify::{Program, jump_target};

/// How a counted run ended, and what it executed until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// As [`Module::run`](crate::Module::run) returns it.
    pub result: Result<u64, Trap>,
    /// Blocks that were executed, by ascending slot.
    pub blocks: Vec<BlockCount>,
}

/// Executions of a basic block: instructions that control enters only at the first and leaves only after the last. Calls do
/// not end a block. A trap ends the run inside one; its remaining instructions are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCount {
    /// Slot of its first instruction.
    pub first_slot: u32,
    /// How often it was entered.
    pub executions: u64,
    /// Instructions executed in it, over all executions.
    pub instructions: u64,
}

/// Sums counts by slot into blocks.
pub(crate) fn by_block(program: &Program, counts: &[u64]) -> Vec<BlockCount> {
    let leaders: Vec<usize> = leaders(program).into_iter().collect();
    let ends = leaders.iter().skip(1).copied().chain([counts.len()]);
    let blocks = leaders.iter().zip(ends).map(|(&first, end)| BlockCount {
        first_slot: first as u32,
        executions: counts[first],
        instructions: counts[first..end].iter().sum(),
    });
    blocks.filter(|block| block.executions > 0).collect()
}

/// First slots of basic blocks: functions, targets of jumps, and what follows a jump or exit.
fn leaders(program: &Program) -> BTreeSet<usize> {
    let mut leaders: BTreeSet<usize> = program.functions.iter().map(|function| function.start).collect();
    for (pc, instruction) in program.iter() {
        let offset = match instruction {
            Instruction::Jump { offset, .. } => offset,
            Instruction::Branch { offset, .. } => offset.into(),
            Instruction::Exit => 0,
            _ => continue,
        };
        leaders.insert(jump_target(pc, offset));
        leaders.insert(pc + 1);
    }
    leaders.retain(|&slot| slot < program.instructions.len());
    leaders
}
