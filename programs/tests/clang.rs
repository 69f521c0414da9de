//! Objects of clang: what its sections, symbols, relocations and types say is what is read, whatever it was told to do.

#[path = "clang/mod.rs"]
mod clang;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clang::{Options, clangs, compile, run, usual};
use nearside_programs::isa::{CallTarget, Instruction, Size, WideSource, decode};
use nearside_programs::maps::RDONLY_PROG;
use nearside_programs::{MapKind, MapSpec, Object};

/// Every combination of ISA, optimisation and types, of the oldest and the newest compiler here.
fn options(test: &str) -> Vec<Options<'static>> {
    let mut all = Vec::new();
    let clangs = clangs(test);
    let used: BTreeSet<_> = clangs.first().into_iter().chain(clangs.last()).copied().collect();
    for clang in used {
        let knows = |isa: &&str| run(Path::new("/dev/null"), Options { isa, ..usual(clang) }).status.success();
        for isa in ["v1", "v2", "v3", "v4"].into_iter().filter(knows) {
            for optimisation in ["-O0", "-O2"] {
                all.extend([false, true].map(|types| Options { optimisation, isa, types, ..usual(clang) }));
            }
        }
    }
    if !clangs.is_empty() && !all.iter().any(|options| options.isa == "v4") {
        println!("SKIP {test}: no clang here compiles for BPF ISA v4 (Debian: apt-get install clang-19)");
    }
    all
}

/// Compiles and reads.
fn read(name: &str, options: Options<'_>) -> Object {
    let object = Object::read(&compile(name, options)).unwrap_or_else(|error| panic!("{name} {options:?}: {error}"));
    check(&object);
    object
}

/// What holds for every object.
fn check(object: &Object) {
    let text = object.disassemble().with_comments().to_string();
    assert!(!text.contains("<unknown>"), "{text}");
    for (index, instruction) in instructions(object) {
        match instruction {
            Instruction::Call(CallTarget::Local(offset)) => assert!(begins(object, index, offset), "call at {index}:\n{text}"),
            Instruction::Call(CallTarget::HelperByBtf(_)) => panic!("a call that is not resolved at {index}:\n{text}"),
            Instruction::LoadImm64 { source: WideSource::Code, value, .. } => {
                assert!(begins(object, index, value as i32), "address at {index}:\n{text}");
            }
            Instruction::LoadImm64 { source: WideSource::MapByIndex, value, .. } => {
                assert!(!object.maps[value as usize].is_global_data(), "map at {index}:\n{text}");
            }
            Instruction::LoadImm64 { source: WideSource::MapValueByIndex, value, .. } => {
                let map = &object.maps[value as u32 as usize];
                assert!(map.is_global_data() && (value >> 32) <= map.value_len.into(), "global data at {index}:\n{text}");
            }
            Instruction::LoadImm64 { source, .. } => assert_eq!(source, WideSource::Immediate, "at {index}:\n{text}"),
            _ => {}
        }
    }
    let written = object.write();
    assert_eq!(Object::read(&written).as_ref().unwrap(), object);
    assert_eq!(Object::read(&written).unwrap().write(), written);
}

fn instructions(object: &Object) -> impl Iterator<Item = (usize, Instruction)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let index = next;
        let instruction = (index < object.code.len()).then(|| decode(&object.code, index).unwrap())?;
        next += instruction.slot_count();
        Some((index, instruction))
    })
}

/// Whether a function begins that many slots behind the one at `index`.
fn begins(object: &Object, index: usize, offset: i32) -> bool {
    let target = index as i64 + 1 + i64::from(offset);
    object.functions.iter().any(|function| i64::from(function.start) == target)
}

/// Helpers that a function calls, and functions, in order.
fn calls(object: &Object, name: &str) -> Vec<String> {
    let function = object.function(name).unwrap();
    let slots = function.start as usize..(function.start + function.len) as usize;
    let mut calls = Vec::new();
    for (index, instruction) in instructions(object).filter(|(index, _)| slots.contains(index)) {
        let offset = match instruction {
            Instruction::Call(CallTarget::Helper(number)) => {
                calls.push(number.to_string());
                continue;
            }
            Instruction::Call(CallTarget::Local(offset)) => offset,
            Instruction::LoadImm64 { source: WideSource::Code, value, .. } => value as i32,
            _ => continue,
        };
        let start = index as i64 + 1 + i64::from(offset);
        let callee = object.functions.iter().find(|function| i64::from(function.start) == start).unwrap();
        calls.push(callee.name.clone());
    }
    calls
}

