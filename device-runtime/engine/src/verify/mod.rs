//! The structural verifier: whatever passes, both engines can run.
//!
//! Checks the encoding, the shape of the control flow, who is called and where the stack is touched, in one pass over the slots
//! after the functions are known. It proves nothing about values: the cage, fuel and the frame limit take care of those.

mod calls;
mod error;

use nearside_programs::MapSpec;
use nearside_programs::abi::helper::{Helper, Kind};
use nearside_programs::isa::{AtomicOp, CallTarget, Instruction, Reg, Size, Slot, WideSource, decode};
use nearside_programs::manifest::Target;

pub use error::{CompileError, Reason};

use crate::intrinsic::Intrinsic;
use crate::maps::direct_values;

/// Most slots a program may have; the kernel's limit, too.
pub const SLOTS_MAX: usize = 1_000_000;

/// Most frames at a time, the entry point's included.
pub const FRAMES_MAX: u32 = 8;

/// Bytes of stack a frame has.
pub const FRAME_LEN: u32 = 512;

/// What a `callx` register holds for function 0; the others follow. No cage address, so that mixing them up shows.
pub(crate) const CODE_BASE: u64 = 1 << 32;

/// What a register holds that refers to map 0; the others follow. Neither a cage address nor a code address.
pub(crate) const MAP_BASE: u64 = 2 << 32;

/// Code to verify, as an object has it.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// The instructions, two slots for an `lddw`.
    pub slots: &'a [Slot],
    /// First slot of each entry point.
    pub entries: &'a [u32],
    /// Maps that `lddw` names by index.
    pub maps: &'a [MapSpec],
    /// Whose helpers and rules apply.
    pub target: Target,
}

/// One function: a contiguous range of slots that control enters only at its start, and leaves only by call and exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Function {
    /// What its entry is charged.
    pub(crate) fn cost(&self) -> u64 {
        (self.end - self.start) as u64
    }
}

/// What a jump from `pc` to `target` is charged: nothing forward, else the slots from one to the other.
pub(crate) fn jump_cost(pc: usize, target: usize) -> u64 {
    (pc + 1).saturating_sub(target) as u64
}

/// Where a jump of `offset` at `pc` leads. Only for verified jumps, whose target exists.
pub(crate) fn jump_target(pc: usize, offset: i32) -> usize {
    (pc + 1).wrapping_add_signed(offset as isize)
}

/// A verified program. Everything here can be relied upon: targets exist, registers that are written are not r10.
#[derive(Debug)]
pub(crate) struct Program {
    /// By slot. The second slot of an `lddw` has a filler that control never reaches.
    pub(crate) instructions: Vec<Instruction>,
    /// By start; together they are all slots.
    pub(crate) functions: Vec<Function>,
    /// First slots of entry points, ascending.
    pub(crate) entries: Vec<u32>,
    /// By map: where element 0 is, if it is an array's.
    direct_values: Vec<Option<u32>>,
    /// Most frames a run can have: one, or as many as there may be.
    pub(crate) frames: u32,
    /// Whose helpers it may call.
    pub(crate) target: Target,
}

impl Program {
    /// Which function starts at this slot.
    pub(crate) fn function_at(&self, start: usize) -> Option<usize> {
        self.functions.binary_search_by_key(&start, |function| function.start).ok()
    }

    /// Every instruction and its slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Instruction)> + '_ {
        self.range(0, self.instructions.len())
    }

    /// The instructions of a function and their slots.
    pub(crate) fn body(&self, function: Function) -> impl Iterator<Item = (usize, Instruction)> + '_ {
        self.range(function.start, function.end)
    }

    fn range(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, Instruction)> + '_ {
        let mut next = start;
        std::iter::from_fn(move || {
            let pc = next;
            let instruction = *self.instructions[..end].get(pc)?;
            next += instruction.slot_count();
            Some((pc, instruction))
        })
    }

    /// What an `lddw` at `pc` loads. References to maps, code and variables never look like cage addresses or native ones.
    pub(crate) fn wide(&self, pc: usize, source: WideSource, value: u64) -> u64 {
        let (low, high) = (value as u32, value >> 32);
        match source {
            WideSource::Code => self.code_address(jump_target(pc, low as i32)),
            WideSource::MapByIndex => MAP_BASE + u64::from(low),
            WideSource::MapValueByIndex => self.direct_values[low as usize].map_or(0, u64::from) + high,
            _ => value,
        }
    }

    /// Which function a register refers to that holds this.
    pub(crate) fn function_of(&self, value: u64) -> Option<usize> {
        let index = value.checked_sub(CODE_BASE)?;
        (index < self.functions.len() as u64).then_some(index as usize)
    }

    /// Which function is the entry point that begins at this slot.
    pub(crate) fn entry(&self, slot: u32) -> Option<usize> {
        self.entries.binary_search(&slot).ok().and_then(|_| self.function_at(slot as usize))
    }

    /// What a register holds that points to the code at this slot, the start of a function.
    pub(crate) fn code_address(&self, start: usize) -> u64 {
        let index = self.functions.partition_point(|function| function.start < start);
        CODE_BASE + index as u64
    }
}

