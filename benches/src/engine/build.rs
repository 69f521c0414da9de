//! Builds what is measured, twice.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// Whom the compiler compiles for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Build {
    /// Any x86-64: what people install. Every machine; the engine also without checks.
    Any,
    /// `target-cpu=native`: Rust and arrow-rs at their best.
    Native,
}

impl Build {
    fn flags(self) -> &'static str {
        match self {
            Self::Any => "--cfg nearside_unchecked",
            Self::Native => "-C target-cpu=native",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Native => "native",
        }
    }
}

/// Builds and returns the program; quick if it is there already.
pub(super) fn build(build: Build, peers: bool, scratch: &Path) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/Cargo.toml");
    let target = scratch.join("engine").join(build.folder());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--manifest-path"]).arg(&manifest).arg("--target-dir").arg(&target);
    if peers && build == Build::Any {
        command.args(["--features", "peers"]);
    }
    // What cargo says to this bench is not meant for another workspace.
    command.env("RUSTFLAGS", build.flags()).env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_MANIFEST_DIR");
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "cargo build of {} ended with {status}", manifest.display());
    Ok(target.join("release/nearside-engine-bench"))
}
