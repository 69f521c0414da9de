//! What a program makes of packets and maps, as the command tells it.

use std::collections::BTreeMap;
use std::path::Path;

use nearside_programs::abi::packet::Action;
use pcap_file::pcap::PcapReader;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::{ETHERNET, nearside_run, pcap};

/// Contents of maps, by map and key, in hex. Of per-CPU maps only the first CPU's.
pub(crate) type Maps = BTreeMap<String, BTreeMap<String, String>>;

const PACKETS: usize = 48;

/// Ethernet, mostly with IPv4 and ports, of few addresses; some with anything in it, some short, some long.
pub(crate) fn packets() -> Vec<Vec<u8>> {
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
pub(crate) struct Outcome {
    pub(crate) packets: Vec<(Action, Vec<u8>)>,
    pub(crate) maps: Maps,
}

pub(crate) fn here(object: &Path, program: &str, setup: &Value, packets: &[Vec<u8>], engine: &str) -> Outcome {
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
