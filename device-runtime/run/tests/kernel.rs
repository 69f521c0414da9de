//! The kernel agrees: what it accepts does the same in it (`BPF_PROG_TEST_RUN`), in the interpreter and in the JIT, on the same packets and maps:
//! what is returned, bytes, contents of maps.
//!
//! The programs are C, in `c/`. Of redirects only that they happen is compared, and of ring buffers positions and room.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::kernel::{self, Kernel, Maps};
use common::{ETHERNET, nearside_run, pcap};
use nearside_programs::abi::packet::Action;
use pcap_file::pcap::PcapReader;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const PACKETS: usize = 48;

/// Ethernet, mostly with IPv4 and ports, of few addresses; some with anything in it, some short, some long.
fn packets() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(9669);
    (0..PACKETS).map(|index| packet(index, &mut random)).collect()
}

fn packet(index: usize, random: &mut StdRng) -> Vec<u8> {
    let len = [60, 14, 34, 64, 128, 1514, 3520][index % 7];
    let mut bytes: Vec<u8> = (0..len).map(|_| random.random()).collect();
    if index % 5 != 4 {
        bytes[12..14].copy_from_slice(&[8, 0]);
        let header = [
            0x45,
            0,
            0,
            46,
            random.random(),
            7,
            0,
            0,
            random.random_range(1..6),
            [6, 17, 1][index % 3],
            random.random(),
            random.random(),
        ];
        let addresses = [10, 0, 0, random.random_range(1..4), 192, 168, random.random_range(0..3), 1];
        let ports = [0, random.random_range(1..4), 0, 80];
        for (byte, value) in bytes[14..].iter_mut().zip(header.into_iter().chain(addresses).chain(ports)) {
            *byte = value;
        }
    }
    bytes
}

/// What became of every packet, and of the maps.
#[derive(Debug, PartialEq)]
struct Outcome {
    packets: Vec<(Action, Vec<u8>)>,
    maps: Maps,
}

fn in_kernel(kernel: &Kernel, program: &str, packets: &[Vec<u8>]) -> Outcome {
    let run = |packet: &Vec<u8>| {
        let (returned, bytes) = kernel.run(program, packet);
        (Action::by_number(returned).unwrap_or(Action::Aborted), bytes)
    };
    Outcome { packets: packets.iter().map(run).collect(), maps: kernel.maps() }
}

fn here(object: &Path, program: &str, setup: &Value, packets: &[Vec<u8>], engine: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("in.pcap"), pcap(ETHERNET, packets)).unwrap();
    std::fs::write(path("setup.json"), setup.to_string()).unwrap();
    let files = [path("in.pcap"), path("setup.json"), path("maps.json"), path("out")];
    let options = ["--section", program, "--pcap", &files[0], "--maps", &files[1], "--dump-maps", &files[2], "--out", &files[3]];
    let output = nearside_run(&[&["xdp", object.to_str().unwrap(), engine], &options[..]].concat(), "");
    assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), ("", Some(0)));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut written = written(&folder.path().join("out"));
    let outcome = |line: &str| {
        let name = line.split(' ').nth(1).unwrap();
        let action = *Action::ALL.iter().find(|action| action.name() == name).unwrap();
        (action, written.get_mut(name).unwrap().next().unwrap())
    };
    Outcome { packets: lines.lines().map(outcome).collect(), maps: maps(&std::fs::read(path("maps.json")).unwrap()) }
}

/// Packets by action, in their order.
fn written(folder: &Path) -> BTreeMap<&'static str, impl Iterator<Item = Vec<u8>> + use<>> {
    let read = |action: &Action| {
        let file = std::fs::File::open(folder.join(action.name()).with_extension("pcap")).unwrap();
        let packets: Vec<Vec<u8>> =
            PcapReader::new(file).unwrap().into_iter().map(|packet| packet.unwrap().data().to_vec()).collect();
        (action.name(), packets.into_iter())
    };
    Action::ALL.iter().map(read).collect()
}

