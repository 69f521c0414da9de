//! `nearside-run xdp`: what is printed and written for captures of every format, and what is said when something is wrong.

mod common;

use std::path::{Path, PathBuf};

use common::{nearside_run, object, packet, pcap};
use nearside_programs::abi::packet::Action;
use pcap_file::pcap::{PcapHeader, PcapReader, PcapTsResolution};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use pcap_file::{DataLink, Endianness};
use tempfile::TempDir;

/// The action is the packet's first byte; the second one becomes 42.
const FIRST_BYTE: &str = "r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u8 *)(r2 + 0x0)\n*(u8 *)(r2 + 0x1) = 0x2a\nexit";

const PACKETS: [[u8; 3]; 6] = [[2, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4], [0, 5, 5]];
const LINES: &str = "0 pass 4\n1 drop 4\n2 pass 4\n3 tx 4\n4 redirect 4\n5 aborted 4\n";

struct Case {
    folder: TempDir,
}

impl Case {
    fn new(program: &str) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(case.path("program.o"), object(&[("program", "xdp", program)])).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Standard output, standard error without its folder, exit code.
    fn run(&self, capture: &[u8], options: &[&str]) -> (String, String, Option<i32>) {
        std::fs::write(self.path("in.pcap"), capture).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let [object, input, out] = ["program.o", "in.pcap", "out"].map(|name| text(self.path(name)));
        let arguments = [&["xdp", &object, "--pcap", &input, "--out", &out], options].concat();
        let output = nearside_run(&arguments, "");
        let stderr = String::from_utf8(output.stderr).unwrap().replace(self.folder.path().to_str().unwrap(), "");
        (String::from_utf8(output.stdout).unwrap(), stderr, output.status.code())
    }

    #[track_caller]
    fn prints(&self, capture: &[u8], options: &[&str], expected: &str) {
        assert_eq!(self.run(capture, options), (expected.to_owned(), String::new(), Some(0)), "{options:?}");
    }

    /// Header, and timestamp in nanoseconds, original length and bytes of each packet.
    fn written(&self, action: &str) -> (PcapHeader, Vec<(u128, u32, Vec<u8>)>) {
        read(&self.path("out").join(action).with_extension("pcap"))
    }
}

fn read(path: &Path) -> (PcapHeader, Vec<(u128, u32, Vec<u8>)>) {
    let mut reader = PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        packets.push((packet.timestamp().as_nanos(), packet.orig_len(), packet.data().to_vec()));
    }
    (reader.header(), packets)
}

fn header(endianness: Endianness, ts_resolution: PcapTsResolution) -> PcapHeader {
    PcapHeader { endianness, ts_resolution, datalink: DataLink::ETHERNET, ..PcapHeader::default() }
}

/// Every byte order and resolution: packets come back rewritten, by action, in their order, with what the capture said of them.
#[test]
fn packets_are_written_by_action() {
    let case = Case::new(FIRST_BYTE);
    for endianness in [Endianness::Big, Endianness::Little] {
        for resolution in [PcapTsResolution::MicroSecond, PcapTsResolution::NanoSecond] {
            let header = PcapHeader { datalink: DataLink::from(12345), ..header(endianness, resolution) };
            for engine in [&[][..], &["--interpreter"], &["--jit"]] {
                case.prints(&pcap(header, &PACKETS), engine, LINES);
            }
            let (written, packets) = case.written("pass");
            assert_eq!((written.endianness, written.ts_resolution, written.datalink), (endianness, resolution, header.datalink));
            let scale = if resolution == PcapTsResolution::MicroSecond { 1000 } else { 1 };
            let time = |index: u128| u128::from(packet::SECONDS) * 1_000_000_000 + index * scale;
            assert_eq!(packets, [(time(0), 103, vec![2, 42, 0]), (time(2), 103, vec![2, 42, 2])]);
            for action in Action::ALL {
                let expected: Vec<_> =
                    PACKETS.iter().filter(|packet| u32::from(packet[0]) == action.number()).map(|packet| packet[2]).collect();
                let thirds: Vec<_> = case.written(action.name()).1.iter().map(|packet| packet.2[2]).collect();
                assert_eq!(thirds, expected, "{}", action.name());
            }
        }
    }
}

#[test]
fn captures_may_be_compressed() {
    let capture = pcap(header(Endianness::Little, PcapTsResolution::MicroSecond), &PACKETS);
    Case::new(FIRST_BYTE).prints(&common::gzip(&capture), &[], LINES);
}

