//! What the fuzz targets share: a bound on memory, seeds, bytes as a source of choices, and programs, rows and files to begin with.
//!
//! Each target is one file of `fuzz_targets/`, which says what must hold and names its bounds. `docs/fuzzing.md` has the commands.
#![forbid(unsafe_code)]

mod choices;
pub mod files;
pub mod fragments;
pub mod host;
pub mod liar;
mod memory;
mod seeds;
pub mod values;

pub use choices::Choices;
pub use memory::within;
pub use seeds::seed;
