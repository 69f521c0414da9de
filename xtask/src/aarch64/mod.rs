//! The engine's tests and the daemon as aarch64 builds, under QEMU's user mode: the DPU's processor, on a developer's machine.
//!
//! Rust's standard library for aarch64, a compiler that fits it, and QEMU come from Debian and are only unpacked, below
//! `target/aarch64/`; the linker and the C library are packages that must be installed. Signals, memory protection and threads are
//! the emulator's, which passes them on: what faults there faults here.

mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::skips;
use crate::stage::Stage;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What is tested; nothing of it needs a C compiler.
const PACKAGES: [&str; 2] = ["nearside-programs", "nearside-engine"];

/// Installed with `apt-get install`: linker, C library, what Debian's Rust compiler is linked to.
const INSTALLED: [&str; 3] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "libllvm22"];

/// Unpacked. Debian keeps a newer Rust than its own release's for its browsers; the package names have the version.
const UNPACKED: [&str; 6] = [
    "rustc-web:amd64",
    "libstd-rust-web-1.96:amd64",
    "libstd-rust-web-dev:amd64",
    "libstd-rust-web-dev:arm64",
    "libstd-rust-web-1.96:arm64",
    "qemu-user:amd64",
];

/// QEMU before this keeps a table entry for every page a cage reserves, for ever: 20 GB and more for these tests.
const QEMU_MAJOR_MIN: u32 = 8;

/// Where the C library of [`INSTALLED`] is.
const SYSROOT: &str = "/usr/aarch64-linux-gnu";

/// Builds and runs the tests. Where the tools cannot be had, that is an error, or one line on standard output if `optional`.
pub(crate) fn run(optional: bool) -> Result<()> {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/aarch64");
    fs::create_dir_all(target)?;
    let folder = absolute(Path::new(target))?;
    match tools(&folder) {
        Ok(tools) => test(&folder, &tools).and_then(|()| daemon::test(&folder, &tools)),
        Err(error) if optional => {
            println!("SKIP aarch64: {error:#}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Programs that work.
struct Tools {
    rustc: PathBuf,
    qemu: PathBuf,
}

fn test(folder: &Path, tools: &Tools) -> Result<()> {
    let mut arguments = vec!["test", "--release", "--locked", "--target", TARGET, "--lib", "--tests", "--no-fail-fast"];
    arguments.extend(PACKAGES.iter().flat_map(|package| ["-p", package]));
    arguments.extend(["--", "--show-output"]);
    let runner = format!("{} -L {SYSROOT}", tools.qemu.display());
    let log = Stage::cargo("aarch64 tests", &arguments)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env("RUSTC", &tools.rustc)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", &runner)
        // For tests that start themselves.
        .env("NEARSIDE_RUNNER", &runner)
        .run()?;
    // What needs the kernel itself, an emulator does not have; `cargo xtask test` is where these must run.
    skips::report(&skips::find(&log));
    Ok(())
}

fn tools(folder: &Path) -> Result<Tools> {
    ensure!(cfg!(target_arch = "x86_64"), "emulation is for x86-64; on aarch64, cargo xtask test is the real thing");
    for tool in ["apt-get", "dpkg-deb"] {
        ensure!(runs(tool, "--version"), "needs Debian's {tool}");
    }
    if !runs("aarch64-linux-gnu-gcc", "--version") || !llvm_is_there() {
        bail!("needs packages: apt-get install --no-install-recommends {}", INSTALLED.join(" "));
    }
    let root = folder.join("root");
    let tools = Tools { rustc: folder.join("rustc"), qemu: root.join("usr/bin/qemu-aarch64") };
    if !(runs(&tools.rustc, "--version") && runs(&tools.qemu, "--version")) {
        unpack(folder, &root)?;
        write_rustc(&tools.rustc, &root)?;
    }
    ensure!(runs(&tools.rustc, "--version"), "the unpacked rustc does not run");
    let version = version(&tools.qemu)?;
    ensure!(version >= QEMU_MAJOR_MIN, "needs QEMU {QEMU_MAJOR_MIN} or newer, and the package is {version}");
    Ok(tools)
}

fn runs(program: impl AsRef<Path>, argument: &str) -> bool {
    let mut command = Command::new(program.as_ref());
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn llvm_is_there() -> bool {
    let status = Command::new("dpkg-query").args(["--status", INSTALLED[2]]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The major version of `qemu-aarch64 version 10.0.2 (…)`.
fn version(qemu: &Path) -> Result<u32> {
    let output = Command::new(qemu).arg("--version").output().context("starting the unpacked QEMU")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = text.split_whitespace().nth(2).and_then(|version| version.split('.').next()?.parse().ok());
    major.with_context(|| format!("QEMU's version in {text:?}"))
}

/// Downloads and unpacks [`UNPACKED`] with lists of packages of our own: the system's apt is not touched.
fn unpack(folder: &Path, root: &Path) -> Result<()> {
    let (lists, sources, packages) = (folder.join("lists"), folder.join("sources"), folder.join("packages"));
    for directory in [&lists.join("partial"), &sources, &packages, &folder.join("cache"), root] {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    }
    write_sources(&sources)?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&packages).args(["-q", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures::=amd64"]);
        command.args(["-o", "APT::Architectures::=arm64", "-o", "Dir::Etc::sourcelist=/dev/null"]);
        for (key, path) in [("Etc::sourceparts", &sources), ("State::lists", &lists), ("Cache", &folder.join("cache"))] {
            command.arg("-o").arg(format!("Dir::{key}={}", path.display()));
        }
        command.args(arguments);
        Stage::new(&format!("apt-get {}", arguments[0]), command).run()
    };
    apt(&["update"])?;
    let backports = fs::read_dir(&sources)?
        .any(|file| file.and_then(|file| fs::read_to_string(file.path())).is_ok_and(|text| text.contains("bookworm-backports")));
    let release = if backports { &["-t", "bookworm-backports"][..] } else { &[] };
    apt(&[&["download"], release, &UNPACKED].concat())?;
    for package in fs::read_dir(&packages)? {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(package?.path()).arg(root);
        ensure!(command.status()?.success(), "dpkg-deb failed");
    }
    Ok(())
}

/// The system's sources; on Debian 12 with backports, whose QEMU is new enough.
fn write_sources(folder: &Path) -> Result<()> {
    let system = Path::new("/etc/apt");
    let parts = fs::read_dir(system.join("sources.list.d")).into_iter().flatten().flatten().map(|entry| entry.path());
    for file in parts.chain([system.join("sources.list")]).filter(|file| file.is_file()) {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let text = text.replace("bookworm-updates", "bookworm-updates bookworm-backports");
        if let Some(name) = file.file_name() {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// A `rustc` that finds its libraries and both standard libraries below `root`.
fn write_rustc(path: &Path, root: &Path) -> Result<()> {
    let usr = root.join("usr");
    let usr = usr.to_str().context("the path of target/ is not UTF-8")?;
    let script =
        format!("#!/bin/sh\nLD_LIBRARY_PATH='{usr}/lib/x86_64-linux-gnu' exec '{usr}/bin/rustc' --sysroot '{usr}' \"$@\"\n");
    fs::write(path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))
}
