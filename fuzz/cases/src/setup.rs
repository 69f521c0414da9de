//! What people write for `nearside-run`: hex bytes, and contents of maps as JSON. What is understood comes back the same.

use nearside_engine::{MapLimits, MapSetup, Maps};
use nearside_programs::isa::Slot;
use nearside_programs::{Function, Object};
use nearside_run::hex;
use nearside_run::xdp::Contents;

use crate::Target;
use crate::generate::{CPUS, MAPS, PROGRAMS};

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 16 << 10;
/// Most memory that maps may take: inner maps that a file names are many.
const LIMITS: MapLimits = MapLimits { map_len_max: 1 << 20, total_len_max: 4 << 20 };

pub(crate) const TARGET: Target = Target { name: "setup", memory: (16 << 20, 0), prepare: || (), check, seeds };

/// The first byte says what the rest is: hex, or JSON.
fn check(input: &[u8]) -> bool {
    let Some((&kind, rest)) = input.split_first() else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    match kind {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else { return false };
            if let Ok(bytes) = hex::parse(text) {
                assert_eq!(hex::parse(&hex::print(&bytes)), Ok(bytes));
            }
        }
        _ => {
            let Ok(contents) = Contents::parse(rest) else { return true };
            let Some(taken) = through_maps(&contents) else { return true };
            let written = taken.to_json().expect("names and hex digits");
            let again = Contents::parse(&written).expect("what was written is understood");
            assert_eq!(through_maps(&again).as_ref(), Some(&taken));
        }
    }
    true
}

/// What is in maps that were filled with this.
fn through_maps(contents: &Contents) -> Option<Contents> {
    let mut object = object();
    contents.declare(&mut object).ok()?;
    let tails = contents.programs(&object).ok()?;
    assert!(tails.iter().all(|slot| object.functions.iter().any(|function| function.start == *slot)));
    let entries: Vec<(&str, u32)> = object.functions.iter().map(|function| (function.name.as_str(), function.start)).collect();
    let maps = Maps::new(&object.maps, &MapSetup { cpus: CPUS, limits: LIMITS, entries: &entries }).ok()?;
    contents.fill(&object, &maps).ok()?;
    Some(Contents::take(&object, &maps).expect("they are the object's"))
}

/// Maps of every kind, and programs that do nothing.
fn object() -> Object {
    let exit = Slot { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 };
    let functions = (0..).zip(PROGRAMS).map(|(start, name)| Function { section: "xdp".into(), ..Function::new(name, start, 1) });
    Object {
        code: vec![exit; PROGRAMS.len()],
        functions: functions.collect(),
        maps: MAPS.clone(),
        manifest: None,
        license: String::new(),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let hex = ["", "00 fF\n12", "123", "0x1", "ä"].map(|text| [&[0], text.as_bytes()].concat());
    let json = [
        r#"{}"#,
        r#"{"hash": [{"key": "01000000", "value": "000102030405060708090a0b0c0d0e0f"}], "array": []}"#,
        r#"{"percpu_hash": [{"key": "0102030405060708", "value": "01020304050607081112131415161718"}], "percpu_array": [{"key": "01 000000", "value": "0102030405060708090a0b0c"}]}"#,
        r#"{"array_of_maps": [{"key": "00000000", "value": "new"}, {"key": "03000000", "value": "inner"}], "new": [{"key": "05000000", "value": "0000000000000001"}]}"#,
        r#"{"programs": [{"key": "04000000", "value": "f3"}], "devmap": [{"key": "00000000", "value": "05000000"}]}"#,
        r#"{"lpm": [{"key": "1000000001020304", "value": "0000000000000001"}], "lru": [{"key": "00000000", "value": "0000000000000001"}]}"#,
        r#"{"ring": [{"value": "00"}], "events": [{"value": "00"}], "missing": []}"#,
    ];
    hex.into_iter().chain(json.map(|text| [&[1], text.as_bytes()].concat())).collect()
}
