//! Bytes of strangers: whatever they are, the answer is an object or an error, never a panic, and never without bound.

#[path = "clang/mod.rs"]
mod clang;
#[path = "samples/linked.rs"]
mod linked;
mod samples;

use std::sync::OnceLock;

use linked::linked;
use nearside_programs::abi::columnar::VERSION;
use nearside_programs::object::MANIFEST_LEN_MAX;
use nearside_programs::{Manifest, Object};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use samples::{aggregate, object, projection};

/// Always the same cases: a failure replays by itself.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(64), failure_persistence: None, ..ProptestConfig::default() }
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    /// Numbers of ELF headers that wrap, overlap or point far away.
    Word(prop::sample::Index, u64),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    let word = prop_oneof![Just(u64::MAX), Just(1 << 63), Just(0), 0..4096_u64, any::<u64>()];
    let text = prop::sample::select(vec!["-1", "4294967295", "1e9", "null", "[[[", "\"\"", "99999999999999999999999", "{}", ","]);
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (index(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (index(), word).prop_map(|(at, word)| Change::Word(at, word)),
        (index(), 1..40_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        (index(), text).prop_map(|(at, text)| Change::Insert(at, text.into())),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Change::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
        Change::Word(at, word) => {
            let start = at.index(bytes.len()) & !7;
            bytes[start..].iter_mut().zip(word.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        Change::Remove(at, len) => {
            let start = at.index(bytes.len());
            bytes.drain(start..bytes.len().min(start + len));
        }
        Change::Insert(at, text) => {
            let start = at.index(bytes.len());
            bytes.splice(start..start, text.iter().copied());
        }
    }
}

/// Uses whatever was read in every way there is.
fn exercise(bytes: &[u8]) {
    let Ok(object) = Object::read(bytes) else { return };
    let written = object.write();
    assert_eq!(Object::read(&written).unwrap(), object);
    assert_eq!(Object::read(&written).unwrap().digest(), object.digest());
    assert!(object.disassemble().with_comments().to_string().lines().count() >= object.code.len() / 2);
    if let Some(manifest) = &object.manifest {
        _ = manifest.check(&object);
    }
}

/// Every source with types, and without: less of it is debug information, so more changes hit what is read.
fn of_clang() -> &'static [Vec<u8>] {
    static OBJECTS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let Some(clang) = clang::clangs("spoiled_objects_of_clang_are_answered").first() else { return Vec::new() };
        let sources = ["globals", "maps", "maps_legacy", "subprograms", "relocatable"];
        let options = [clang::usual(clang), clang::Options { optimisation: "-O0", types: false, ..clang::usual(clang) }];
        sources.iter().flat_map(|source| options.map(|options| clang::compile(source, options))).collect()
    })
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn spoiled_objects_are_answered(changes in prop::collection::vec(change(), 0..6), projects in any::<bool>()) {
        let manifest = if projects { projection() } else { aggregate() };
        let mut bytes = Object { manifest: Some(manifest), license: "GPL".into(), ..object() }.write();
        for change in &changes {
            apply(&mut bytes, change);
        }
        exercise(&bytes);
    }

    /// Sections, maps, global data, types and relocations, as we write them.
    #[test]
    fn spoiled_links_are_answered(changes in prop::collection::vec(change(), 0..6)) {
        let mut bytes = linked().write();
        for change in &changes {
            apply(&mut bytes, change);
        }
        exercise(&bytes);
    }

    /// The same, as clang writes them.
    #[test]
    fn spoiled_objects_of_clang_are_answered(which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 0..6)) {
        let objects = of_clang();
        if !objects.is_empty() {
            let mut bytes = which.get(objects).clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            exercise(&bytes);
        }
    }

    #[test]
    fn spoiled_manifests_are_answered(changes in prop::collection::vec(change(), 0..4), projects in any::<bool>()) {
        let mut json = if projects { projection() } else { aggregate() }.to_json();
        for change in &changes {
            apply(&mut json, change);
        }
        if let Ok(manifest) = Manifest::from_json(&json) {
            _ = manifest.check(&object());
            prop_assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
        }
    }

    #[test]
    fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..512), with_header in any::<bool>()) {
        if with_header {
            let header = &object().write()[..64];
            bytes.splice(0..0, header.iter().copied());
        }
        exercise(&bytes);
        _ = Manifest::from_json(&bytes);
    }
}

/// Deep nesting ends in an error, not at the end of the stack: in a known field, and in one that is skipped.
#[test]
fn nesting_is_bounded() {
    for (field, problem) in [("columns", "invalid type: sequence, expected a string"), ("unknown", "missing field `columns`")] {
        let depth = MANIFEST_LEN_MAX / 4;
        let json =
            format!(r#"{{"target":"columnar","abi_version":{VERSION},"{field}":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let error = Manifest::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// A long name is refused where it is first met, so that reading takes time linear in the object.
#[test]
fn names_are_bounded() {
    let mut elf = object::write::Object::new(object::BinaryFormat::Elf, object::Architecture::Bpf, object::Endianness::Little);
    let name = vec![b'n'; 256];
    let section = elf.add_section(Vec::new(), name, object::SectionKind::Data);
    elf.set_section_data(section, vec![0; 8], 1);
    let error = Object::read(&elf.write().unwrap()).unwrap_err().to_string();
    assert_eq!(error, format!("section `{}`: name is no text of at most 255 bytes", "n".repeat(32)));
}
