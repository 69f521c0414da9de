//! Generated programs: whatever the verifier accepts, both engines do alike, and it ends.

use std::ops::Range;

use nearside_engine::Trap;
use nearside_programs::isa::{Slot, decode};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::common::{Both, GROWING, NEIGHBOUR, READ_ONLY, READ_WRITE};
use crate::generate::{Generator, mutate};
use crate::generated::PacketProgram;

/// Programs in the test; `NEARSIDE_PROGRAMS` makes it a longer search, `NEARSIDE_SEED` begins elsewhere.
const PROGRAMS: u64 = 300;

/// Where generated addresses are; the writable one twice as often.
const REGIONS: [u32; 5] = [READ_ONLY, READ_WRITE, READ_WRITE, GROWING, NEIGHBOUR];

/// Packets that a program sees one after the other, with the same maps.
const PACKETS: usize = 3;

#[test]
fn generated_programs_run_alike() {
    let mut traps = 0;
    for seed in seeds() {
        let mut generator = Generator::columnar(StdRng::seed_from_u64(seed), &REGIONS);
        generator.program();
        show(seed, &generator.slots);
        let program = Both::new(&generator.slots);
        for _ in 0..4 {
            let arguments = std::array::from_fn(|_| generator.value());
            let fuel = *[30, 300, 3000].choose(&mut generator.random).unwrap();
            traps += u64::from(program.run_with(arguments, fuel).result.is_err());
        }
    }
    assert!(traps > 0, "no program trapped: the generator is too tame");
}

#[test]
fn generated_packet_programs_run_alike() {
    let (mut traps, mut helpers, mut actions) = (0, 0, 0);
    for seed in seeds() {
        let mut generator = Generator::packet(StdRng::seed_from_u64(seed));
        generator.program();
        show(seed, &generator.slots);
        let mut program = PacketProgram::new(&generator.slots, &generator.starts);
        for _ in 0..PACKETS {
            let packet = generator.packet_bytes();
            let fuel = *[100, 1000, 10_000].choose(&mut generator.random).unwrap();
            match program.run(&packet, fuel).verdict.result {
                Ok(_) => actions += 1,
                Err(Trap::Helper { .. }) => helpers += 1,
                Err(_) => traps += 1,
            }
        }
    }
    println!("{actions} ended, {helpers} trapped in helpers, {traps} otherwise");
    assert!(actions > 0 && helpers > 0 && traps > 0, "the generator is too tame, or too wild");
}

/// What was valid and is so no more is refused; what still is runs alike.
#[test]
fn spoilt_programs_run_alike() {
    let (mut refused, mut runs) = (0, 0);
    for seed in seeds() {
        let mut generator = Generator::packet(StdRng::seed_from_u64(seed));
        generator.program();
        mutate(&mut generator.random, &mut generator.slots);
        show(seed, &generator.slots);
        let packet = generator.packet_bytes();
        match PacketProgram::verified(&generator.slots, &[0]) {
            Some(mut program) => {
                program.run(&packet, 1000);
                runs += 1;
            }
            None => refused += 1,
        }
    }
    println!("{refused} refused, {runs} ran");
    assert!(refused > 0 && runs > 0, "changes are too tame, or too wild");
}

fn seeds() -> Range<u64> {
    let setting = |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let first = setting("NEARSIDE_SEED", 0);
    first..first + setting("NEARSIDE_PROGRAMS", PROGRAMS)
}

/// Shown if the test fails.
fn show(seed: u64, slots: &[Slot]) {
    println!("NEARSIDE_SEED={seed} NEARSIDE_PROGRAMS=1\n{}", listing(slots));
}

fn listing(slots: &[Slot]) -> String {
    let line = |slot| decode(slots, slot).map_or(String::new(), |instruction| format!("{slot}: {instruction}\n"));
    (0..slots.len()).map(line).collect()
}
