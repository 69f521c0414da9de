//! Symbols, addresses and definitions of maps, where compilers differ or lie.

use nearside_programs::isa::{Instruction, Slot, WideSource, decode};
use nearside_programs::{MapKind, MapSpec, Object};
use object::{SectionKind, SymbolKind};

use crate::foreign::{Defined, EXIT, Foreign, LDDW, R_BPF_64_64, ZERO};

fn names(object: &Object) -> Vec<&str> {
    object.functions.iter().map(|function| function.name.as_str()).collect()
}

/// Files that were linked into one have static functions of the same name: all of them are there, and what is global keeps its
/// name.
#[test]
fn static_functions_are_told_apart() {
    let read = |symbols: &[(&str, bool)]| {
        let mut foreign = Foreign::new(&vec![EXIT; symbols.len()]);
        let section = foreign.text;
        for (index, (name, is_local)) in symbols.iter().enumerate() {
            let value = index as u64 * 8;
            foreign.symbol(Defined { section, name, kind: SymbolKind::Text, is_local: *is_local, value, size: 8 });
        }
        foreign.read()
    };
    let object = read(&[("f", true), ("f", true), ("f", false), ("g", true), ("g", true), ("g.1", true)]).unwrap();
    assert_eq!(names(&object), ["f.1", "f.2", "f", "g", "g.2", "g.1"]);
    assert_eq!(Object::read(&object.write()).unwrap(), object);
    let long = "n".repeat(254);
    assert_eq!(read(&[(&long, true), (&long, true)]).unwrap_err(), format!("function `{long}`: is there twice"));
}

/// An `lddw` at slot 1 that holds `addend`, and a relocation of it to a symbol `value` bytes into the section.
fn load(name: &str, kind: SectionKind, [value, addend]: [i64; 2]) -> Result<Object, String> {
    let low = Slot { imm: addend as i32, ..LDDW };
    let mut foreign = Foreign::new(&[EXIT, low, Slot { imm: (addend >> 32) as i32, ..ZERO }, EXIT]);
    let section = if name == ".text" { foreign.text } else { foreign.section(name, kind, &definition(MapKind::Hash)) };
    let symbol = Defined { section, name: "s", kind: SymbolKind::Label, is_local: false, value: value as u64, size: 0 };
    let symbol = foreign.symbol(symbol);
    if name == "maps" {
        foreign.symbol(Defined { section, name: "flows", kind: SymbolKind::Data, is_local: false, value: 0, size: 20 });
    }
    foreign.relocation(8, symbol, R_BPF_64_64);
    foreign.read()
}

