//! The in-process device over real Parquet files.

mod common;
mod execution;
mod hostile;
mod life;
mod pruning;
mod types;
