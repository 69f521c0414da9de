//! Programs that were valid: a few fields of a few slots become something else.

use nearside_programs::isa::Slot;
use rand::Rng;
use rand::seq::IndexedRandom;

/// Most changes of a program: with more, next to nothing passes the verifier.
const CHANGES_MAX: usize = 4;

/// Changes a few fields. Programs of no slots stay as they are.
pub(crate) fn mutate(random: &mut impl Rng, slots: &mut Vec<Slot>) {
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        if slots.is_empty() {
            return;
        }
        let index = random.random_range(0..slots.len());
        change(random, slots, index);
    }
}

fn change(random: &mut impl Rng, slots: &mut Vec<Slot>, index: usize) {
    let other = slots[random.random_range(0..slots.len())];
    let slot = &mut slots[index];
    match random.random_range(0..10) {
        0 => slot.opcode = random.random(),
        1 => slot.opcode ^= 1 << random.random_range(0..8),
        2 => slot.dst = random.random_range(0..11),
        3 => slot.src = random.random_range(0..11),
        4 => slot.offset = random.random_range(-32..32),
        5 => slot.imm = random.random_range(-64..256),
        6 => slot.imm = *[0, 1, -1, i32::MIN, i32::MAX, 0x1_0000].choose(random).unwrap(),
        7 => *slot = other,
        8 => slots.insert(index, other),
        _ => _ = slots.remove(index),
    }
}
