//! Operations on maps, by programs of both engines and by the host, against models: outcome, and what is there afterwards.
//!
//! Kinds with keys have the model of the engine's own tests, a sorted list; the others have models here.

mod others;

#[cfg_attr(not(test), expect(dead_code, reason = "the engine's tests use all of it"))]
#[path = "../../../../device-runtime/engine/tests/engine/maps/model.rs"]
mod model;
#[path = "../../../../device-runtime/engine/tests/engine/maps/world.rs"]
mod world;

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Choices, Target};
use world::World;

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 4096;
/// Bytes of input for an operation, at least.
const OPERATION_LEN_MIN: usize = 4;

pub(crate) const TARGET: Target =
    Target { name: "maps", memory: (64 << 20, 0), prepare: || with_worlds(|_, _| ()), check, seeds };

/// The first byte says which maps, the rest are choices.
fn check(input: &[u8]) -> bool {
    let Some((&kind, rest)) = input.split_first() else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    let (mut choices, operations) = (Choices::new(rest), rest.len() / OPERATION_LEN_MIN);
    with_worlds(|keyed, others| match kind {
        0 => {
            keyed.renew();
            model::operate(&mut choices, keyed, operations);
        }
        _ => {
            others.renew();
            others::operate(&mut choices, others, operations);
        }
    });
    true
}

/// Worlds whose programs are compiled once.
fn with_worlds<T>(act: impl FnOnce(&mut World, &mut World) -> T) -> T {
    thread_local!(static WORLDS: RefCell<(World, World)> =
        RefCell::new((World::new(&model::specs()), World::new(&others::specs()))));
    WORLDS.with_borrow_mut(|(keyed, others)| act(keyed, others))
}

fn seeds() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(3);
    let mut seeds = Vec::new();
    for index in 0..24 {
        let mut choices = vec![index % 2; 1024];
        random.fill(&mut choices[1..]);
        seeds.push(choices);
    }
    seeds
}
