//! The identity of a program, by which devices cache compiled code.

use sha2::{Digest, Sha256};

use super::Object;
use crate::isa::Slot;
use crate::manifest::{Manifest, Output};
use crate::maps::MapSpec;

impl Object {
    /// SHA-256 over code, functions with their sections, maps, target, ABI version and manifest, without the names of columns and
    /// outputs and without notes: one program serves every table it fits.
    ///
    /// Relocations are resolved by [`Object::read`], so they are part of the code. Names travel with each execution.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"nearside program 2\0");
        hash.update((self.code.len() as u64).to_le_bytes());
        for slot in &self.code {
            hash.update(Slot::to_bytes(*slot));
        }
        hash.update((self.functions.len() as u64).to_le_bytes());
        for function in &self.functions {
            hash.update(function.start.to_le_bytes());
            hash.update(function.len.to_le_bytes());
            bytes(&mut hash, function.name.as_bytes());
            bytes(&mut hash, function.section.as_bytes());
        }
        hash.update((self.maps.len() as u64).to_le_bytes());
        self.maps.iter().for_each(|spec| map(&mut hash, spec));
        hash.update(self.manifest.as_ref().map(|manifest| without_names(manifest).to_json()).unwrap_or_default());
        hash.finalize().into()
    }
}

/// Bytes behind their count, so that what follows cannot be mistaken for them.
fn bytes(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn map(hash: &mut Sha256, spec: &MapSpec) {
    let MapSpec { name, kind, key_len, value_len, entries_max, flags, inner, initial, named } = spec;
    bytes(hash, name.as_bytes());
    for number in [kind.number(), *key_len, *value_len, *entries_max, *flags, u32::from(inner.is_some())] {
        hash.update(number.to_le_bytes());
    }
    inner.iter().for_each(|inner| map(hash, inner));
    bytes(hash, initial);
    hash.update((named.len() as u64).to_le_bytes());
    for (index, name) in named {
        hash.update(index.to_le_bytes());
        bytes(hash, name.as_bytes());
    }
}

fn without_names(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.notes.clear();
    manifest.columns.iter_mut().for_each(|column| column.name.clear());
    match &mut manifest.output {
        Output::Project(columns) => columns.iter_mut().for_each(|column| column.name.clear()),
        Output::Aggregate { keys, states, .. } => {
            keys.iter_mut().for_each(|key| key.name.clear());
            states.iter_mut().for_each(|state| state.name.clear());
        }
    }
    manifest
}
