//! Generated programs: whatever the verifier accepts, both engines do alike, and it ends.

use nearside_programs::isa::{Slot, decode};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::common::{Both, GROWING, NEIGHBOUR, READ_ONLY, READ_WRITE};
use crate::generate::Generator;

/// Programs in the test; `NEARSIDE_PROGRAMS` makes it a longer search, `NEARSIDE_SEED` begins elsewhere.
const PROGRAMS: u64 = 300;

/// Where generated addresses are; the writable one twice as often.
const REGIONS: [u32; 5] = [READ_ONLY, READ_WRITE, READ_WRITE, GROWING, NEIGHBOUR];

#[test]
fn generated_programs_run_alike() {
    let setting = |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let first = setting("NEARSIDE_SEED", 0);
    let mut traps = 0;
    for seed in first..first + setting("NEARSIDE_PROGRAMS", PROGRAMS) {
        let mut generator = Generator { random: StdRng::seed_from_u64(seed), regions: &REGIONS, slots: Vec::new() };
        generator.program();
        // Shown if the test fails.
        println!("NEARSIDE_SEED={seed} NEARSIDE_PROGRAMS=1\n{}", listing(&generator.slots));
        let program = Both::new(&generator.slots);
        for _ in 0..4 {
            let arguments = std::array::from_fn(|_| generator.value());
            let fuel = *[30, 300, 3000].choose(&mut generator.random).unwrap();
            traps += u64::from(program.run_with(arguments, fuel).result.is_err());
        }
    }
    assert!(traps > 0, "no program trapped: the generator is too tame");
}

fn listing(slots: &[Slot]) -> String {
    let line = |slot| decode(slots, slot).map_or(String::new(), |instruction| format!("{slot}: {instruction}\n"));
    (0..slots.len()).map(line).collect()
}
