//! Runs snippets in both engines and in the model, and compares everything that can be seen: registers and memory.
//!
//! A snippet is a function: all registers are loaded from the arena, the code under test runs, all registers are written to the arena.

use nearside_engine::{Access, Backend, Cage, Code, Fuel, HelperFault, Helpers, Memory as CageMemory, Module, Region, Trap};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

use super::model::{Memory, Model};
use crate::common::FUEL;

/// The arena: registers go in at its first bytes and come out at [`OUT`]; the rest is the snippet's.
pub(super) const ARENA: u32 = 0x2_0000;
const ARENA_LEN: usize = 0x400;
const OUT: i16 = 0x100;
/// Bytes without a pattern that loads, stores and atomic operations work on.
pub(super) const SCRATCH: u64 = 0x200;
/// A context, and the packet it points to.
pub(super) const CONTEXT: u64 = 0x300;
pub(super) const PACKET: u64 = 0x341;
pub(super) const PACKET_LEN: u64 = 23;

/// What a snippet that got to its end returns.
const DONE: i32 = 0x600d;

/// A helper any packet program may call.
pub(super) const HELPER: i32 = nearside_programs::abi::helper::GET_PRANDOM_U32 as i32;

/// What [`HELPER`] does here: the sum of its arguments.
struct Sum;

impl Helpers for Sum {
    fn call(&mut self, _: u32, arguments: [u64; 5], _: &mut CageMemory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
        Ok(arguments.iter().fold(0, |sum, value| sum.wrapping_add(*value)))
    }
}

/// Snippets, in the order they were given.
pub(super) struct Probe(Vec<Part>);

/// Snippets in a part: a program that is translated at once.
const PART_LEN: usize = 16;

impl Probe {
    /// `tail` is a function behind the last snippet, which the last snippet may call.
    pub(super) fn new(snippets: &[Vec<Slot>], tail: &[Slot]) -> Self {
        Self(snippets.chunks(PART_LEN).map(|snippets| Part::new(snippets, tail)).collect())
    }

    /// Runs a snippet on these r0 to r9.
    pub(super) fn check(&mut self, snippet: usize, registers: [u64; 10]) {
        self.0[snippet / PART_LEN].check(snippet % PART_LEN, registers);
    }

    /// Runs a snippet that does not end well.
    pub(super) fn traps(&mut self, snippet: usize, registers: [u64; 10], expected: Trap) {
        self.0[snippet / PART_LEN].traps(snippet % PART_LEN, registers, expected);
    }

    /// Whether the last run of this snippet's part got to its end.
    pub(super) fn is_done(&self, snippet: usize) -> bool {
        out(self.0[snippet / PART_LEN].cage.region(0)).any(|value| value != 0)
    }
}

struct Part {
    slots: Vec<Slot>,
    entries: Vec<u32>,
    modules: [Module; 2],
    cage: Cage,
    stack_top: u64,
}

