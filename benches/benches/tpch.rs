//! Does a query get faster when its fragments run beside the data, and who pays for it? `cargo bench -p nearside-benches --bench tpch -- --help`.
#![forbid(unsafe_code)]

/// As `nearside` and `nearsided` have it, for every arm.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    nearside_benches::tpch::main()
}