fn pcapng(links: &[DataLink]) -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    for link in links {
        writer.write_pcapng_block(InterfaceDescriptionBlock::new(*link, 0)).unwrap();
    }
    for (index, bytes) in (0..).zip(PACKETS) {
        let packet = EnhancedPacketBlock {
            interface_id: index % links.len() as u32,
            timestamp: std::time::Duration::new(packet::SECONDS.into(), 1000 * index),
            original_len: 103,
            data: bytes.to_vec().into(),
            options: vec![],
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    writer.into_inner()
}

#[test]
fn captures_may_be_pcapng() {
    let case = Case::new(FIRST_BYTE);
    case.prints(&pcapng(&[DataLink::RAW; 2]), &[], LINES);
    let (written, packets) = case.written("redirect");
    assert_eq!((written.datalink, written.ts_resolution), (DataLink::RAW, PcapTsResolution::NanoSecond));
    assert_eq!(packets, [(u128::from(packet::SECONDS) * 1_000_000_000 + 4000, 103, vec![4, 42, 4])]);
    case.prints(&common::gzip(&pcapng(&[DataLink::RAW])), &[], LINES);
    let (_, stderr, code) = case.run(&pcapng(&[DataLink::RAW, DataLink::ETHERNET]), &[]);
    let message = "capture /in.pcap: packets of link types 101 and 1; run them apart, as what is written has one";
    assert_eq!((stderr, code), (format!("nearside-run: {message}\n"), Some(1)));
}

/// What the program changes of a packet's length changes what the capture says of its length.
#[test]
fn lengths_follow() {
    let case = Case::new("r2 = -0x10\ncall 0x2c\nr0 = 0x2\nexit");
    case.prints(&pcap(header(Endianness::Little, PcapTsResolution::MicroSecond), &[[7; 20]]), &[], "0 pass 4\n");
    assert_eq!(case.written("pass").1[0].1, 136);
    assert_eq!(case.written("pass").1[0].2, [[0; 16].as_slice(), &[7; 20]].concat());
}

/// A trap is what becomes of a packet, and the next one goes on; the log is on standard error, too.
#[test]
fn traps_and_traces_are_told() {
    let case = Case::new(
        "r6 = *(u32 *)(r1 + 0x0)\nr1 = r6\nr2 = 0x3\ncall 0x6\nr3 = *(u8 *)(r6 + 0x0)\nr3 <<= 0x4\nr0 = *(u8 *)(r3 + 0x0)\nexit",
    );
    let packets = [*b"hi\0", *b"ho\0"];
    let (stdout, stderr, code) = case.run(&pcap(header(Endianness::Little, PcapTsResolution::MicroSecond), &packets), &["--jit"]);
    assert_eq!((&*stdout, code), ("0 aborted 7\n1 aborted 7\n", Some(0)));
    let trap = "trap: instruction 6: load at 0x680, which is not mapped for it (r0 = *(u8 *)(r3 + 0x0))";
    let lines = [("hi", 0), ("ho", 1)]
        .map(|(text, index)| format!("nearside-run: packet {index}: {trap}\nnearside-run: packet {index}: trace: {text}\n"));
    assert_eq!(stderr, lines.concat());
}

#[test]
fn programs_are_chosen_by_section_or_function() {
    let case = Case::new(FIRST_BYTE);
    let pass = "r0 = 0x2\nexit";
    // The third one cannot be run here; it does not matter unless it is asked for.
    let programs = [
        ("a", "xdp", pass),
        ("b", "xdp/b", "r0 = 0x1\nexit"),
        ("c", "classifier", "r0 = 0x0\ncall 0x1a\nexit"),
        ("d", "xdp", pass),
    ];
    std::fs::write(case.path("program.o"), object(&programs)).unwrap();
    let capture = pcap(header(Endianness::Little, PcapTsResolution::MicroSecond), &PACKETS[..1]);
    case.prints(&capture, &["--section", "xdp/b"], "0 drop 2\n");
    case.prints(&capture, &["--section", "a"], "0 pass 2\n");
    let refuses = |options: &[&str], message: &str| {
        assert_eq!(
            case.run(&capture, options),
            (String::new(), format!("nearside-run: object /program.o: {message}\n"), Some(1))
        );
    };
    let all = "a (section xdp), b (section xdp/b), c (section classifier), d (section xdp)";
    refuses(&[], &format!("the object has several programs; choose one with --section: {all}"));
    refuses(&["--section", "nope"], &format!("no section or function is named `nope`; there are {all}"));
    let several =
        "section `xdp` has several programs; choose one by its function with --section: a (section xdp), d (section xdp)";
    refuses(&["--section", "xdp"], several);
    refuses(&["--section", "c"], "rejected: instruction 5: helper 26 (skb_load_bytes) does not exist here (call 0x1a)");
}

#[test]
fn what_is_wrong_with_files_is_told() {
    let case = Case::new(FIRST_BYTE);
    let refuses = |capture: &[u8], message: &str| {
        let (_, stderr, code) = case.run(capture, &[]);
        assert!(stderr.starts_with(&format!("nearside-run: {message}")) && stderr.lines().count() == 1, "{stderr}");
        assert_eq!(code, Some(1));
    };
    refuses(b"", "capture /in.pcap: ");
    refuses(b"nonsense, and enough of it for a header", "capture /in.pcap: Invalid magic number");
    let header = header(Endianness::Little, PcapTsResolution::MicroSecond);
    let mut cut = pcap(header, &PACKETS);
    cut.pop();
    refuses(&cut, "capture /in.pcap: ");
    refuses(&pcap(header, &[[0; 65_536]]), "packet 0: a packet of 65536 bytes; the limit is 65535");
    std::fs::write(case.path("program.o"), "no object").unwrap();
    refuses(&pcap(header, &PACKETS), "object /program.o: ");
    std::fs::remove_file(case.path("program.o")).unwrap();
    refuses(&pcap(header, &PACKETS), "object /program.o: No such file or directory");
    assert_eq!(nearside_run(&["xdp"], "").status.code(), Some(2));
}
