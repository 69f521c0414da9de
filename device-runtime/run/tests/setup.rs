//! Maps in JSON: what `--maps` puts into maps of each kind, what `--dump-maps` tells of them, and what is said of a file that does not fit.

mod common;

use std::path::PathBuf;

use common::{ETHERNET, map_object, nearside_run, pcap};
use nearside_programs::{MapKind, MapSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

fn spec(name: &str, kind: MapKind, value_len: u32) -> MapSpec {
    let (inner, initial, named) = (None, vec![], vec![]);
    MapSpec { name: name.into(), kind, key_len: 4, value_len, entries_max: 2, flags: 0, inner, initial, named }
}

/// A program that looks key 1 up in map 0 and returns the value's first byte, or passes if there is none.
const LOOKUP: &str = "r1 = 0x0 ll\n*(u32 *)(r10 - 0x4) = 0x1\nr2 = r10\nr2 += -0x4\ncall 0x1\nif r0 != 0x0 goto +0x2\nr0 = 0x2\nexit\nr0 = *(u8 *)(r0 + 0x0)\nexit";

struct Case {
    folder: TempDir,
}

impl Case {
    fn new(functions: &[(&str, &str, &str)], maps: Vec<MapSpec>) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(case.path("program.o"), map_object(functions, maps)).unwrap();
        std::fs::write(case.path("in.pcap"), pcap(ETHERNET, &[[0; 60]])).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, setup: &str, options: &[&str]) -> (String, String, Option<i32>) {
        std::fs::write(self.path("setup.json"), setup).unwrap();
        let [object, capture, setup, dump] =
            ["program.o", "in.pcap", "setup.json", "dump.json"].map(|name| self.path(name).to_str().unwrap().to_owned());
        let files = ["xdp", &object, "--pcap", &capture, "--maps", &setup, "--dump-maps", &dump];
        let output = nearside_run(&[&files, options].concat(), "");
        let stderr = String::from_utf8(output.stderr).unwrap().replace(self.folder.path().to_str().unwrap(), "");
        (String::from_utf8(output.stdout).unwrap(), stderr, output.status.code())
    }

    /// Both engines print this line, and leave this in maps.
    #[track_caller]
    fn prints(&self, setup: &Value, options: &[&str], line: &str, dump: &Value) {
        for engine in ["--interpreter", "--jit"] {
            let outcome = self.run(&setup.to_string(), &[&[engine], options].concat());
            assert_eq!(outcome, (format!("{line}\n"), String::new(), Some(0)), "{engine}");
            let left: Value = serde_json::from_slice(&std::fs::read(self.path("dump.json")).unwrap()).unwrap();
            assert_eq!(left, *dump, "{engine}");
        }
    }

    #[track_caller]
    fn refuses(&self, setup: &str, options: &[&str], message: &str) {
        assert_eq!(self.run(setup, options), (String::new(), format!("nearside-run: maps /setup.json: {message}\n"), Some(1)));
    }
}