pub(super) fn slot(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> Slot {
    Slot { opcode, dst, src, offset, imm }
}

impl Part {
    fn new(snippets: &[Vec<Slot>], tail: &[Slot]) -> Self {
        let (mut slots, mut entries) = (Vec::new(), Vec::new());
        for snippet in snippets {
            entries.push(slots.len() as u32);
            slots.extend(load_registers());
            slots.extend(snippet);
            slots.extend(store_registers());
        }
        slots.extend(tail);
        let compile = |slots: &[Slot], entries: &[u32], backend| {
            let code = Code { slots, entries, maps: &[], target: Target::Packet };
            let module = Module::compile(code, backend).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(module.backend(), backend, "{:?}", module.fallback());
            module
        };
        let region = Region { start: ARENA, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadWrite };
        let mut cage = Cage::new(&[region]).unwrap();
        let frame_pointer = [slot(0xbf, 0, 10, 0, 0), slot(0x95, 0, 0, 0, 0)];
        let module = compile(&frame_pointer, &[0], Backend::Interpreter);
        let stack_top = module.run(&mut cage, 0, [0; 5], &mut Fuel(FUEL), &mut Sum).unwrap();
        let modules = [Backend::Interpreter, Backend::Jit].map(|backend| compile(&slots, &entries, backend));
        Self { slots, entries, modules, cage, stack_top }
    }

    fn check(&mut self, snippet: usize, registers: [u64; 10]) {
        let before = arena(registers);
        let entry = self.entries[snippet];
        // Functions are numbered in their order; a tail is behind all snippets.
        let tail = self.entries.len() as u64;
        let last = self.slots.len();
        let code_address = move |slot: usize| if slot + super::TAIL_LEN == last { (1 << 32) + tail } else { 0 };
        let mut model =
            Model::new(&self.slots, Memory { start: ARENA.into(), bytes: before.clone() }, self.stack_top, &code_address);
        let expected = model.run(entry as usize);
        for module in &self.modules {
            self.cage.region_mut(0)[..ARENA_LEN].copy_from_slice(&before);
            let result = module.run(&mut self.cage, entry, [0; 5], &mut Fuel(FUEL), &mut Sum);
            let shown = || format!("{:?}, snippet {snippet} on {registers:x?}", module.backend());
            assert_eq!(result, Ok(expected), "{}", shown());
            for (index, (expected, found)) in out(&model.arena.bytes).zip(out(self.cage.region(0))).enumerate() {
                assert_eq!(found, expected, "r{index}: found {found:#x}, not {expected:#x}; {}", shown());
            }
            assert!(self.cage.region(0)[..ARENA_LEN] == model.arena.bytes, "memory, {}", shown());
        }
    }

    fn traps(&mut self, snippet: usize, registers: [u64; 10], expected: Trap) {
        for module in &self.modules {
            self.cage.region_mut(0)[..ARENA_LEN].copy_from_slice(&arena(registers));
            let result = module.run(&mut self.cage, self.entries[snippet], [0; 5], &mut Fuel(FUEL), &mut Sum);
            assert_eq!(result, Err(expected), "{:?}, snippet {snippet} on {registers:x?}", module.backend());
        }
    }
}

/// Registers a snippet left.
fn out(arena: &[u8]) -> impl Iterator<Item = u64> {
    let start = OUT as usize;
    arena[start..start + 80].chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
}

fn arena(registers: [u64; 10]) -> Vec<u8> {
    let mut arena = vec![0; ARENA_LEN];
    for (bytes, register) in arena.chunks_mut(8).zip(registers) {
        bytes.copy_from_slice(&register.to_le_bytes());
    }
    for (index, byte) in arena[SCRATCH as usize..].iter_mut().enumerate() {
        *byte = (index as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3];
    }
    let packet = ARENA + PACKET as u32;
    let place = CONTEXT as usize;
    arena[place..place + 4].copy_from_slice(&packet.to_le_bytes());
    arena[place + 4..place + 8].copy_from_slice(&(packet + PACKET_LEN as u32).to_le_bytes());
    arena
}

fn load_registers() -> Vec<Slot> {
    let mut slots = vec![slot(0xb7, 9, 0, 0, ARENA as i32)];
    slots.extend((0..10).map(|register| slot(0x79, register, 9, 8 * i16::from(register), 0)));
    slots
}

/// By way of the stack, since every register may hold a result.
fn store_registers() -> Vec<Slot> {
    let place = |register: u8| -8 * (i16::from(register) + 1);
    let mut slots: Vec<Slot> = (0..10).map(|register| slot(0x7b, 10, register, place(register), 0)).collect();
    slots.push(slot(0xb7, 1, 0, 0, ARENA as i32));
    for register in 0..10 {
        slots.push(slot(0x79, 2, 10, place(register), 0));
        slots.push(slot(0x7b, 1, 2, OUT + 8 * i16::from(register), 0));
    }
    slots.push(slot(0xb7, 0, 0, 0, DONE));
    slots.push(slot(0x95, 0, 0, 0, 0));
    slots
}
