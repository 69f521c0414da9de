//! An object of a stranger: whatever the bytes are, reading them ends in an object or an error, within memory proportional to them. What was
//! read means the same after it was written and read again, disassembles, and has a manifest that is coherent or says what is not.

use nearside_programs::Object;

use crate::{Target, fragments};

#[path = "../../../programs/tests/samples/linked.rs"]
mod linked;
#[path = "../../../programs/tests/samples/mod.rs"]
mod samples;

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 64 << 10;
/// Memory for an input of no bytes.
const MEMORY_BASE: usize = 1 << 20;
/// Memory for each byte of input: its disassembly is the largest part, a line of text and a comment for 8 bytes.
const MEMORY_PER_BYTE: usize = 128;

pub(crate) const TARGET: Target = Target { name: "object", memory: (MEMORY_BASE, MEMORY_PER_BYTE), prepare: || (), check, seeds };

fn check(input: &[u8]) -> bool {
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    let Ok(object) = Object::read(input) else { return true };
    let written = object.write();
    let again = Object::read(&written).expect("what was written is an object");
    assert_eq!(again, object);
    assert_eq!(again.digest(), object.digest());
    assert!(object.disassemble().with_comments().to_string().lines().count() >= object.code.len() / 2);
    if let Some(manifest) = &object.manifest {
        _ = manifest.check(&object);
    }
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let fragments = fragments::programs().into_iter().map(|(_, compiled)| compiled.object);
    let projection = Object { manifest: Some(samples::projection()), license: "GPL".into(), ..samples::object() };
    let foreign = Object { manifest: None, ..samples::object() };
    fragments.chain([samples::object(), projection, foreign, linked::linked()]).map(|object| object.write()).collect()
}
