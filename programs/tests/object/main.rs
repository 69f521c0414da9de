//! Objects: what is written is read, by us and by LLVM's tools; what is not an object is refused in one line.

mod foreign;
#[path = "../samples/linked.rs"]
mod linked;
mod linking;

use std::collections::{BTreeMap, BTreeSet};

use foreign::{CALL, EXIT, Foreign, R_BPF_64_32};
use nearside_programs::abi::{columnar, helper};
use nearside_programs::isa::{CallTarget, Instruction, Reg, Slot, decode};
use nearside_programs::manifest::{ColumnSpec, EntryPoint, Output, OutputColumn, OutputSource, Target};
use nearside_programs::{Builder, Function, Manifest, MapKind, MapSpec, Object, ValueType};
use object::SectionKind;

fn manifest() -> Manifest {
    Manifest {
        target: Target::Columnar,
        abi_version: columnar::VERSION,
        columns: vec![ColumnSpec { name: "k".into(), value_type: ValueType::Int64, nullable: true }],
        parameters: vec![ValueType::Int64],
        bounds: Vec::new(),
        selects: vec![EntryPoint {
            general: "select_0".into(),
            narrow: None,
            loads: vec![0],
            handles: Vec::new(),
            scratch_bitmaps: 1,
        }],
        main: None,
        output: Output::Project(vec![OutputColumn {
            name: "k".into(),
            source: OutputSource::Column(0),
            value_type: ValueType::Int64,
            nullable: true,
        }]),
        notes: BTreeMap::new(),
    }
}

fn sample() -> Object {
    let mut b = Builder::new();
    b.function("select_0").note("the whole conjunct").call_helper(helper::GROUP_IDS).call_function("leaf").exit();
    b.function("leaf").constant(Reg::R0, 1 << 40).exit();
    Object::new(b.finish().unwrap(), manifest())
}

/// Everything survives, and equal objects have equal bytes.
#[test]
fn written_objects_are_read_back() {
    let object = Object { license: "GPL".into(), ..sample() };
    let bytes = object.write();
    assert_eq!(Object::read(&bytes).unwrap(), object);
    assert_eq!(bytes, Object::read(&bytes).unwrap().write());

    let foreign = Object { manifest: None, license: String::new(), ..sample() };
    assert_eq!(Object::read(&foreign.write()).unwrap(), foreign);

    let linked = linked::linked();
    let bytes = linked.write();
    assert_eq!(Object::read(&bytes).unwrap(), linked);
    assert_eq!(bytes, Object::read(&bytes).unwrap().write());

    // A projection of plain columns has no code at all.
    let empty = Object { code: Vec::new(), functions: Vec::new(), ..sample() };
    assert_eq!(Object::read(&empty.write()).unwrap(), empty);
}

/// An object may begin at any address: network buffers do.
#[test]
fn alignment_does_not_matter() {
    let bytes = sample().write();
    for shift in 0..8 {
        let shifted = [&vec![0; shift], bytes.as_slice()].concat();
        assert_eq!(Object::read(&shifted[shift..]).unwrap(), sample());
    }
}

/// The digest leaves out what differs between tables that one program serves, and nothing else.
#[test]
fn digest_is_of_what_runs() {
    let same = |change: fn(&mut Object)| {
        let mut other = sample();
        change(&mut other);
        other.digest() == sample().digest()
    };
    fn manifest(object: &mut Object) -> &mut Manifest {
        object.manifest.as_mut().unwrap()
    }
    fn output(object: &mut Object) -> &mut OutputColumn {
        match &mut manifest(object).output {
            Output::Project(columns) => &mut columns[0],
            Output::Aggregate { .. } => unreachable!("the sample projects"),
        }
    }
    assert!(same(|object| manifest(object).columns[0].name = "other".into()));
    assert!(same(|object| output(object).name = "other".into()));
    assert!(same(|object| manifest(object).notes.clear()));
    assert!(!same(|object| object.code[0].imm += 1));
    assert!(!same(|object| object.functions[0].name = "other".into()));
    assert!(!same(|object| object.functions[0].section = "xdp".into()));
    assert!(!same(|object| manifest(object).columns[0].nullable = false));
    assert!(!same(|object| manifest(object).parameters[0] = ValueType::Int32));
    assert!(!same(|object| output(object).source = OutputSource::Computed(0)));
    assert!(!same(|object| manifest(object).abi_version += 1));
}

