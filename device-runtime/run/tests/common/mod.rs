//! Objects, captures, and the command.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use nearside_programs::object::Function;
use nearside_programs::{MapSpec, Object, assemble};
use pcap_file::pcap::{PcapHeader, PcapTsResolution, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, Endianness};

pub(crate) mod cases;
pub(crate) mod kernel;
pub(crate) mod outcome;

/// RFC 9669 §5.4: the instruction, and what it names by index.
const LDDW: u8 = 0x18;
const MAP_BY_INDEX: u8 = 5;

/// What captures say that are about nothing else.
pub(crate) const ETHERNET: PcapHeader = PcapHeader {
    version_major: 2,
    version_minor: 4,
    ts_correction: 0,
    ts_accuracy: 0,
    snaplen: 65_535,
    datalink: DataLink::ETHERNET,
    ts_resolution: PcapTsResolution::MicroSecond,
    endianness: Endianness::Little,
};

pub(crate) mod packet {
    /// Time of every packet of [`super::pcap`]; the fraction is its index.
    pub(crate) const SECONDS: u32 = 0xf000_0000;
}

/// Runs the command to its end.
pub(crate) fn nearside_run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nearside-run"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command line that cannot work is refused before anything is read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// An object of functions: name, section, text.
pub(crate) fn object(functions: &[(&str, &str, &str)]) -> Vec<u8> {
    map_object(functions, vec![])
}

/// An object of functions and maps; every `lddw` of a 0 is of the first map.
pub(crate) fn map_object(functions: &[(&str, &str, &str)], maps: Vec<MapSpec>) -> Vec<u8> {
    let has_maps = !maps.is_empty();
    let mut object = Object { code: vec![], functions: vec![], maps, manifest: None, license: "GPL".into() };
    for (name, section, text) in functions {
        let mut code = assemble(text).unwrap().code;
        for slot in code.iter_mut().filter(|slot| has_maps && slot.opcode == LDDW && slot.imm == 0) {
            slot.src = MAP_BY_INDEX;
        }
        let start = object.code.len() as u32;
        let function = Function { section: (*section).into(), ..Function::new(*name, start, code.len() as u32) };
        object.functions.push(function);
        object.code.extend(code);
    }
    object.write()
}

/// A capture of packets that were cut by 100 bytes.
pub(crate) fn pcap(header: PcapHeader, packets: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (ts_frac, bytes) in (0..).zip(packets) {
        let data = bytes.as_ref();
        let (incl_len, orig_len) = (data.len() as u32, data.len() as u32 + 100);
        let packet = RawPcapPacket { ts_sec: packet::SECONDS, ts_frac, incl_len, orig_len, data: data.into() };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_inner()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
