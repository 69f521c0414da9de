//! Text and code: text is code or an error that says where, and code becomes text that means the same.

use nearside_programs::isa::{Slot, decode};
use nearside_programs::{Function, Object, assemble};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::generate::Generator;
use crate::{Target, slots};

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 16 << 10;
/// Generated programs among the seeds.
const SEEDS: u64 = 12;

pub(crate) const TARGET: Target = Target { name: "assembler", memory: (1 << 20, 512), prepare: || (), check, seeds };

/// The first byte says what the rest is: slots, or text.
fn check(input: &[u8]) -> bool {
    let Some((&kind, rest)) = input.split_first() else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    match kind {
        0 => round_trip(&slots::read(rest)),
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return false };
            let Ok(assembled) = assemble(text) else { return true };
            round_trip(&assembled.code)
        }
    }
}

/// Whatever of a program decodes comes back as text that assembles to the same slots, but for `callx`, which has an older form that is read and not written.
fn round_trip(code: &[Slot]) -> bool {
    let object = object(code);
    let text = object.disassemble().to_string();
    // What decodes to nothing, and places that calls of more functions lead to, have text that says so and is not to be assembled.
    if text.contains("<unknown>") {
        return true;
    }
    let again = assemble(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.code.len(), code.len(), "{text}");
    let is_same = |pc: usize| again.code[pc] == code[pc] || decode(&again.code, pc) == decode(code, pc);
    assert!((0..code.len()).all(is_same), "{text}");
    true
}

fn object(code: &[Slot]) -> Object {
    let functions = vec![Function::new("f", 0, code.len() as u32)];
    Object { code: code.to_vec(), functions, maps: Vec::new(), manifest: None, license: String::new() }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for seed in 0..SEEDS {
        let mut generator = Generator::packet(StdRng::seed_from_u64(seed));
        generator.program();
        let text = object(&generator.slots).disassemble().to_string();
        seeds.extend([[0].into_iter().chain(slots::write(&generator.slots)).collect(), [&[1], text.as_bytes()].concat()]);
    }
    seeds
}