/// Every part of every map is in the digest.
#[test]
fn digest_is_of_maps() {
    let digest = |change: fn(&mut Vec<MapSpec>)| {
        let mut object = linked::linked();
        change(&mut object.maps);
        object.digest()
    };
    let changes: [fn(&mut Vec<MapSpec>); 12] = [
        |_| {},
        |maps| maps.clear(),
        |maps| maps[0].name = "other".into(),
        |maps| maps[0].kind = MapKind::LruHash,
        |maps| maps[0].key_len += 1,
        |maps| maps[0].value_len += 1,
        |maps| maps[0].entries_max += 1,
        |maps| maps[0].flags ^= 2,
        |maps| maps[1].named[0].0 -= 1,
        |maps| maps[1].named[0].1 = "leaf".into(),
        |maps| maps[2].inner.as_mut().unwrap().value_len += 1,
        |maps| maps[3].initial[0] += 1,
    ];
    let digests: BTreeSet<_> = changes.into_iter().map(digest).collect();
    assert_eq!(digests.len(), changes.len());
}

/// A call by symbol is bound to the helper of that name, or to the function or section of `.text`.
#[test]
fn calls_by_symbol_are_resolved() {
    let mut foreign = Foreign::new(&[CALL, CALL, Slot { imm: 2, ..CALL }, EXIT, EXIT]);
    let helper = foreign.undefined("i128_add");
    let leaf = foreign.function("leaf", 32, 8);
    let text = foreign.elf.section_symbol(foreign.text);
    foreign.relocation(0, helper, R_BPF_64_32);
    foreign.relocation(8, leaf, R_BPF_64_32);
    foreign.relocation(16, text, R_BPF_64_32);
    let object = foreign.read().unwrap();
    let call = |index| match decode(&object.code, index).unwrap() {
        Instruction::Call(target) => target,
        other => panic!("{other:?}"),
    };
    assert_eq!(call(0), CallTarget::Helper(helper::I128_ADD));
    assert_eq!(call(1), CallTarget::Local(2)); // slot 4
    assert_eq!(call(2), CallTarget::Local(0)); // slot 2 + 1 of the section
    assert_eq!(object.functions, [Function::new("leaf", 4, 1)]);
}