/// Verifies a program, in time linear in its slots.
pub(crate) fn verify(code: Code<'_>) -> Result<Program, CompileError> {
    let slots = code.slots.len();
    if slots == 0 || slots > SLOTS_MAX {
        return Err(CompileError::Length { slots, limit: SLOTS_MAX });
    }
    let (instructions, kinds) = decode_all(code.slots)?;
    let functions = functions(code, &instructions, &kinds)?;
    let direct_values = direct_values(code.maps);
    let checker = Checker { instructions: &instructions, kinds: &kinds, code, direct_values: &direct_values };
    for function in &functions {
        checker.function(*function)?;
    }
    let mut entries = code.entries.to_vec();
    entries.sort_unstable();
    entries.dedup();
    let frames = if instructions.iter().any(enters_function) { FRAMES_MAX } else { 1 };
    let program = Program { instructions, functions, entries, direct_values, frames, target: code.target };
    calls::check_depth(&program)?;
    Ok(program)
}

/// What a slot is to a jump.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotKind {
    Instruction,
    SecondOfLddw,
}

fn decode_all(slots: &[Slot]) -> Result<(Vec<Instruction>, Vec<SlotKind>), CompileError> {
    let mut instructions = Vec::with_capacity(slots.len());
    let mut kinds = Vec::with_capacity(slots.len());
    while instructions.len() < slots.len() {
        let instruction = decode(slots, instructions.len())?;
        instructions.push(instruction);
        kinds.push(SlotKind::Instruction);
        if instruction.slot_count() == 2 {
            instructions.push(Instruction::Exit);
            kinds.push(SlotKind::SecondOfLddw);
        }
    }
    Ok((instructions, kinds))
}

/// Cuts the program into functions: at slot 0, entry points, targets of local calls and of code addresses.
fn functions(code: Code<'_>, instructions: &[Instruction], kinds: &[SlotKind]) -> Result<Vec<Function>, CompileError> {
    let mut starts = vec![false; instructions.len()];
    starts[0] = true;
    for &entry in code.entries {
        match kinds.get(entry as usize) {
            Some(SlotKind::Instruction) => starts[entry as usize] = true,
            _ => return Err(CompileError::Entry { slot: entry }),
        }
    }
    for (pc, instruction) in instructions.iter().enumerate() {
        if let Some(offset) = called(instruction) {
            let target = resolve(kinds, pc, offset).map_err(|reason| CompileError::at(pc, reason))?;
            starts[target] = true;
        }
    }
    let starts: Vec<usize> = (0..starts.len()).filter(|&slot| starts[slot]).collect();
    let ends = starts.iter().skip(1).copied().chain([instructions.len()]);
    Ok(starts.iter().copied().zip(ends).map(|(start, end)| Function { start, end }).collect())
}

/// Offset of the function this instruction calls or takes the address of.
fn called(instruction: &Instruction) -> Option<i32> {
    match *instruction {
        Instruction::Call(CallTarget::Local(offset)) => Some(offset),
        // The decoder leaves only the low 32 bits of a code address.
        Instruction::LoadImm64 { source: WideSource::Code, value, .. } => Some(value as i32),
        _ => None,
    }
}

/// Whether this may run a function of the program in a frame of its own.
fn enters_function(instruction: &Instruction) -> bool {
    match *instruction {
        Instruction::Call(CallTarget::Helper(number)) => Intrinsic::by_number(number) == Some(Intrinsic::Loop),
        Instruction::Call(CallTarget::Local(_) | CallTarget::Register(_)) => true,
        _ => false,
    }
}

/// The slot a jump, call or code address at `pc` leads to.
fn resolve(kinds: &[SlotKind], pc: usize, offset: i32) -> Result<usize, Reason> {
    let target = pc as i64 + 1 + i64::from(offset);
    match usize::try_from(target).ok().and_then(|slot| kinds.get(slot).map(|kind| (slot, kind))) {
        None => Err(Reason::OutOfProgram { target }),
        Some((_, SlotKind::SecondOfLddw)) => Err(Reason::IntoLddw { target }),
        Some((slot, SlotKind::Instruction)) => Ok(slot),
    }
}

struct Checker<'a> {
    instructions: &'a [Instruction],
    kinds: &'a [SlotKind],
    code: Code<'a>,
    direct_values: &'a [Option<u32>],
}

