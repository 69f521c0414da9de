//! `nearsided` as an aarch64 program, asked by an x86-64 host: TPC-H over its files, each answer compared with the host's own.
//!
//! Equal answers on both sides mean equal bytes of every offloaded fragment: what a device returns is only merged by the host.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{SYSROOT, TARGET, Tools};
use crate::stage::Stage;

/// Small, since an emulator decodes it; with every type and query of the large ones.
const SCALE: &str = "0.01";

/// The queries whose whole work is one fragment.
const SINGLE: [&str; 2] = ["1", "6"];

/// Builds the daemon and the command line program, makes the data and runs the queries.
pub(super) fn test(folder: &Path, tools: &Tools) -> Result<()> {
    let build = folder.join("build");
    Stage::cargo("aarch64 daemon", &["build", "--release", "--locked", "--target", TARGET, "-p", "nearsided"])
        .env("CARGO_TARGET_DIR", &build)
        .env("RUSTC", &tools.rustc)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
        .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar")
        .run()?;
    let data = folder.join("tpch");
    let data_text = data.to_str().context("the path of target/ is not UTF-8")?;
    if !data.join("lineitem.parquet").exists() {
        nearside("aarch64 data", &["tpch", "generate", "--scale", SCALE, "--output", data_text])?;
    }
    let daemon = Daemon::start(&build.join(TARGET).join("release/nearsided"), tools, &data)?;
    let device = format!("nearside://{}", daemon.address);
    let figures = nearside("aarch64 queries", &["tpch", "run", "--device", &device, "--offload", "always", "--verify"])?;
    for query in SINGLE {
        let line =
            figures.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|line| line.first() == Some(&query));
        let executions = line.as_ref().and_then(|line| line.get(3)?.parse::<u64>().ok());
        ensure!(
            executions.is_some_and(|executions| executions > 0),
            "query {query} was not executed on the aarch64 daemon: {line:?}"
        );
    }
    Ok(())
}

/// This machine's own build of the program.
fn nearside(name: &str, arguments: &[&str]) -> Result<String> {
    Stage::cargo(name, &[&["run", "--release", "--quiet", "-p", "nearside", "--"], arguments].concat()).run()
}

/// An emulated daemon; ends with this value.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start(program: &Path, tools: &Tools, root: &Path) -> Result<Self> {
        let mut command = Command::new(&tools.qemu);
        command.args(["-L", SYSROOT]).arg(program).arg("--root").arg(root).args(["--listen", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the aarch64 daemon")?;
        let output = child.stdout.take().context("no standard output")?;
        let mut daemon = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().strip_prefix("listening on ") {
            Some(address) => daemon.address = address.to_owned(),
            None => bail!("the aarch64 daemon did not start: {line:?}"),
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // If it has ended already, there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