/// Each wrong object has its own line.
#[test]
fn wrong_objects_are_refused() {
    let check = |change: &dyn Fn(&mut Foreign), message: &str| {
        let mut foreign = Foreign::new(&[CALL, EXIT]);
        change(&mut foreign);
        assert_eq!(foreign.read().unwrap_err(), message);
    };
    let relocate = |name: &'static str, offset, r_type| {
        move |foreign: &mut Foreign| {
            let symbol = foreign.undefined(name);
            foreign.relocation(offset, symbol, r_type);
        }
    };
    check(&relocate("nope", 0, R_BPF_64_32), "instruction 0: no helper is named `nope`");
    check(&relocate("map", 0, 1), "relocation at byte 0x0 of .text: is not at a load of 64 bits");
    check(&relocate("i128_add", 0, 3), "relocation at byte 0x0 of .text: is neither R_BPF_64_64 nor R_BPF_64_32");
    check(&relocate("i128_add", 8, R_BPF_64_32), "relocation at byte 0x8 of .text: is not at a call");
    check(&relocate("i128_add", 4, R_BPF_64_32), "relocation at byte 0x4 of .text: is at no instruction");
    check(&relocate("i128_add", 16, R_BPF_64_32), "relocation at byte 0x10 of .text: is at no instruction");
    check(
        &|foreign| {
            relocate("i128_add", 0, R_BPF_64_32)(foreign);
            relocate("i128_sub", 0, R_BPF_64_32)(foreign);
        },
        "relocation at byte 0x0 of .text: is the second at this instruction",
    );
    check(&|foreign| (0..3).for_each(|_| relocate("i128_add", 0, 0)(foreign)), "object has 3 relocations; the limit is 2");
    let function = |name: &'static str, value, size| {
        move |foreign: &mut Foreign| {
            foreign.function(name, value, size);
        }
    };
    check(&function("f", 4, 8), "function `f`: does not start at an instruction");
    check(&function("f", 0, 0), "function `f`: has no whole instructions");
    check(&function("f", 8, 16), "function `f`: ends beyond its section");
    check(&function("f", u64::MAX - 7, 16), "function `f`: does not start at an instruction");
    check(
        &|foreign| {
            function("f", 0, 16)(foreign);
            function("g", 8, 8)(foreign);
        },
        "function `g`: overlaps another function",
    );
    check(
        &|foreign| {
            function("f", 0, 8)(foreign);
            function("f", 8, 8)(foreign);
        },
        "function `f`: is there twice",
    );
    let section = |name: &'static str, kind, data: &'static [u8]| {
        move |foreign: &mut Foreign| {
            foreign.section(name, kind, data);
        }
    };
    check(&section("xdp", SectionKind::Text, &[0; 7]), "section `xdp`: length is not a multiple of 8 bytes");
    check(&section("license", SectionKind::Text, &[0; 8]), "section `license`: must not hold code");
    check(&section("", SectionKind::Text, &[0; 8]), "section ``: has code and no name");
    check(
        &|foreign| {
            let away = Slot { imm: 1, ..CALL };
            foreign.section("xdp", SectionKind::Text, &[EXIT.to_bytes(), away.to_bytes()].concat());
            foreign.section("other", SectionKind::Text, &[EXIT.to_bytes(), EXIT.to_bytes()].concat());
        },
        "relocation at byte 0x8 of xdp: is missing: the code leads to another section",
    );
    check(&section("license", SectionKind::Data, b"GPL"), "section `license`: is not one zero-terminated text");
    check(
        &|foreign| {
            foreign.section(".nearside", SectionKind::Metadata, b"{}");
            foreign.section(".nearside", SectionKind::Metadata, b"{}");
        },
        "section `.nearside`: is there twice",
    );
    check(&section(".nearside", SectionKind::Metadata, b"{}"), "manifest: missing field `target` at line 1 column 2");
    check(
        &section(".nearside", SectionKind::Metadata, br#"{"target":"columnar","abi_version":7,"new":1}"#),
        "object is for columnar ABI 7, this build runs 3",
    );
    check(
        &section(".nearside", SectionKind::Metadata, br#"{"target":"block","abi_version":1}"#),
        "object is for target block, which does not run here",
    );
}

/// What is no eBPF object at all says so.
#[test]
fn other_files_are_refused() {
    let check = |bytes: &[u8], message: &str| {
        let error = Object::read(bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    };
    let mut bytes = sample().write();
    check(b"", "not a well-formed little-endian ELF64 object");
    check(b"PAR1 and much more of it, up to sixty-four bytes and a few beyond that", "not a well-formed");
    check(&bytes[..bytes.len() - 1], "not a well-formed");
    bytes[18] = 62;
    check(&bytes, "ELF machine is 62; eBPF is 247");
    bytes[18] = 247;
    bytes[16] = 2;
    check(&bytes, "ELF type is 2; a relocatable object is 1");
    bytes[5] = 2;
    check(&bytes, "not a well-formed");
    check(&vec![0; (32 << 20) + 1], "object has 33554433 bytes; the limit is 33554432");
}
