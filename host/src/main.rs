//! The `nearside` command. Start at [`cli::run`].
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// Columns come and go by the megabyte: the system's allocator gives their pages back and faults them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nearside_device::hush_expected_panics();
    cli::run()
}
