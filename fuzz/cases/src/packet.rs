//! A packet program of a stranger, and packets of another: it ends, harms nothing, and does the same in both engines: action, packet, metadata, maps of every kind,
//! log, redirect, trap, and fuel except after a memory trap; and never executes more than its fuel.
//!
//! The first byte of an input says what the rest is: a packet and slots as they are, choices of the generator that the engine's own tests use, or such a program with
//! a few fields changed.

use nearside_programs::isa::Slot;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::generate::{Generator, mutate};
use crate::generated::PacketProgram;
use crate::{Choices, Target, slots};

/// Longest program, slots.
const SLOTS_MAX: usize = 512;
/// Longest packet of an input that has it as it is, bytes.
const PACKET_LEN_MAX: usize = 4096;
/// Most packets of one program.
const PACKETS_MAX: usize = 3;
/// Most fuel of a packet.
const FUEL_MAX: u64 = 20_000;
/// Generated programs among the seeds.
const SEEDS: u64 = 40;

pub(crate) const TARGET: Target = Target { name: "packet", memory: (64 << 20, 0), prepare: || (), check, seeds };

fn check(input: &[u8]) -> bool {
    let Some(case) = Case::new(input) else { return false };
    if case.slots.len() > SLOTS_MAX {
        return false;
    }
    let Some(mut program) = PacketProgram::verified(&case.slots, &case.starts) else { return false };
    for (packet, fuel) in &case.packets {
        program.run(packet, *fuel);
    }
    true
}

/// A program and what it is run on.
struct Case {
    slots: Vec<Slot>,
    starts: Vec<usize>,
    /// Each with its fuel.
    packets: Vec<(Vec<u8>, u64)>,
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

    /// Fuel in 2 bytes, the packet's length in 2, the packet, slots.
    fn verbatim(input: &[u8]) -> Option<Self> {
        let (fuel, input) = input.split_first_chunk::<2>()?;
        let (len, input) = input.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_le_bytes(*len)).min(PACKET_LEN_MAX);
        let (packet, code) = input.split_at_checked(len)?;
        let fuel = u16::from_le_bytes(*fuel).into();
        Some(Self { slots: slots::read(code), starts: vec![0], packets: vec![(packet.to_vec(), fuel)] })
    }

    fn generated(input: &[u8], spoilt: bool) -> Self {
        let mut generator = Generator::packet(Choices::new(input));
        // First, so that a long program leaves something to choose from.
        let count = generator.random.random_range(1..=PACKETS_MAX);
        let packets = (0..count).map(|_| (generator.packet_bytes(), generator.random.random_range(0..=FUEL_MAX))).collect();
        generator.program();
        let (mut slots, mut starts) = (generator.slots, generator.starts);
        if spoilt {
            mutate(&mut generator.random, &mut slots);
            starts.truncate(1);
        }
        Self { slots, starts, packets }
    }
}

/// Programs of the generator, and choices for it.
fn seeds() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(2);
    let mut seeds = Vec::new();
    for index in 0..SEEDS {
        let mut choices = vec![1 + (index % 4) as u8; 1500];
        random.fill(&mut choices[1..]);
        let Case { slots, packets, .. } = Case::generated(&choices[1..], false);
        let packet = &packets[0].0;
        let header = [0, 0x00, 0x10].into_iter().chain((packet.len() as u16).to_le_bytes());
        seeds.extend([header.chain(packet.iter().copied()).chain(slots::write(&slots)).collect(), choices]);
    }
    seeds
}
