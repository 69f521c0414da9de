//! Which register, or which eight bytes of the stack, a value lives in: linear scan (Poletto and Sarkar, 1999).
//!
//! A value keeps its home from its first assignment to its last use; one that lives into a loop from outside keeps it to the loop's end. When registers
//! run out, the value with the fewest uses per instruction of its life moves to the stack. r0 and r5 are never homes: they carry values between the
//! stack and an instruction. A value alive across a call lives in r6 to r9, which callees keep.

use std::collections::HashMap;

use nearside_programs::isa::Reg;

use super::machine::{Mark, Op, Value};
use crate::refusal::Refusal;

/// Bytes of a frame (RFC 9669 leaves it to the platform; ours and the kernel's).
pub(super) const STACK_LEN: usize = 512;

const CALLER_SAVED: [Reg; 4] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4];
const CALLEE_SAVED: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Register(Reg),
    /// Bytes from the frame pointer, negative.
    Stack(i16),
}

/// Homes by value; `None`: never used.
pub(super) struct Homes(Vec<Option<Home>>);

impl Homes {
    /// The home of a value that some instruction assigns or uses.
    pub(super) fn of(&self, value: Value) -> Home {
        self.0[value.0 as usize].expect("every value of the code has an interval")
    }
}

/// A value's life. Instruction `i` reads at `2 i` and assigns at `2 i + 1`.
#[derive(Clone, Copy, Debug)]
struct Interval {
    value: Value,
    start: usize,
    end: usize,
    /// Uses and assignments, those in loops many times.
    weight: f64,
    crosses_call: bool,
    /// The value this one is made of, whose register would spare a move.
    hint: Option<Value>,
}

impl Interval {
    /// What it costs to have it on the stack, for each instruction it would free a register.
    fn density(&self) -> f64 {
        self.weight / (self.end - self.start + 1) as f64
    }
}

/// Chooses a home for every value of `code`; `value_count` values exist, and `temporary_len` bytes at the frame's end are taken.
pub(super) fn allocate(code: &[Op], value_count: usize, temporary_len: usize) -> Result<Homes, Refusal> {
    let mut intervals = intervals(code, value_count);
    intervals.sort_by_key(|interval| interval.start);
    let mut scan = Scan { homes: vec![None; value_count], active: Vec::new(), slots: Vec::new(), temporary_len };
    for interval in intervals {
        scan.place(interval);
    }
    let stack_len = temporary_len + scan.slots.len() * 8;
    if stack_len > STACK_LEN {
        return Err(Refusal::TooComplex { what: "bytes of stack", given: stack_len, limit: STACK_LEN });
    }
    Ok(Homes(scan.homes))
}

/// Loops as (position of the head, position of the branch back), inner ones first.
fn loops(code: &[Op]) -> Vec<(usize, usize)> {
    let heads: HashMap<Mark, usize> = code
        .iter()
        .enumerate()
        .filter_map(|(index, op)| match op {
            Op::Bind(mark) => Some((*mark, index)),
            _ => None,
        })
        .collect();
    let back = |(index, op): (usize, &Op)| match op {
        Op::Branch { target, .. } => heads.get(target).filter(|head| **head < index).map(|head| (*head, index)),
        _ => None,
    };
    let mut loops: Vec<_> = code.iter().enumerate().filter_map(back).collect();
    loops.sort_by_key(|(head, end)| end - head);
    loops
}

