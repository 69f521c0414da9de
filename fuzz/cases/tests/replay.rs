//! What fuzzers found or covered, again: seeds, the inputs that are kept, and spoilt copies of them, through the targets' own functions.
//!
//! It needs neither a nightly toolchain nor libFuzzer, and does the same in every run: `NEARSIDE_SPOILT` makes it a longer search of that many copies a target,
//! `NEARSIDE_SEED` another one.

use std::path::{Path, PathBuf};
use std::{env, fs};

use nearside_cases::{TARGETS, Target};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Spoilt copies a target; of those with a whole device, which take longer, fewer.
const SPOILT: u64 = 2000;
const SPOILT_OF_DEVICE: u64 = 200;
/// Most changes of a copy.
const CHANGES_MAX: usize = 6;
/// Longest stretch of bytes that a change copies or removes.
const STRETCH_MAX: usize = 64;

/// Every target has a test of its own, so that they run side by side and a failure has a name.
macro_rules! targets {
    ($names:ident: $($name:ident)*) => {
        const $names: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*
    };
}

targets! { ENGINE: object assembler verifier program packet maps setup capture }

#[cfg(feature = "device")]
targets! { DEVICE: columnar parquet wire }

#[cfg(not(feature = "device"))]
const DEVICE: &[&str] = &[];

/// No target is forgotten, and nothing is kept for one that is no more.
#[test]
fn every_target_is_replayed() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, [ENGINE, DEVICE].concat());
    for entry in fs::read_dir(kept()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name.as_str()) || cfg!(not(feature = "device")), "{name}");
    }
}

fn replay(name: &str) {
    let target = Target::by_name(name).unwrap();
    (target.prepare)();
    let mut inputs: Vec<(String, Vec<u8>)> = Vec::new();
    inputs.extend((0..).zip((target.seeds)()).map(|(index, seed): (u32, _)| (format!("seed {index}"), seed)));
    inputs.extend(read(&kept().join(name)));
    for (input, bytes) in &inputs {
        show(name, input);
        (target.check)(bytes);
    }
    let first = setting("NEARSIDE_SEED", 0);
    for seed in first..first + setting("NEARSIDE_SPOILT", if DEVICE.contains(&name) { SPOILT_OF_DEVICE } else { SPOILT }) {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes = spoilt(&mut random, &inputs);
        show(name, &format!("NEARSIDE_SEED={seed} NEARSIDE_SPOILT=1"));
        (target.check)(&bytes);
    }
}

/// Shown if the test fails.
fn show(name: &str, input: &str) {
    println!("{name}: {input}");
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kept")
}

/// Files of a folder, by name; a target need not have one.
fn read(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// One of the inputs with a few bytes changed, copied, removed, or replaced by another's.
fn spoilt(random: &mut StdRng, inputs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = inputs.choose(random).unwrap().1.clone();
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..=STRETCH_MAX)).min(bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at] = *[0, 1, 0x7f, 0x80, 0xff].choose(random).unwrap(),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let stretch = bytes[at..end].to_vec();
                bytes.splice(at..at, stretch);
            }
            _ => {
                let other = &inputs.choose(random).unwrap().1;
                let stretch = other.iter().skip(at).take(end - at);
                bytes.splice(at..end, stretch.copied());
            }
        }
    }
    bytes
}
