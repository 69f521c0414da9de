//! The programs of `c/`: what is in their maps before the first packet, and what is to be compared after the last one.

use serde_json::{Value, json};

/// A program and its surroundings.
pub(crate) struct Case {
    /// File of `c/`, without its ending.
    pub(crate) source: &'static str,
    /// The function that packets go to.
    pub(crate) program: &'static str,
    pub(crate) setup: Value,
    /// Maps that hold something in the end.
    pub(crate) compared: &'static [&'static str],
}

/// Of the same name as its file.
fn case(source: &'static str, setup: Value, compared: &'static [&'static str]) -> Case {
    Case { source, program: source, setup, compared }
}

pub(crate) fn parse() -> Case {
    let routes = json!([
        {"key": "10000000c0a80000", "value": "02000000"},
        {"key": "18000000c0a80100", "value": "03000000"},
        {"key": "20000000c0a80201", "value": "01000000"}
    ]);
    let flows = json!([{"key": "0a0000010a0000020050005006000000", "value": "01000000000000000200000000000000"}]);
    let setup = json!({"routes": routes, "flows": flows, "by_action": [{"key": "02000000", "value": "6400000000000000"}]});
    case("parse", setup, &["by_protocol", "by_action", "flows", "sources", "recent", "results", "routes"])
}

pub(crate) fn room() -> Case {
    case("room", json!({}), &["moves", "packets"])
}

pub(crate) fn checksum() -> Case {
    let translations = json!([{"key": "c0a80001", "value": "0a010203"}, {"key": "c0a80201", "value": "ffffffff"}]);
    case("checksum", json!({"translations": translations}), &["sums"])
}

pub(crate) fn tails() -> Case {
    case("tails", json!({}), &["calls"])
}

pub(crate) fn loops() -> Case {
    case("loops", json!({}), &[".bss", ".data"])
}

pub(crate) fn ring() -> Case {
    Case { program: "records", ..case("ring", json!({}), &["results", "packets"]) }
}

pub(crate) fn nested() -> Case {
    let interface = "01000000";
    let setup = json!({
        "colours": [{"key": "02000000", "value": "blue"}],
        "hashed": [{"key": "03000000", "value": "red"}, {"key": "00000000", "value": "blue"}],
        "ports": [{"key": "01000000", "value": interface}],
        "numbered": [{"key": "02000000", "value": interface}]
    });
    case("nested", setup, &["red", "blue"])
}

/// Not for the kernel's loader, which does not link code across sections.
pub(crate) fn sections() -> Case {
    case("sections", json!({}), &["totals"])
}

/// Not for the kernel, whose sockets are real ones.
pub(crate) fn kinds() -> Case {
    let targets = json!([{"key": "01000000", "value": "40000000"}, {"key": "03000000", "value": "02000000"}]);
    case("kinds", json!({"cpus": targets, "sockets": targets}), &["talkers", "lengths", "results"])
}
