//! Does a query get faster when its fragments run beside the data, and who pays for it? `cargo bench -p nearside-benches --bench tpch -- --help`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    nearside_benches::main()
}
