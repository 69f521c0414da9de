//! `cargo xtask fuzz`: each target of `fuzz/` in turn, for a time.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::stage::Stage;

/// Longest time for one input, seconds; libFuzzer calls more a hang. The slowest honest one, a Parquet file, takes a tenth of a second.
const SECONDS_MAX: u64 = 20;
/// Most memory of a target, MiB: what was mapped and the sanitizer's own included, so more than any target allows an input.
const MEMORY_MAX: u64 = 4096;

/// Runs every target for `seconds`, also after one has found something.
pub(crate) fn run(seconds: u64) -> Result<()> {
    check_tools()?;
    let mut failed = Vec::new();
    for target in targets()? {
        let limits =
            [format!("-max_total_time={seconds}"), format!("-timeout={SECONDS_MAX}"), format!("-rss_limit_mb={MEMORY_MAX}")];
        let mut command = cargo_fuzz("run");
        command.arg(&target).arg("--").args(limits);
        if let Err(error) = Stage::new(&target, command).run() {
            eprintln!("{error:#}");
            failed.push(target);
        }
    }
    ensure!(
        failed.is_empty(),
        "found something: {}; inputs are in fuzz/artifacts/, docs/fuzzing.md says what to do",
        failed.join(", ")
    );
    Ok(())
}

/// `cargo fuzz` of the nightly toolchain. Not the cargo that runs this program: that is a toolchain's own and takes no `+nightly`.
fn cargo_fuzz(subcommand: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", subcommand, "--fuzz-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz")]);
    command
}

fn check_tools() -> Result<()> {
    let has = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ensure!(has(&["rustc", "--version"]), "fuzzing needs a nightly toolchain: rustup toolchain install nightly");
    ensure!(has(&["cargo", "fuzz", "--version"]), "fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked");
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let output = cargo_fuzz("list").stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo fuzz list failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
