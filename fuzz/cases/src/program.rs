//! A program of a stranger: what the verifier accepts does no harm to the host, ends, and does the same in both engines.
//!
//! The first byte of an input says what the rest is: the program's instruction slots as they are, choices of the generator that the engine's own tests use,
//! which makes valid ones, or such a program with a few fields changed. Programs of the packet target are `packet.rs`'s. [`Both`] runs it in both engines, in cages of the same contents, and compares result, memory,
//! trap, and fuel except after a memory trap.

use std::panic;
use std::sync::Once;

use nearside_engine::{Backend, Code, Fuel, Module};
use nearside_programs::assemble;
use nearside_programs::isa::Slot;
use nearside_programs::manifest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::{Both, GROWING, NEIGHBOUR, READ_ONLY, READ_WRITE, Summing, cage};
use crate::generate::{Generator, mutate};
use crate::{Choices, Target, slots};

/// Longest program, slots.
const SLOTS_MAX: usize = 512;
/// Most memory on the heap, bytes: Cranelift's for a program of [`SLOTS_MAX`] slots, and copies of two cages' regions.
const MEMORY_MAX: usize = 64 << 20;
/// Most fuel of a run. With it the longest run takes milliseconds; xtask gives an input 20 s.
const FUEL_MAX: u64 = u16::MAX as u64;
/// Generated programs among the seeds.
const SEEDS: u64 = 40;

/// Where generated addresses are; the writable one twice as often.
const REGIONS: [u32; 5] = [READ_ONLY, READ_WRITE, READ_WRITE, GROWING, NEIGHBOUR];

pub(crate) const TARGET: Target = Target { name: "program", memory: (MEMORY_MAX, 0), prepare: hush_the_helper, check, seeds };

fn check(input: &[u8]) -> bool {
    let Some(case) = Case::new(input) else { return false };
    if case.slots.len() > SLOTS_MAX || !verifies(&case.slots) {
        return false;
    }
    Both::new(&case.slots).run_with(case.arguments, case.fuel);
    check_fuel(&case);
    true
}

/// A program and how it is run.
struct Case {
    slots: Vec<Slot>,
    arguments: [u64; 5],
    fuel: u64,
}

impl Case {
    fn new(input: &[u8]) -> Option<Self> {
        let (&kind, rest) = input.split_first()?;
        match kind {
            0 => Self::verbatim(rest),
            1 => Some(Self::generated(rest, true)),
            _ => Some(Self::generated(rest, false)),
        }
    }

    /// Fuel in 2 bytes, five arguments in a byte each, then slots.
    fn verbatim(input: &[u8]) -> Option<Self> {
        let (fuel, input) = input.split_first_chunk::<2>()?;
        let (arguments, code) = input.split_first_chunk::<5>()?;
        Some(Self { slots: slots::read(code), arguments: arguments.map(argument), fuel: u16::from_le_bytes(*fuel).into() })
    }

    fn generated(input: &[u8], spoilt: bool) -> Self {
        let mut generator = Generator::columnar(Choices::new(input), &REGIONS);
        // First, so that a long program leaves something to choose from.
        let arguments = std::array::from_fn(|_| generator.value());
        let fuel = generator.random.random_range(0..=FUEL_MAX);
        generator.program();
        let mut slots = generator.slots;
        if spoilt {
            mutate(&mut generator.random, &mut slots);
        }
        Self { slots, arguments, fuel }
    }
}

/// A byte as one of the values that matter: near a region, or small, or extreme.
fn argument(byte: u8) -> u64 {
    let (what, offset) = (byte >> 5, u64::from(byte & 31));
    match what {
        0..=3 => u64::from([READ_ONLY, READ_WRITE, GROWING, NEIGHBOUR][usize::from(what)]) + offset,
        4 => u64::from(READ_WRITE) + 0x1_0000 - offset,
        5 => offset,
        6 => 1 << (2 * offset),
        _ => u64::MAX - offset,
    }
}

fn verifies(slots: &[Slot]) -> bool {
    Module::compile(code(slots), Backend::Interpreter).is_ok()
}

fn code(slots: &[Slot]) -> Code<'_> {
    Code { slots, entries: &[0], maps: &[], target: manifest::Target::Columnar }
}

/// What is executed is never more than what was charged for.
fn check_fuel(case: &Case) {
    let module = Module::compile(code(&case.slots), Backend::Interpreter).expect("it was verified");
    let mut fuel = Fuel(case.fuel);
    let counted = module.run_counting(&mut cage(), 0, case.arguments, &mut fuel, &mut Summing);
    let executed: u64 = counted.blocks.iter().map(|block| block.instructions).sum();
    assert!(executed <= case.fuel - fuel.0, "{executed} instructions for {} of fuel", case.fuel - fuel.0);
}

/// [`Summing`] panics when it is told to, which the engine must catch.
fn hush_the_helper() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic.payload_as_str().is_some_and(|text| text.contains("this panic is part of a test")) {
                hook(panic);
            }
        }));
    });
}

/// Programs of the generator, choices for it, and a few programs by hand.
fn seeds() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(1);
    let mut seeds = Vec::new();
    for index in 0..SEEDS {
        let mut choices = vec![1 + (index % 4) as u8; 1024];
        random.fill(&mut choices[1..]);
        let slots = Case::generated(&choices[1..], false).slots;
        seeds.extend([verbatim(&slots), choices]);
    }
    let texts = [
        "r0 = r1\n r0 += r2\n exit",
        "r0 = 0\n r0 += *(u64 *)(r1 + 0x8)\n exit",
        "lock *(u64 *)(r2 + 0x8) += r1\n exit",
        "r0 = 10\n r0 += -1\n if r0 != 0x0 goto -0x2\n exit",
        "call 0x10000\n exit",
    ];
    seeds.extend(texts.iter().filter_map(|text| assemble(text).ok()).map(|assembled| verbatim(&assembled.code)));
    seeds
}

/// Fuel 4096; a region of each kind as arguments.
fn verbatim(slots: &[Slot]) -> Vec<u8> {
    let header = [0, 0x00, 0x10, 0x00, 0x20, 0x40, 0x60, 0xa0];
    header.into_iter().chain(slots::write(slots)).collect()
}
