//! Instructions of a stranger: the verifier accepts or refuses them, for every target, in memory proportional to them; what it accepts, the decoder and the encoder agree on.

use nearside_engine::{Backend, Code, Module};
use nearside_programs::isa::{Slot, decode, encode};
use nearside_programs::manifest;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::generate::{Generator, MAPS};
use crate::{Target, slots};

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 64 << 10;
/// `call` of a register.
const CALLX: u8 = 0x8d;
/// Generated programs among the seeds.
const SEEDS: u64 = 12;

pub(crate) const TARGET: Target = Target { name: "verifier", memory: (1 << 20, 64), prepare: || (), check, seeds };

/// The number of entry points, their slots in 2 bytes each, and slots.
fn check(input: &[u8]) -> bool {
    let Some((&count, rest)) = input.split_first() else { return false };
    let Some((entries, code)) = rest.split_at_checked(2 * usize::from(count)) else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    let (entries, _) = entries.as_chunks::<2>();
    let entries: Vec<u32> = entries.iter().map(|entry| u16::from_le_bytes(*entry).into()).collect();
    let code = slots::read(code);
    for target in [manifest::Target::Columnar, manifest::Target::Block, manifest::Target::Packet] {
        let unverified = Code { slots: &code, entries: &entries, maps: &MAPS, target };
        if Module::compile(unverified, Backend::Interpreter).is_ok() {
            reencode(&code);
        }
    }
    true
}

fn reencode(code: &[Slot]) {
    let mut pc = 0;
    while pc < code.len() {
        let instruction = decode(code, pc).expect("it was verified");
        let encoded = encode(instruction).expect("it was decoded");
        let given = &code[pc..pc + instruction.slot_count()];
        // `callx` has an older form with the register in the immediate, which is read and not written.
        let is_older = given[0].opcode == CALLX && given[0].imm != 0;
        assert!(encoded[..] == *given || is_older, "{instruction} at {pc}: {given:?} becomes {encoded:?}");
        assert_eq!(decode(&encoded, 0), Ok(instruction), "at {pc}");
        pc += instruction.slot_count();
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = |seed| {
        let mut generator = Generator::packet(StdRng::seed_from_u64(seed));
        generator.program();
        let entries = generator.starts.iter().flat_map(|start| (*start as u16).to_le_bytes());
        [generator.starts.len() as u8].into_iter().chain(entries).chain(slots::write(&generator.slots)).collect()
    };
    (0..SEEDS).map(seed).collect()
}