impl Checker<'_> {
    fn function(&self, function: Function) -> Result<(), CompileError> {
        let mut pc = function.start;
        while pc < function.end {
            let instruction = &self.instructions[pc];
            self.instruction(pc, instruction, function).map_err(|reason| CompileError::at(pc, reason))?;
            let next = pc + instruction.slot_count();
            let goes_on = !matches!(instruction, Instruction::Jump { .. } | Instruction::Exit);
            if goes_on && next >= function.end {
                return Err(CompileError::at(pc, Reason::FallThrough));
            }
            pc = next;
        }
        Ok(())
    }

    fn instruction(&self, pc: usize, instruction: &Instruction, function: Function) -> Result<(), Reason> {
        if written(instruction) == Some(Reg::R10) {
            return Err(Reason::FramePointer);
        }
        match *instruction {
            Instruction::Jump { offset, .. } => self.jump(pc, offset, function),
            Instruction::Branch { offset, .. } => self.jump(pc, offset.into(), function),
            Instruction::Load { size, base, offset, .. }
            | Instruction::Store { size, base, offset, .. }
            | Instruction::Atomic { size, base, offset, .. } => stack(size, base, offset),
            Instruction::LoadImm64 { source, value, .. } => self.wide(source, value as u32, value >> 32),
            Instruction::LoadPacket { .. } if self.code.target != Target::Packet => Err(Reason::LegacyPacketLoad),
            Instruction::Call(target) => self.call(target),
            _ => Ok(()),
        }
    }

    fn jump(&self, pc: usize, offset: i32, function: Function) -> Result<(), Reason> {
        let target = resolve(self.kinds, pc, offset)?;
        if (function.start..function.end).contains(&target) { Ok(()) } else { Err(Reason::OutOfFunction { target }) }
    }

    fn call(&self, target: CallTarget) -> Result<(), Reason> {
        match target {
            CallTarget::Local(_) | CallTarget::Register(_) => Ok(()),
            CallTarget::HelperByBtf(id) => Err(Reason::HelperByBtf { id }),
            CallTarget::Helper(number) => match Helper::by_number(number) {
                Some(helper) if !helper.targets.contains(&self.code.target) => Err(Reason::HelperOfOtherTarget { number }),
                Some(helper) if matches!(helper.kind, Kind::Vector | Kind::Kernel) || Intrinsic::by_number(number).is_some() => {
                    Ok(())
                }
                _ => Err(Reason::UnknownHelper { number }),
            },
        }
    }

    fn wide(&self, source: WideSource, index: u32, offset: u64) -> Result<(), Reason> {
        match source {
            WideSource::Immediate | WideSource::Code => Ok(()),
            WideSource::Variable => Err(Reason::Variable),
            WideSource::MapByFd | WideSource::MapValueByFd => Err(Reason::MapByFd),
            WideSource::MapByIndex => self.map(index).map(|_| ()),
            WideSource::MapValueByIndex => {
                let value_len = self.map(index)?.value_len;
                if self.direct_values[index as usize].is_none() {
                    return Err(Reason::NoDirectValue { index });
                }
                if offset < u64::from(value_len) { Ok(()) } else { Err(Reason::OutOfValue { index, offset, value_len }) }
            }
        }
    }

    fn map(&self, index: u32) -> Result<&MapSpec, Reason> {
        self.code.maps.get(index as usize).ok_or(Reason::NoSuchMap { index })
    }
}

/// The helper that `callx` on this value calls. The engine's own are called by number only.
pub(crate) fn helper_in_register(target: Target, value: u64) -> Option<u32> {
    let helper = u32::try_from(value).ok().and_then(Helper::by_number)?;
    let callable = helper.targets.contains(&target) && matches!(helper.kind, Kind::Vector | Kind::Kernel);
    callable.then_some(helper.number)
}

/// The register an instruction writes, where it names it.
pub(crate) fn written(instruction: &Instruction) -> Option<Reg> {
    match *instruction {
        Instruction::Alu { dst, .. }
        | Instruction::Neg { dst, .. }
        | Instruction::MoveSigned { dst, .. }
        | Instruction::Endian { dst, .. }
        | Instruction::LoadImm64 { dst, .. }
        | Instruction::Load { dst, .. } => Some(dst),
        // Compare-exchange returns the old value in r0.
        Instruction::Atomic { op, fetch: true, src, .. } if op != AtomicOp::CompareExchange => Some(src),
        _ => None,
    }
}

/// An access relative to r10 stays in the frame. Other ways to reach the stack are left to the cage.
fn stack(size: Size, base: Reg, offset: i16) -> Result<(), Reason> {
    let frame = -(FRAME_LEN as i32)..=-(size.bytes() as i32);
    if base == Reg::R10 && !frame.contains(&i32::from(offset)) {
        return Err(Reason::Stack { offset });
    }
    Ok(())
}