fn map<'a>(object: &'a Object, name: &str) -> &'a MapSpec {
    object.maps.iter().find(|map| map.name == name).unwrap_or_else(|| panic!("no map {name} in {:?}", object.maps))
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Each section of global data is a map with what it holds at the start; code has its place in it.
#[test]
fn globals_are_maps() {
    for options in options("globals_are_maps") {
        let object = read("globals", options);
        assert_eq!(object.license, "GPL");
        let rodata = map(&object, ".rodata");
        assert_eq!((rodata.kind, rodata.key_len, rodata.entries_max, rodata.flags), (MapKind::Array, 4, 1, RDONLY_PROG));
        let primes = words(&[2, 3, 5, 7, 11, 13, 17, 19]);
        assert!(rodata.initial.windows(primes.len()).any(|window| window == primes));
        assert_eq!(rodata.value_len as usize, rodata.initial.len());
        let strings = map(&object, ".rodata.str1.1");
        assert!(strings.is_read_only() && strings.initial.ends_with(b"jumps\0"), "{strings:?}");
        let data = map(&object, ".data");
        assert_eq!((data.flags, &data.initial[..8]), (0, &words(&[40])[..]));
        assert_eq!(map(&object, ".data.pairs"), &MapSpec::global_data(".data.pairs", 16, words(&[1, 2])));
        assert_eq!(map(&object, ".bss"), &MapSpec::global_data(".bss", 136, Vec::new()));
        let sections: Vec<_> = object.functions.iter().map(|f| (f.name.as_str(), f.section.as_str())).collect();
        assert_eq!(sections, [("letter", ".text"), ("globals", "xdp")], "{options:?}");
    }
}

/// Functions keep their section, and what they call, whatever of symbol or section clang names.
#[test]
fn functions_are_linked() {
    for options in options("functions_are_linked") {
        let object = read("subprograms", options);
        let sections = ["square", "cube", "weakly", "add", "subtract", "near", "first", "second", "third", "fourth"]
            .map(|name| (name, object.function(name).unwrap().section.as_str()));
        let text = [".text"; 5];
        assert_eq!(sections.map(|(_, section)| section)[..5], text, "{options:?}");
        assert_eq!(sections.map(|(_, section)| section)[5..], ["xdp", "xdp", "xdp", "xdp/other", "classifier"]);
        assert_eq!(calls(&object, "near"), ["cube"]);
        assert_eq!(calls(&object, "first"), ["near"]);
        let mut second = calls(&object, "second");
        second.sort();
        assert_eq!(second, ["181", "181", "add", "near", "square", "subtract"], "{options:?}");
        let mut third = calls(&object, "third");
        third.sort();
        assert_eq!(third, ["cube", "square", "weakly"]);
        assert_eq!(calls(&object, "fourth"), ["5"]);
        assert_eq!(calls(&object, "cube"), ["square"]);
        assert_eq!(object.license, "Dual MIT/GPL");
    }
}

fn spec(name: &str, kind: MapKind, sizes: [u32; 4]) -> MapSpec {
    let [key_len, value_len, entries_max, flags] = sizes;
    let (inner, initial, named) = (None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags, inner, initial, named }
}