/// A definition from before BTF.
fn definition(kind: MapKind) -> Vec<u8> {
    [kind.number(), 4, 8, 16, 1].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The symbol's place and what the instruction holds are added, in 64 bits, and must be somewhere in the section.
#[test]
fn addresses_are_in_their_section() {
    let check = |section, kind, place, expected: Result<(WideSource, u64), &str>| {
        let loaded = load(section, kind, place).map(|object| match decode(&object.code, 1).unwrap() {
            Instruction::LoadImm64 { source, value, .. } => (source, value),
            other => panic!("{other:?}"),
        });
        let expected = expected.map_err(|problem| format!("relocation at byte 0x8 of .text is to `s`: {problem}"));
        assert_eq!(loaded, expected, "{section} {place:?}");
    };
    let data = |place, expected| check(".data", SectionKind::Data, place, expected);
    data([0, 0], Ok((WideSource::MapValueByIndex, 0)));
    data([12, 4], Ok((WideSource::MapValueByIndex, 16 << 32)));
    data([12, -4], Ok((WideSource::MapValueByIndex, 8 << 32)));
    data([0, 20], Ok((WideSource::MapValueByIndex, 20 << 32))); // the end, as loops have it
    data([0, 21], Err("it is outside of its section"));
    data([4, -5], Err("it is outside of its section"));
    data([4, 1 << 32], Err("it is outside of its section"));
    let maps = |place, expected| check("maps", SectionKind::Data, place, expected);
    maps([0, 0], Ok((WideSource::MapByIndex, 0)));
    maps([4, 0], Err("no map begins there"));
    maps([20, 0], Err("no map begins there"));
    let code = |place, expected| check(".text", SectionKind::Text, place, expected);
    code([0, 0], Ok((WideSource::Code, 0xffff_fffe)));
    code([0, 24], Ok((WideSource::Code, 1)));
    code([24, -8], Ok((WideSource::Code, 0)));
    code([24, 8], Err("no instruction is there"));
    code([4, 0], Err("no instruction is there"));
    let nothing = "its section is neither code, nor maps, nor global data";
    check("apart", SectionKind::Data, [0, 0], Err(nothing));
    check("license", SectionKind::Data, [0, 0], Err(nothing));
}

/// Reads the symbols `name`, begin and length of a section of maps with these bytes.
fn maps(bytes: &[u8], symbols: &[(&str, u64, u64)]) -> Result<Vec<MapSpec>, String> {
    let mut foreign = Foreign::new(&[EXIT]);
    let section = foreign.section("maps", SectionKind::Data, bytes);
    for (name, value, size) in symbols.iter().copied() {
        foreign.symbol(Defined { section, name, kind: SymbolKind::Data, is_local: false, value, size });
    }
    foreign.read().map(|object| object.maps)
}

/// Definitions are where their symbols say, of any length from 20 bytes on, such as aya's 28.
#[test]
fn legacy_definitions_have_any_length() {
    let aya = [definition(MapKind::LruHash), [7_u32, 1].map(u32::to_le_bytes).concat()].concat();
    let both = [aya, definition(MapKind::Array)].concat();
    let read = maps(&both, &[("b", 28, 20), ("a", 0, 28)]).unwrap();
    let kinds: Vec<_> =
        read.iter().map(|map| (map.name.as_str(), map.kind, map.key_len, map.value_len, map.entries_max)).collect();
    assert_eq!(kinds, [("a", MapKind::LruHash, 4, 8, 16), ("b", MapKind::Array, 4, 8, 16)]);

    let refused = |symbols, expected| assert_eq!(maps(&both, symbols).unwrap_err(), expected);
    refused(&[("a", 0, 28), ("b", 20, 28)], "map `b`: overlaps another map's definition");
    refused(&[("a", 0, 20), ("a", 28, 20)], "map `a`: is there twice");
    refused(&[("a", 28, 21)], "map `a`: has no definition in its section");
    refused(&[("a", 0, 0)], "map `a`: has no definition in its section");
    refused(&[("a", u64::MAX, 20)], "map `a`: has no definition in its section");
    refused(&[("a", 8, 20)], "map `a`: no map here is of kind 8");
    refused(&[(".data", 0, 28)], "map `.data`: has no name, or that of a section of global data");
    let many: Vec<_> = (0..65).map(|index| format!("m{index}")).collect();
    let symbols: Vec<_> = many.iter().enumerate().map(|(index, name)| (name.as_str(), 20 * index as u64, 20)).collect();
    assert_eq!(maps(&definition(MapKind::Array).repeat(65), &symbols).unwrap_err(), "object has 65 maps; the limit is 64");
}

/// Zeros cost the file nothing, so their count has a limit of its own.
#[test]
fn global_data_is_bounded() {
    let read = |sections: u32, zeros: u64| {
        let mut foreign = Foreign::new(&[EXIT]);
        for index in 0..sections {
            let name = format!(".bss.{index}").into_bytes();
            let section = foreign.elf.add_section(Vec::new(), name, SectionKind::UninitializedData);
            foreign.elf.append_section_bss(section, zeros, 8);
        }
        foreign.read().map(|object| object.maps.len())
    };
    assert_eq!(read(2, 1 << 30), Ok(2));
    assert_eq!(
        read(1, (1 << 30) + 1),
        Err("object has 1073741825 bytes of global data in a section; the limit is 1073741824".into())
    );
    assert_eq!(read(65, 8), Err("object has 65 maps; the limit is 64".into()));
    assert_eq!(read(1, 0), Ok(0));
}

/// Declared maps come first, global data follows; code refers to the same maps as before.
#[test]
fn maps_are_written_in_order() {
    let code = |first, second| vec![Slot { src: 5, imm: first, ..LDDW }, ZERO, Slot { src: 6, imm: second, ..LDDW }, ZERO, EXIT];
    let data = MapSpec::global_data(".data", 8, vec![1; 8]);
    let declared = MapSpec { name: "a".into(), initial: Vec::new(), ..data.clone() };
    let object = |code, maps| Object { code, functions: Vec::new(), maps, manifest: None, license: String::new() };
    let written = object(code(1, 0), vec![data.clone(), declared.clone()]).write();
    assert_eq!(Object::read(&written).unwrap(), object(code(0, 1), vec![declared, data]));
}