fn maps(json: &[u8]) -> Maps {
    let contents: BTreeMap<String, Vec<BTreeMap<String, String>>> = serde_json::from_slice(json).unwrap();
    let entry = |entry: BTreeMap<String, String>| (entry.get("key").cloned().unwrap_or_default(), entry["value"].clone());
    contents.into_iter().map(|(name, entries)| (name, entries.into_iter().map(entry).collect())).collect()
}

/// Runs a program everywhere; `compared` maps must be the same in the end, and hold something.
fn check(test: &str, source: &str, program: &str, setup: &Value, compared: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let loaded = kernel::compile(source, folder.path()).and_then(|object| Ok((Kernel::load(&object)?, object)));
    let (kernel, object) = match loaded {
        Ok(loaded) => loaded,
        Err(reason) => return println!("SKIP {test}: {reason}"),
    };
    kernel.set_up(setup);
    let packets = packets();
    let expected = in_kernel(&kernel, program, &packets);
    for engine in ["--interpreter", "--jit"] {
        let outcome = here(&object, program, setup, &packets, engine);
        for (index, (expected, found)) in expected.packets.iter().zip(&outcome.packets).enumerate() {
            assert!(expected == found, "{engine}, packet {index}: kernel {expected:x?}, here {found:x?}");
        }
        assert_eq!(expected.packets.len(), outcome.packets.len());
        for map in compared {
            // Of global data, the kernel's name begins with the object's.
            let name = map.strip_prefix('.').map_or_else(|| (*map).to_owned(), |section| format!("{source}_{section}"));
            let (expected, found) = (&expected.maps[&name], &outcome.maps[*map]);
            assert!(!expected.is_empty(), "{map} is empty");
            assert_eq!(expected, found, "{engine}, map {map}: kernel left, here right");
        }
    }
}

#[test]
fn the_kernel_parses_and_counts_alike() {
    let routes = json!([
        {"key": "10000000c0a80000", "value": "02000000"},
        {"key": "18000000c0a80100", "value": "03000000"},
        {"key": "20000000c0a80201", "value": "01000000"}
    ]);
    let flows = json!([{"key": "0a0000010a0000020050005006000000", "value": "01000000000000000200000000000000"}]);
    let setup = json!({"routes": routes, "flows": flows, "by_action": [{"key": "02000000", "value": "6400000000000000"}]});
    let maps = ["by_protocol", "by_action", "flows", "sources", "recent", "results", "routes"];
    check("the_kernel_parses_and_counts_alike", "parse", "parse", &setup, &maps);
}

#[test]
fn the_kernel_moves_packets_alike() {
    check("the_kernel_moves_packets_alike", "room", "room", &json!({}), &["moves", "packets"]);
}

#[test]
fn the_kernel_sums_alike() {
    let translations = json!([{"key": "c0a80001", "value": "0a010203"}, {"key": "c0a80201", "value": "ffffffff"}]);
    check("the_kernel_sums_alike", "checksum", "checksum", &json!({"translations": translations}), &["sums"]);
}

#[test]
fn the_kernel_calls_tails_alike() {
    check("the_kernel_calls_tails_alike", "tails", "tails", &json!({}), &["calls"]);
}

#[test]
fn the_kernel_loops_and_calls_alike() {
    check("the_kernel_loops_and_calls_alike", "loops", "loops", &json!({}), &[".bss", ".data"]);
}

#[test]
fn the_kernel_keeps_records_alike() {
    check("the_kernel_keeps_records_alike", "ring", "records", &json!({}), &["results", "packets"]);
}

#[test]
fn the_kernel_nests_maps_and_redirects_alike() {
    let interface = "01000000";
    let setup = json!({
        "colours": [{"key": "02000000", "value": "blue"}],
        "hashed": [{"key": "03000000", "value": "red"}, {"key": "00000000", "value": "blue"}],
        "ports": [{"key": "01000000", "value": interface}],
        "numbered": [{"key": "02000000", "value": interface}]
    });
    check("the_kernel_nests_maps_and_redirects_alike", "nested", "nested", &setup, &["red", "blue"]);
}