/// Every kind of map, by fields of types and of numbers.
#[test]
fn maps_by_type() {
    use MapKind::*;
    let element = spec("inner", Array, [4, 8, 2, 0]);
    let mut expected = vec![
        spec("red", Array, [4, 8, 2, 0]),
        spec("blue", Array, [4, 8, 2, 0]),
        MapSpec {
            inner: Some(Box::new(element)),
            named: vec![(1, "red".into()), (4, "blue".into())],
            ..spec("colours", ArrayOfMaps, [4, 4, 5, 0])
        },
        MapSpec { named: vec![(2, "tail".into())], ..spec("programs", ProgramArray, [4, 4, 3, 0]) },
        MapSpec { inner: Some(Box::new(spec("nested.inner", Hash, [7, 4, 9, 0]))), ..spec("nested", HashOfMaps, [4, 4, 7, 0]) },
        MapSpec { named: vec![(0, "tail".into()), (7, "hidden".into())], ..spec("hidden_programs", ProgramArray, [4, 4, 8, 0]) },
        spec("flows", Hash, [7, 24, 1024, 0]),
        spec("counters", Array, [4, 24, 16, 0x400]),
        spec("events", PerfEventArray, [4, 4, 0, 0]),
        spec("flows_by_cpu", PerCpuHash, [7, 24, 1 << 20, 0]),
        spec("counters_by_cpu", PerCpuArray, [4, 8, 4, 0]),
        spec("recent", LruHash, [8, 1, 100, 0]),
        spec("recent_by_cpu", LruPerCpuHash, [8, 1, 100, 0]),
        spec("routes", LpmTrie, [8, 4, 64, 1]),
        spec("ports", DevMap, [4, 4, 8, 0]),
        spec("ports_by_number", DevMapHash, [4, 8, 8, 0]),
        spec("cpus", CpuMap, [4, 4, 2, 0]),
        spec("sockets", XskMap, [4, 4, 64, 0]),
        spec("ring", RingBuffer, [0, 0, 4096, 0]),
    ];
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    for options in options("maps_by_type") {
        if !options.types {
            let error = Object::read(&compile("maps", options)).unwrap_err().to_string();
            assert_eq!(error, "section `.maps`: needs .BTF, which clang writes with -g");
            continue;
        }
        let object = read("maps", options);
        let mut maps: Vec<_> = object.maps.iter().filter(|map| !map.is_global_data()).cloned().collect();
        maps.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(maps, expected, "{options:?}");
        assert_eq!(calls(&object, "tail"), ["1", "51"]);
        assert_eq!(calls(&object, "use_maps"), ["2", "2", "3", "130", "1", "1", "12"]);
        let loaded: Vec<_> = loaded_maps(&object);
        let used = ["counters", "ports", "flows", "flows_by_cpu", "recent", "ring", "colours", "programs"];
        assert_eq!(loaded, used, "{options:?}");
    }
}

/// Maps that code takes, in order.
fn loaded_maps(object: &Object) -> Vec<&str> {
    let name = |instruction| match instruction {
        Instruction::LoadImm64 { source: WideSource::MapByIndex, value, .. } => Some(object.maps[value as usize].name.as_str()),
        _ => None,
    };
    instructions(object).filter_map(|(_, instruction)| name(instruction)).collect()
}

/// Definitions from before BTF, of either length; types are not needed.
#[test]
fn maps_by_number() {
    let flows = spec("flows", MapKind::Hash, [7, 24, 1024, 1]);
    let counters = spec("counters", MapKind::PerCpuArray, [4, 8, 256, 0]);
    let hidden = spec("hidden", MapKind::Array, [4, 4, 1, 0]);
    let outer = MapSpec { inner: Some(Box::new(hidden.clone())), ..spec("outer", MapKind::ArrayOfMaps, [4, 4, 2, 0]) };
    for options in options("maps_by_number") {
        let object = read("maps_legacy", options);
        assert_eq!(object.maps[..3], [flows.clone(), counters.clone(), hidden.clone()]);
        assert_eq!(loaded_maps(&object), ["counters", "hidden", "flows"], "{options:?}");
        let long = Options { defines: &["LONG_DEFINITION"], ..options };
        let object = read("maps_legacy", long);
        assert_eq!(object.maps[..4], [flows.clone(), counters.clone(), hidden.clone(), outer.clone()]);
        assert_eq!(loaded_maps(&object), ["counters", "hidden", "outer", "flows"], "{options:?}");
    }
}

/// Packed structs and spills need nothing special.
#[test]
fn packed_structs_and_spills() {
    for options in options("packed_structs_and_spills") {
        let object = read("packed", options);
        assert_eq!(object.maps, []);
        let loads_bytes = |instruction| matches!(instruction, Instruction::Load { size: Size::B, .. });
        assert!(instructions(&object).any(|(_, instruction)| loads_bytes(instruction)), "{options:?}");
        assert_eq!(object.function("packed").unwrap().section, "xdp");
    }
}

/// A section for each function and for each variable.
#[test]
fn sections_for_everything() {
    for clang in clangs("sections_for_everything") {
        for source in ["globals", "subprograms", "maps"] {
            let object = read(source, Options { flags: &["-ffunction-sections", "-fdata-sections"], ..usual(clang) });
            assert!(object.functions.iter().all(|function| !function.section.is_empty()));
            if source == "globals" {
                assert_eq!(map(&object, ".data.counter").initial, words(&[40]));
                assert_eq!(map(&object, ".bss.total"), &MapSpec::global_data(".bss.total", 8, Vec::new()));
            }
        }
    }
}

