//! What does the sandbox cost, and what do other engines make of the same byte code? `cargo bench -p nearside-benches --bench engine -- --help`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    nearside_benches::engine::main(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")))
}
