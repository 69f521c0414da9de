//! The kernel takes what [`Object::write`] writes, through libbpf: programs, maps, global data and calls between sections are
//! what they were.

#[path = "clang/mod.rs"]
mod clang;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use clang::{Options, clangs, compile, usual};
use nearside_programs::{MapKind, MapSpec, Object, assemble};
use serde_json::{Value, json};

/// Prints the bytes of every map that can be read as JSON, behind its name.
const DUMP: &str = "for map in /sys/fs/bpf/maps/*; do basename $map; bpftool -j map dump pinned $map 2>/dev/null; echo; done";

/// Loads every program of the object into the kernel, with bpftool, runs one of them over a packet of 64 zeros, and returns the
/// line with what it returned, and the contents of maps.
///
/// What is pinned, no other process sees.
fn run(test: &str, bytes: &[u8], program: &str) -> Option<(String, BTreeMap<String, Value>)> {
    if let Some(reason) = missing() {
        println!("SKIP {test}: {reason}");
        return None;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("o.o"), bytes).unwrap();
    fs::write(directory.join("packet"), [0; 64]).unwrap();
    let load = "bpftool prog loadall o.o /sys/fs/bpf/programs type xdp pinmaps /sys/fs/bpf/maps";
    let run = format!("bpftool prog run pinned /sys/fs/bpf/programs/{program} data_in packet repeat 1");
    let output = in_namespace(&directory, &format!("{MOUNT} && {load} && {run} && {DUMP}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let mut lines = stdout.lines();
    let returned = lines.next().unwrap().split(',').next().unwrap().into();
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let dump = |position: usize| lines.get(position + 1).and_then(|line| serde_json::from_str(line).ok()).map(plain);
    let maps = (0..lines.len()).filter_map(|position| Some((lines[position].into(), dump(position)?))).collect();
    Some((returned, maps))
}

/// Keys and values as bytes: without what bpftool makes of them where it knows their types, and without saying which CPU has which.
fn plain(mut elements: Value) -> Value {
    for element in elements.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        element.remove("formatted");
        if let Some(Value::Array(values)) = element.get_mut("values") {
            values.iter_mut().for_each(|value| *value = value["value"].take());
            values.sort_by_key(|value| std::cmp::Reverse(value.to_string()));
        }
    }
    elements
}

const MOUNT: &str = "mount -t bpf bpf /sys/fs/bpf";

/// Why nothing can be loaded here.
fn missing() -> Option<&'static str> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let succeeds = |command| in_namespace(directory, command).status.success();
    if !succeeds("command -v bpftool >/dev/null") {
        return Some("needs root and bpftool (Debian: apt-get install bpftool)");
    }
    (!succeeds(&format!("{MOUNT} && bpftool prog show >/dev/null")))
        .then_some("needs root, and a kernel with bpf(2) and its file system")
}

/// Runs a shell command with mounts of its own.
fn in_namespace(directory: &Path, command: &str) -> Output {
    let script = format!("PATH=$PATH:/usr/sbin:/sbin; {command}");
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).current_dir(directory).output();
    // Without the command there is no namespace, and nothing that succeeds.
    output.unwrap_or_else(|_| Command::new("false").output().expect("every system has `false`"))
}

fn spec(name: &str, kind: MapKind, [key_len, value_len, entries_max]: [u32; 3]) -> MapSpec {
    let (inner, initial, named) = (None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags: 0, inner, initial, named }
}

/// Counts packets in an array, in a per-CPU hash and in global data, calls from its section to `.text` and gives the address of a
/// function there.
const COUNTING: &str = "
<add>:
    r1 = *(u64 *)(r2 + 0x0)
    r1 += 0x5
    *(u64 *)(r2 + 0x0) = r1
    r0 = 0x0
    exit
<count>:
    *(u64 *)(r10 - 0x8) = 0x0
    r2 = r10
    r2 += -0x8
    ld_pseudo r1, 0x5, 0x0
    call map_lookup_elem
    if r0 == 0x0 goto none
    r1 = 0x1
    lock *(u64 *)(r0 + 0x0) += r1