fn intervals(code: &[Op], value_count: usize) -> Vec<Interval> {
    let loops = loops(code);
    let mut found: Vec<Option<Interval>> = vec![None; value_count];
    let mut calls = Vec::new();
    for (index, op) in code.iter().enumerate() {
        let depth = loops.iter().filter(|(head, end)| (*head..=*end).contains(&index)).count();
        let weight = 8f64.powi(depth as i32);
        let mut touch = |value: Value, at: usize| {
            let new = Interval { value, start: at, end: at, weight: 0.0, crosses_call: false, hint: None };
            let interval = found[value.0 as usize].get_or_insert(new);
            interval.end = at;
            interval.weight += weight;
        };
        op.visit_used(|value| touch(value, 2 * index));
        if let Some(value) = op.defined() {
            touch(value, 2 * index + 1);
        }
        match op {
            Op::Call { .. } => calls.push(2 * index),
            Op::Binary { dst, left, .. } => hint(&mut found, *dst, *left),
            Op::Negate { dst, src } | Op::SignExtend { dst, src, .. } => hint(&mut found, *dst, *src),
            _ => {}
        }
    }
    let mut intervals: Vec<Interval> = found.into_iter().flatten().collect();
    for interval in &mut intervals {
        for (head, end) in &loops {
            if interval.start < 2 * head && interval.end > 2 * head {
                interval.end = interval.end.max(2 * end + 1);
            }
        }
        let after_start = calls.partition_point(|call| *call <= interval.start);
        interval.crosses_call = calls.get(after_start).is_some_and(|call| *call < interval.end);
    }
    intervals
}

fn hint(found: &mut [Option<Interval>], value: Value, from: Value) {
    if let Some(interval) = &mut found[value.0 as usize] {
        interval.hint.get_or_insert(from);
    }
}

struct Scan {
    homes: Vec<Option<Home>>,
    /// Those in registers.
    active: Vec<(Interval, Reg)>,
    /// End of the last interval in each slot of the stack.
    slots: Vec<usize>,
    temporary_len: usize,
}

impl Scan {
    fn place(&mut self, interval: Interval) {
        self.active.retain(|(other, _)| other.end >= interval.start);
        match self.free_register(&interval) {
            Some(register) => self.occupy(interval, register),
            None => self.make_room(interval),
        }
    }

    fn free_register(&self, interval: &Interval) -> Option<Reg> {
        let free = |register: &Reg| self.active.iter().all(|(_, taken)| taken != register);
        let hinted = interval.hint.and_then(|value| match self.homes[value.0 as usize] {
            Some(Home::Register(register)) => Some(register),
            _ => None,
        });
        hinted.into_iter().chain(candidates(interval)).find(|register| free(register) && allowed(interval, *register))
    }

    /// Sends the cheapest of those in the way, or `interval` itself, to the stack.
    fn make_room(&mut self, interval: Interval) {
        let cheapest = (0..self.active.len())
            .filter(|index| allowed(&interval, self.active[*index].1))
            .min_by(|a, b| self.active[*a].0.density().total_cmp(&self.active[*b].0.density()));
        match cheapest.filter(|index| self.active[*index].0.density() < interval.density()) {
            Some(index) => {
                let (victim, register) = self.active.swap_remove(index);
                self.spill(victim);
                self.occupy(interval, register);
            }
            None => self.spill(interval),
        }
    }

    fn occupy(&mut self, interval: Interval, register: Reg) {
        self.homes[interval.value.0 as usize] = Some(Home::Register(register));
        self.active.push((interval, register));
    }

    /// A value sent to the stack has been there from its start: the slot must have been free since then.
    fn spill(&mut self, interval: Interval) {
        let slot = self.slots.iter().position(|end| *end < interval.start).unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(end) => *end = interval.end,
            None => self.slots.push(interval.end),
        }
        // Beyond the frame is refused at the end, see `allocate`.
        let offset = self.temporary_len + 8 * (slot + 1);
        self.homes[interval.value.0 as usize] = Some(Home::Stack(-(offset.min(i16::MAX as usize) as i16)));
    }
}

fn candidates(interval: &Interval) -> impl Iterator<Item = Reg> {
    let scarce = if interval.crosses_call { &[][..] } else { &CALLER_SAVED[..] };
    scarce.iter().chain(&CALLEE_SAVED).copied()
}

fn allowed(interval: &Interval, register: Reg) -> bool {
    CALLEE_SAVED.contains(&register) || (!interval.crosses_call && CALLER_SAVED.contains(&register))
}
