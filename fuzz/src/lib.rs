//! The fuzzers: libFuzzer around the targets of `nearside-cases`, with a bound on memory, and seeds.
//!
//! `docs/fuzzing.md` has the commands.
#![forbid(unsafe_code)]

mod memory;
mod seeds;

pub use libfuzzer_sys;
use libfuzzer_sys::Corpus;
use nearside_cases::Target;

/// A program that fuzzes the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::prepare($name),
            |input: &[u8]| -> $crate::libfuzzer_sys::Corpus { $crate::check($name, input) }
        );
    };
}

/// Before the first input.
///
/// # Panics
/// There is no such target.
pub fn prepare(name: &str) {
    let target = by_name(name);
    (target.prepare)();
    seeds::seed((target.seeds)());
}

/// One input.
///
/// # Panics
/// There is no such target, or the input found something.
pub fn check(name: &str, input: &[u8]) -> Corpus {
    let target = by_name(name);
    let (base, per_byte) = target.memory;
    let keep = memory::within(base + per_byte * input.len(), || (target.check)(input));
    if keep { Corpus::Keep } else { Corpus::Reject }
}

fn by_name(name: &str) -> &'static Target {
    Target::by_name(name).expect("a target's name")
}
