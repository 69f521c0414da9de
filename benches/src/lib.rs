//! The judges: each bench states a question and answers it with baseline and ours side by side.
//!
//! [`engine::main`], [`sandbox::main`] and `tpch::main` are whole programs, one a file in `benches/`. The first two do without DataFusion, which is behind the feature
//! `tpch`. `place` says where something was measured. `docs/benchmarks.md` says what is compared and why. Not here: assertions on speed.
#![forbid(unsafe_code)]

pub mod engine;
mod place;
pub mod sandbox;
#[cfg(feature = "tpch")]
pub mod tpch;