none:
    r3 = r10
    r3 += -0x10
    *(u64 *)(r10 - 0x10) = 0x7
    r2 = r10
    r2 += -0x8
    ld_pseudo r1, 0x5, 0x1
    r4 = 0x0
    call map_update_elem
    r1 = 0x3
    ld_pseudo r2, 0x4, 0xffffffeb
    r3 = r10
    r3 += -0x10
    r4 = 0x0
    call loop
    r1 = 0x0
    r2 = r10
    r2 += -0x10
    call add
    ld_pseudo r2, 0x6, 0x2
    r1 = *(u64 *)(r10 - 0x10)
    *(u64 *)(r2 + 0x0) = r1
    r0 = 0x2
    exit
";

fn counting() -> Object {
    let assembled = assemble(COUNTING).unwrap();
    let mut object = Object {
        code: assembled.code,
        functions: assembled.functions,
        maps: vec![
            spec("counters", MapKind::Array, [4, 8, 16]),
            spec("flows", MapKind::PerCpuHash, [8, 8, 1024]),
            MapSpec::global_data(".data", 16, [9_u64.to_le_bytes(), 8_u64.to_le_bytes()].concat()),
        ],
        manifest: None,
        license: "GPL".into(),
    };
    object.functions[1].section = "xdp".into();
    object
}

/// An object of ours: array, per-CPU hash, global data, a call and a callback across sections.
#[test]
fn an_object_of_ours_runs_in_the_kernel() {
    let test = "an_object_of_ours_runs_in_the_kernel";
    let object = counting();
    assert_eq!(Object::read(&object.write()).unwrap(), object);
    let Some((returned, maps)) = run(test, &object.write(), "count") else { return };
    assert_eq!(returned, "Return value: 2");
    assert_eq!(maps["counters"][0], element([0; 4], [1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(maps["flows"][0]["values"][0], hex(&[7, 0, 0, 0, 0, 0, 0, 0]));
    // 7, and 5 more each of the four times.
    assert_eq!(maps["o_data"][0], element([0; 4], [27, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]));
}

fn element<const K: usize, const V: usize>(key: [u8; K], value: [u8; V]) -> Value {
    json!({"key": hex(&key), "value": hex(&value)})
}

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:#04x}")).collect()
}

/// What was read and written again does in the kernel what clang's own object does.
#[test]
fn objects_of_clang_run_alike() {
    let test = "objects_of_clang_run_alike";
    let Some(clang) = clangs(test).first() else { return };
    let options = Options { defines: &["BY_NUMBER"], ..usual(clang) };
    for (source, program) in [("globals", "globals"), ("subprograms", "second"), ("subprograms", "third"), ("maps", "use_maps")] {
        let original = compile(source, options);
        let Some((returned, expected)) = run(test, &original, program) else { return };
        let (ours, mut maps) = run(test, &Object::read(&original).unwrap().write(), program).unwrap();
        assert_eq!(ours, returned, "{source}: {program}");
        assert_eq!(maps.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, expected) in expected {
            let (ours, expected) = (comparable(&name, maps.remove(&name).unwrap()), comparable(&name, expected));
            assert_eq!(ours, expected, "{source}: {program}: {name}");
        }
    }
}

/// Elements that are programs or maps have numbers that the kernel gives anew each time: their keys are compared.
fn comparable(map: &str, mut elements: Value) -> Value {
    if ["programs", "colours"].contains(&map) {
        elements.as_array_mut().unwrap().iter_mut().for_each(|element| *element = element["key"].take());
    }
    elements
}

/// Maps from before BTF, which libbpf no longer takes, it takes from us.
#[test]
fn legacy_maps_become_typed() {
    let test = "legacy_maps_become_typed";
    let Some(clang) = clangs(test).first() else { return };
    let options = Options { defines: &["BY_NUMBER", "LONG_DEFINITION"], ..usual(clang) };
    let original = compile("maps_legacy", options);
    let Some((returned, maps)) = run(test, &Object::read(&original).unwrap().write(), "count") else { return };
    assert_eq!(returned, "Return value: 1");
    assert_eq!(maps["counters"][0]["values"][0], hex(&[1, 0, 0, 0, 0, 0, 0, 0]));
}