fn entries(entries: &[(&str, &str)]) -> Value {
    entries.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

#[test]
fn values_are_bytes() {
    let case = Case::new(&[("a", "xdp", LOOKUP)], vec![spec("values", MapKind::Hash, 2)]);
    case.prints(&json!({}), &[], "0 pass 8", &json!({"values": []}));
    let set = entries(&[("01 00 00 00", "01 ff"), ("00000000", "0203")]);
    let left = entries(&[("00000000", "0203"), ("01000000", "01ff")]);
    case.prints(&json!({"values": set}), &[], "0 drop 8", &json!({"values": left}));
}

/// One value for all CPUs, or one after the other; the program is on the first one.
#[test]
fn values_are_for_every_cpu() {
    for kind in [MapKind::PerCpuHash, MapKind::LruPerCpuHash] {
        let case = Case::new(&[("a", "xdp", LOOKUP)], vec![spec("values", kind, 2)]);
        let check = |value: &str, line: &str, left: &str| {
            let dump = json!({"values": entries(&[("01000000", left)])});
            case.prints(&json!({"values": entries(&[("01000000", value)])}), &["--cpus", "3"], line, &dump);
        };
        check("0107", "0 drop 8", "010701070107");
        check("010203040506", "0 drop 8", "010203040506");
        check("030200000000000001010000000000000404000000000000", "0 tx 8", "030201010404");
        let message = "map `values`: entry 0: value: 3 bytes; the map's values have 2, and there are 3 CPUs";
        case.refuses(r#"{"values": [{"key": "01000000", "value": "010203"}]}"#, &["--cpus", "3"], message);
    }
}

/// An inner map is one of the object's, or one that the file makes by naming it.
#[test]
fn values_are_maps() {
    // Looks key 1 up in map 0, and key 0 in what it finds.
    let program = "r1 = 0x0 ll\n*(u32 *)(r10 - 0x4) = 0x1\nr2 = r10\nr2 += -0x4\ncall 0x1\nif r0 == 0x0 goto +0x7
        *(u32 *)(r10 - 0x4) = 0x0\nr1 = r0\nr2 = r10\nr2 += -0x4\ncall 0x1\nif r0 == 0x0 goto +0x1\nr0 = *(u8 *)(r0 + 0x0)\nexit";
    for kind in [MapKind::ArrayOfMaps, MapKind::HashOfMaps] {
        let inner = spec("", MapKind::Array, 8);
        let outer = MapSpec { inner: Some(Box::new(inner.clone())), ..spec("outer", kind, 4) };
        let case = Case::new(&[("a", "xdp", program)], vec![outer, MapSpec { name: "known".into(), ..inner }]);
        let zeros = "0000000000000000";
        let full = |value: &str| entries(&[("00000000", value), ("01000000", zeros)]);
        let setup =
            |name: &str| json!({"outer": entries(&[("01000000", name)]), name: entries(&[("00000000", "0300000000000000")])});
        let dump = json!({"outer": entries(&[("01000000", "known")]), "known": full("0300000000000000")});
        case.prints(&setup("known"), &[], "0 tx 14", &dump);
        let dump = json!({"outer": entries(&[("01000000", "fresh")]), "known": full(zeros), "fresh": full("0300000000000000")});
        case.prints(&setup("fresh"), &[], "0 tx 14", &dump);
        case.prints(&json!({}), &[], "0 aborted 7", &json!({"outer": [], "known": full(zeros)}));
        let message = "map `outer`: entry 0: no map is named ``; there are `outer`, `known`";
        case.refuses(r#"{"outer": [{"key": "01000000", "value": ""}]}"#, &[], message);
    }
}

#[test]
fn values_are_programs() {
    let tail = "r2 = 0x0 ll\nr3 = 0x1\ncall 0xc\nr0 = 0x2\nexit";
    let functions = [("a", "xdp", tail), ("b", "xdp/b", "r0 = 0x1\nexit"), ("c", "xdp/c", "r0 = 0x3\nexit")];
    let case = Case::new(&functions, vec![spec("programs", MapKind::ProgramArray, 4)]);
    let check = |name: &str, line: &str, left: &str| {
        let dump = json!({"programs": entries(&[("01000000", left)])});
        case.prints(&json!({"programs": entries(&[("01000000", name)])}), &["--section", "xdp"], line, &dump);
    };
    check("b", "0 drop 5", "b");
    check("xdp/c", "0 tx 5", "c");
    case.prints(&json!({}), &["--section", "xdp"], "0 pass 5", &json!({"programs": []}));
    let all = "a (section xdp), b (section xdp/b), c (section xdp/c)";
    let message = format!("map `programs`: no section or function is named `d`; there are {all}");
    case.refuses(r#"{"programs": [{"key": "01000000", "value": "d"}]}"#, &["--section", "xdp"], &message);
}

/// Records have no keys.
#[test]
fn records_are_told() {
    let program =
        "r1 = 0x0 ll\n*(u32 *)(r10 - 0x4) = 0x12345678\nr2 = r10\nr2 += -0x4\nr3 = 0x4\nr4 = 0x0\ncall 0x82\nr0 += 0x2\nexit";
    let ring = MapSpec { key_len: 0, entries_max: 4096, ..spec("ring", MapKind::RingBuffer, 0) };
    Case::new(&[("a", "xdp", program)], vec![ring]).prints(
        &json!({}),
        &[],
        "0 pass 9",
        &json!({"ring": [{"value": "78563412"}]}),
    );
}

#[test]
fn what_does_not_fit_is_told() {
    let case = Case::new(&[("a", "xdp", LOOKUP)], vec![spec("values", MapKind::Hash, 2)]);
    let refuses = |entries: &str, message: &str| {
        case.refuses(&format!(r#"{{"values": [{entries}]}}"#), &[], &format!("map `values`: {message}"))
    };
    refuses(r#"{"key": "01", "value": "0000"}"#, "entry 0: key: 1 bytes; the map's keys have 4");
    refuses(r#"{"key": "01000000", "value": "00"}"#, "entry 0: value: 1 bytes; the map's values have 2");
    refuses(r#"{"key": "0100000", "value": "00"}"#, "entry 0: key: 7 hex digits are no whole bytes");
    refuses(r#"{"key": "01000000", "value": "0x00"}"#, "entry 0: value: 'x' at character 2 is no hex digit");
    let three: Vec<_> = (0..3).map(|key| format!(r#"{{"key": "0{key}000000", "value": "0000"}}"#)).collect();
    refuses(&three.join(","), "entry 2: the map is full, or the index beyond its end");
    case.refuses(r#"{"nope": []}"#, &[], "no map is named `nope`; there are `values`");
    for (setup, message) in
        [("", "EOF while parsing"), ("[]", "invalid type"), (r#"{"values": [{"kee": ""}]}"#, "unknown field `kee`")]
    {
        let (_, stderr, code) = case.run(setup, &[]);
        assert!(
            stderr.starts_with(&format!("nearside-run: maps /setup.json: {message}")) && stderr.lines().count() == 1,
            "{stderr}"
        );
        assert_eq!(code, Some(1));
    }
}
