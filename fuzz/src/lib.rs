//! What the fuzz targets share: a bound on memory, seeds, and bytes as a source of choices.
//!
//! Each target is one file of `fuzz_targets/`, which says what must hold and names its bounds. `docs/fuzzing.md` has the commands.
#![forbid(unsafe_code)]

mod choices;
mod memory;
mod seeds;

pub use choices::Choices;
pub use memory::within;
pub use seeds::seed;
