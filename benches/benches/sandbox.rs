//! How cheap is a sandbox to make, to keep and to run once? `cargo bench -p nearside-benches --bench sandbox -- --help`.
#![forbid(unsafe_code)]

/// As `nearsided` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    nearside_benches::sandbox::main()
}
