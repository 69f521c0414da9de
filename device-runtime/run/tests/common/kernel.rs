//! The kernel as a third engine: objects loaded by bpftool, packets run by `BPF_PROG_TEST_RUN`, maps as bpftool shows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::outcome::Maps;

/// Programs and maps of one object.
pub(crate) struct Kernel {
    /// A BPF file system, unmounted in the end.
    mount: Mount,
    files: TempDir,
}

struct Mount(TempDir);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

/// Compiles a program of `c/`, or says why it cannot be compared with the kernel here.
pub(crate) fn compile(name: &str, folder: &Path) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let object = folder.join(name).with_extension("o");
    let clangs = ["clang-22", "clang-21", "clang-20", "clang-19", "clang"];
    let is_there = |clang: &&str| Command::new(clang).arg("--version").output().is_ok_and(|output| output.status.success());
    let clang = clangs.into_iter().find(|clang| is_there(clang)).ok_or("no clang (Debian: apt-get install clang)")?;
    let options = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-Wno-unused-function", "-c"];
    let output =
        Command::new(clang).args(options).arg(source).arg("-o").arg(&object).output().map_err(|error| error.to_string())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(object)
}

impl Kernel {
    /// Loads an object, or says why that cannot be done on this machine.
    pub(crate) fn load(object: &Path) -> Result<Self, String> {
        let there = Command::new("bpftool").arg("version").output();
        there.map_err(|error| format!("no bpftool (Debian: apt-get install bpftool): {error}"))?;
        // libbpf does not take names with a dot.
        let mount = tempfile::Builder::new().prefix("nearside-bpf").tempdir().unwrap();
        let kernel = Self { mount: Mount(mount), files: tempfile::tempdir().unwrap() };
        let mount = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(kernel.mount.0.path()).output();
        let mount = mount.map_err(|error| error.to_string())?;
        if !mount.status.success() {
            return Err(format!("no BPF file system without privilege: {}", String::from_utf8_lossy(&mount.stderr).trim()));
        }
        let output = kernel.bpftool(&[
            "prog",
            "loadall",
            object.to_str().unwrap(),
            &kernel.pin("programs"),
            "pinmaps",
            &kernel.pin("maps"),
        ]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("Operation not permitted") {
            return Err("loading programs needs privilege".into());
        }
        assert!(output.status.success(), "the kernel refuses {}: {stderr}", object.display());
        Ok(kernel)
    }

    /// What is in maps before the first packet, as `--maps` takes it.
    pub(crate) fn set_up(&self, setup: &Value) {
        for (map, entries) in setup.as_object().unwrap() {
            for entry in entries.as_array().unwrap() {
                let value = entry["value"].as_str().unwrap();
                let inner = self.pin(&format!("maps/{value}"));
                let map = self.pin(&format!("maps/{map}"));
                let bytes = [&["map", "update", "pinned", &map, "key", "hex"], &*pairs(entry["key"].as_str().unwrap())].concat();
                let value = if Path::new(&inner).exists() {
                    vec!["value", "pinned", &inner]
                } else {
                    [&["value", "hex"], &*pairs(value)].concat()
                };
                let output = self.bpftool(&[bytes, value].concat());
                assert!(
                    output.status.success(),
                    "{entry}: {}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
    }

    /// What a program returns for a packet, and the packet as it leaves it.
    pub(crate) fn run(&self, program: &str, packet: &[u8]) -> (u32, Vec<u8>) {
        let [input, output] = ["in", "out"].map(|name| self.files.path().join(name));
        std::fs::write(&input, packet).unwrap();
        let _ = std::fs::remove_file(&output);
        let paths = [&input, &output].map(|path| path.to_str().unwrap());
        let program = self.pin(&format!("programs/{program}"));
        let run = self.bpftool(&["prog", "run", "pinned", &program, "data_in", paths[0], "data_out", paths[1], "repeat", "1"]);
        let result: Value = serde_json::from_slice(&run.stdout).unwrap();
        let returned = result["retval"].as_u64().unwrap_or_else(|| panic!("{result}"));
        (returned as u32, std::fs::read(output).unwrap())
    }

    /// What is in maps of keys and plain values.
    pub(crate) fn maps(&self) -> Maps {
        let folder = std::fs::read_dir(self.pin("maps")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| Some((name.clone(), self.map(&name)?))).collect()
    }

    fn map(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let output = self.bpftool(&["map", "dump", "pinned", &self.pin(&format!("maps/{name}"))]);
        let Ok(Value::Array(entries)) = serde_json::from_slice(&output.stdout) else { return None };
        entries
            .iter()
            .map(|entry| Some((bytes(&entry["key"])?, bytes(&entry["value"]).or_else(|| bytes(&entry["values"][0]["value"]))?)))
            .collect()
    }

    fn pin(&self, name: &str) -> String {
        self.mount.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// On one CPU, whose values of per-CPU maps are then the program's.
    fn bpftool(&self, arguments: &[&str]) -> Output {
        Command::new("taskset").args(["-c", "0", "bpftool", "-j"]).args(arguments).output().unwrap()
    }
}

/// Digits in twos, as bpftool wants them.
fn pairs(digits: &str) -> Vec<&str> {
    (0..digits.len() / 2).map(|index| &digits[2 * index..][..2]).collect()
}

fn bytes(value: &Value) -> Option<String> {
    value.as_array()?.iter().map(|byte| byte.as_str()?.strip_prefix("0x")).collect()
}
