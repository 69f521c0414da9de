//! `cargo xtask fuzz`: each target of `fuzz/` in turn, for a time; and what is kept of their corpora.
//!
//! The tests of `fuzz/cases` replay what is kept with the toolchain of everything else; here are nightly Rust and libFuzzer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::stage::Stage;

/// Longest time for one input, seconds; libFuzzer calls more a hang. The slowest honest one, a Parquet file, takes a tenth of a second.
const SECONDS_MAX: u64 = 20;
/// Most memory of a target, MiB: what was mapped and the sanitizer's own included, so more than any target allows an input.
const MEMORY_MAX: u64 = 4096;

/// Most bytes of an input that is kept.
const KEPT_LEN_MAX: u64 = 2048;
/// Most inputs that are kept of a target.
const KEPT_MAX: usize = 100;

/// Which targets, and what to do where they cannot be run.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    /// For each of them.
    pub(crate) seconds: u64,
    /// Not those of a whole device, whose build takes a quarter of an hour.
    pub(crate) engine: bool,
    /// Without the tools: say so, and succeed.
    pub(crate) optional: bool,
    /// Afterwards, choose anew what is kept.
    pub(crate) keep: bool,
}

/// Runs every target for some seconds, also after one has found something.
pub(crate) fn run(choice: Choice) -> Result<()> {
    if let Err(error) = check_tools() {
        ensure!(choice.optional, "{error:#}");
        println!("fuzz: not here: {error:#}; inputs that are kept are replayed by the tests of fuzz/cases");
        return Ok(());
    }
    let mut failed = Vec::new();
    for target in targets(choice.engine)? {
        if let Err(error) = fuzz(&target, choice) {
            eprintln!("{error:#}");
            failed.push(target);
        } else if choice.keep {
            keep(&target, choice)?;
        }
    }
    ensure!(
        failed.is_empty(),
        "found something: {}; inputs are in fuzz/artifacts/, docs/fuzzing.md says what to do",
        failed.join(", ")
    );
    Ok(())
}

fn fuzz(target: &str, choice: Choice) -> Result<()> {
    let mut command = fuzzer(target, choice, &[corpus(target)?, kept(target)]);
    command.args([
        format!("-max_total_time={}", choice.seconds),
        format!("-timeout={SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MAX}"),
    ]);
    Stage::new(target, command).run().map(|_| ())
}

/// Of all inputs the fewest that reach what the seeds do not, which targets write into the first folder; and of these the shortest.
fn keep(target: &str, choice: Choice) -> Result<()> {
    let chosen = folder("corpus").join(format!("{target}.chosen"));
    if chosen.exists() {
        fs::remove_dir_all(&chosen)?;
    }
    fs::create_dir_all(&chosen)?;
    let mut command = fuzzer(target, choice, &[chosen.clone(), kept(target), corpus(target)?]);
    command.arg("-set_cover_merge=1");
    Stage::new(&format!("{target}, what to keep"), command).run()?;
    let mut inputs = fs::read_dir(&chosen)?
        .map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.len(), entry.path()))))
        .collect::<Result<Vec<_>, _>>()?;
    let is_seed = |path: &Path| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with("seed-"));
    inputs.retain(|(len, path)| *len <= KEPT_LEN_MAX && !is_seed(path));
    inputs.sort();
    fs::create_dir_all(kept(target))?;
    for (_, path) in inputs.iter().take(KEPT_MAX) {
        fs::copy(path, kept(target).join(path.file_name().context("a file has a name")?))?;
    }
    Ok(())
}

/// A target's fuzzer with folders of inputs, of which the first is added to; options of libFuzzer may follow.
fn fuzzer(target: &str, choice: Choice, folders: &[PathBuf]) -> Command {
    let mut command = cargo_fuzz("run");
    command.args(choice.engine.then_some("--no-default-features")).arg(target);
    command.args(folders.iter().filter(|folder| folder.is_dir())).arg("--");
    command
}

/// `cargo fuzz` of the nightly toolchain. Not the cargo that runs this program: that is a toolchain's own and takes no `+nightly`.
fn cargo_fuzz(subcommand: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", subcommand, "--fuzz-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz")]);
    command.env("RUSTC_WRAPPER", concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/rustc.sh"));
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

/// Names of the targets; those of a whole device are the ones that need a feature.
fn targets(engine: bool) -> Result<Vec<String>> {
    let manifest: Manifest = toml::from_str(&fs::read_to_string(folder("Cargo.toml"))?)?;
    let wanted = |target: &Program| !engine || target.required_features.is_empty();
    Ok(manifest.bin.into_iter().filter(wanted).map(|target| target.name).collect())
}

/// What of `fuzz/Cargo.toml` matters here.
#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Program>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Program {
    name: String,
    #[serde(default)]
    required_features: Vec<String>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

/// What is committed.
fn kept(target: &str) -> PathBuf {
    folder("kept").join(target)
}

/// What libFuzzer adds to; not committed.
fn corpus(target: &str) -> Result<PathBuf> {
    let path = folder("corpus").join(target);
    fs::create_dir_all(&path)?;
    Ok(path)
}
