//! C means here what it means natively: the programs of `c/`, compiled for eBPF in every way, do over packets and maps what the host's own compiler makes of
//! the same source with maps and helpers of a small model (`c/native.c`).
//!
//! Helpers are called by symbol, as `-O0` needs it. Every run is in both engines, which must agree.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::cases::{self, Case};
use common::outcome::{Maps, Outcome, here, packets};
use nearside_programs::abi::packet::Action;
use serde_json::Value;

/// Compilers to look for, the newest first; the first and the last that are there are used.
const CLANGS: [&str; 6] = ["clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang"];
const ISAS: [&str; 4] = ["v1", "v2", "v3", "v4"];
const OPTIMISATIONS: [&str; 2] = ["-O0", "-O2"];
const WARNINGS: [&str; 3] = ["-Wall", "-Werror", "-Wno-unused-function"];

/// Runs a program natively and in every way for eBPF.
fn check(test: &str, case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let clangs = clangs();
    let Some(expected) = natively(case, folder.path()) else {
        return println!("SKIP {test}: needs a C compiler (Debian: apt-get install gcc)");
    };
    if clangs.is_empty() {
        return println!("SKIP {test}: needs clang (Debian: apt-get install clang clang-19)");
    }
    let mut isas = BTreeSet::new();
    for clang in clangs {
        for (isa, optimisation) in ISAS.into_iter().flat_map(|isa| OPTIMISATIONS.map(|optimisation| (isa, optimisation))) {
            let way = format!("{clang} -mcpu={isa} {optimisation}");
            let Some(object) = object(case, clang, isa, optimisation, folder.path()) else { continue };
            isas.insert(isa);
            let found = here(&object, case.program, &case.setup, &packets(), "--jit");
            compare(&way, case, &expected, &found);
        }
    }
    if !isas.contains("v4") {
        println!("SKIP {test}: no clang here compiles for BPF ISA v4 (Debian: apt-get install clang-19)");
    }
}

fn compare(way: &str, case: &Case, expected: &Outcome, found: &Outcome) {
    for (index, (expected, found)) in expected.packets.iter().zip(&found.packets).enumerate() {
        assert!(expected == found, "{way}, packet {index}: native {expected:x?}, here {found:x?}");
    }
    assert_eq!(expected.packets.len(), found.packets.len());
    // Where a compiler puts global data is its own affair; programs return what follows from it.
    for map in case.compared.iter().filter(|map| !map.starts_with('.')) {
        let (expected, found) = (&expected.maps[*map], &found.maps[*map]);
        assert!(!expected.is_empty(), "{map} is empty");
        assert_eq!(expected, found, "{way}, map {map}: native left, here right");
    }
}

fn clangs() -> BTreeSet<&'static str> {
    let is_there = |clang: &&str| Command::new(clang).arg("--version").output().is_ok_and(|output| output.status.success());
    let found: Vec<_> = CLANGS.into_iter().filter(is_there).collect();
    found.first().into_iter().chain(found.last()).copied().collect()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c")
}

/// Compiles for eBPF; `None` if the compiler does not know the ISA.
fn object(case: &Case, clang: &str, isa: &str, optimisation: &str, folder: &Path) -> Option<PathBuf> {
    let object = folder.join("bpf.o");
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-g", "-DBY_SYMBOL", "-c", optimisation]).arg(format!("-mcpu={isa}")).args(WARNINGS);
    let output = command.arg(source(case.source)).arg("-o").arg(&object).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("unknown target CPU") {
        return None;
    }
    assert!(output.status.success(), "{command:?}: {stderr}");
    Some(object)
}

/// What the same source does as a native program; `None` if there is no compiler.
fn natively(case: &Case, folder: &Path) -> Option<Outcome> {
    let program = folder.join("native");
    let mut command = Command::new("cc");
    command.args(["-O1", "-DNATIVE"]).args(WARNINGS).arg(format!("-DENTRY={}", case.program));
    command.args([source(case.source), source("native")]).arg("-o").arg(&program);
    let compiled = command.output().ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = converse(&program, &conversation(&case.setup));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(outcome(&String::from_utf8(output.stdout).unwrap()))
}

/// Contents of maps, packets, and the question what is in maps afterwards.
fn conversation(setup: &Value) -> String {
    let mut text = String::new();
    for (map, entries) in setup.as_object().unwrap() {
        for entry in entries.as_array().unwrap() {
            text += &format!("set {map} {} {}\n", entry["key"].as_str().unwrap(), entry["value"].as_str().unwrap());
        }
    }
    for packet in packets() {
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("run {hex}\n");
    }
    text + "dump\n"
}

fn converse(program: &Path, text: &str) -> Output {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    // It answers before it has heard everything.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that failed says so itself.
    let _ = writer.join().unwrap();
    output
}

fn outcome(answers: &str) -> Outcome {
    let (mut packets, mut maps) = (Vec::new(), Maps::new());
    for line in answers.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [action, bytes] => {
                let action = Action::by_number(action.parse().unwrap()).unwrap();
                packets.push((
                    action,
                    (0..bytes.len() / 2).map(|index| u8::from_str_radix(&bytes[2 * index..][..2], 16).unwrap()).collect(),
                ));
            }
            [map, key, value] => _ = maps.entry(map.into()).or_default().insert(key.into(), value.into()),
            _ => panic!("{line}"),
        }
    }
    Outcome { packets, maps }
}

#[test]
fn headers_and_tables_as_natively() {
    check("headers_and_tables_as_natively", &cases::parse());
}

#[test]
fn moved_packets_as_natively() {
    check("moved_packets_as_natively", &cases::room());
}

#[test]
fn checksums_as_natively() {
    check("checksums_as_natively", &cases::checksum());
}

#[test]
fn tail_calls_as_natively() {
    check("tail_calls_as_natively", &cases::tails());
}

#[test]
fn loops_and_globals_as_natively() {
    check("loops_and_globals_as_natively", &cases::loops());
}

#[test]
fn records_as_natively() {
    check("records_as_natively", &cases::ring());
}

#[test]
fn maps_of_maps_and_redirects_as_natively() {
    check("maps_of_maps_and_redirects_as_natively", &cases::nested());
}

#[test]
fn sections_and_packed_structs_as_natively() {
    check("sections_and_packed_structs_as_natively", &cases::sections());
}

#[test]
fn other_kinds_of_maps_as_natively() {
    check("other_kinds_of_maps_as_natively", &cases::kinds());
}
