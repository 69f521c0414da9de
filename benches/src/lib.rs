//! Benchmarks of all crates together, in `benches/`.
#![forbid(unsafe_code)]