/// Code for the context and for headers of packets is right as it is: offsets are those of its own types.
#[test]
fn fields_of_packets_need_no_kernel() {
    for clang in clangs("fields_of_packets_need_no_kernel") {
        let bytes = compile("relocatable", usual(clang));
        assert!(bytes.windows(4).any(|window| window == b"0:0\0"), "{clang} writes CO-RE relocations");
        let object = Object::read(&bytes).unwrap();
        check(&object);
        let offsets = |object: &Object| -> BTreeSet<i16> {
            let offset = |instruction| if let Instruction::Load { offset, .. } = instruction { Some(offset) } else { None };
            instructions(object).filter_map(|(_, instruction)| offset(instruction)).collect()
        };
        // In `ctx`, `data` and `data_end`; `h_proto` of the Ethernet header; `protocol` and `daddr` of the IP header.
        assert_eq!(offsets(&object), BTreeSet::from([0, 4, 12, 9, 16]), "{clang}");
    }
}

/// Files that bpftool linked into one: static functions of one name, maps and data of both.
#[test]
fn files_are_linked_by_bpftool() {
    let test = "files_are_linked_by_bpftool";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&directory).unwrap();
    for clang in clangs(test) {
        for source in ["linked_a", "linked_b"] {
            let bytes = compile(source, Options { defines: &["BY_NUMBER"], ..usual(clang) });
            fs::write(directory.join(source), bytes).unwrap();
        }
        let Some(bytes) = link(&directory, "linked_a", "linked_b") else {
            println!("SKIP {test}: needs bpftool (Debian: apt-get install bpftool)");
            return;
        };
        let object = Object::read(&bytes).unwrap();
        check(&object);
        let functions: Vec<_> = object.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(functions, ["scale", "stop", "scale.1", "first", "second"]);
        assert_eq!(calls(&object, "first"), ["1", "scale"]);
        assert_eq!(calls(&object, "second"), ["1", "stop", "181", "scale.1"]);
        assert_eq!(loaded_maps(&object), ["first_map", "second_map"]);
        assert_eq!(map(&object, ".data").initial, words(&[7, 9]));
    }
}

fn link(directory: &Path, first: &str, second: &str) -> Option<Vec<u8>> {
    let bpftool =
        ["bpftool", "/usr/sbin/bpftool"].into_iter().find(|bpftool| Command::new(bpftool).arg("version").output().is_ok())?;
    let output = Command::new(bpftool).args(["gen", "object", "linked", first, second]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read(directory.join("linked")).unwrap())
}

/// What is not taken has a line that says where it is.
#[test]
fn what_is_refused_is_named() {
    let cases = [
        ("UNKNOWN_HELPER", ": no helper is named `bpf_probe_read_kernel`"),
        ("UNDEFINED_DATA", "of xdp is to `elsewhere`: nothing defines it"),
        ("UNKNOWN_SECTION", "of xdp is to `set_apart`: its section is neither code, nor maps, nor global data"),
        ("ADDRESS_IN_DATA", "of .data is to `pointed`: data cannot hold addresses"),
        ("UNKNOWN_KIND", "map `bloom`: no map here is of kind 30"),
        ("UNKNOWN_FIELD", "map `odd.colour`: is not known here"),
        ("CONTRADICTION", "map `odd.key_size`: contradicts another field"),
        ("NO_KIND", "map `odd`: has no type"),
        ("NO_NUMBER", "map `odd.max_entries`: is no pointer to an array of as many elements as a number says"),
        ("NO_STRUCT", "map `odd`: has no type in .BTF"),
        ("NESTED_TWICE", "map `odd`: has maps of maps"),
        ("VALUES_OF_HASH", "map `odd`: its values are neither maps nor programs"),
        ("WRONG_ELEMENT", "relocation at byte 0x20 of .maps is to `number`: the map has no elements of that kind"),
        ("ELEMENT_BEYOND", "relocation at byte 0x28 of .maps: is at no element of a map"),
        ("SHORT_LEGACY", "map `legacy`: its definition has less than 20 bytes"),
        ("ADDRESS_IN_LEGACY", "relocation at byte 0x18 of maps is to `legacy`: data cannot hold addresses"),
        ("PART_OF_A_HEADER", "of xdp, of type `ethhdr`: there is no kernel to adapt to"),
        ("LAYOUT_OF_THE_KERNEL", "of xdp, of type `task_struct`: there is no kernel to adapt to"),
    ];
    for clang in clangs("what_is_refused_is_named") {
        for (define, expected) in cases {
            let bytes = compile("refused", Options { defines: &[define], ..usual(clang) });
            let error = Object::read(&bytes).map(|object| object.maps).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{clang} {define}: {error}");
        }
    }
}
