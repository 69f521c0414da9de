//! The identity of a program, by which devices cache compiled code.

use sha2::{Digest, Sha256};

use super::Object;
use crate::isa::Slot;
use crate::manifest::{Manifest, Output};

impl Object {
    /// SHA-256 over code, functions, target, ABI version and manifest, without the names of columns and outputs and without notes:
    /// one program serves every table it fits.
    ///
    /// Relocations are resolved by [`Object::read`], so they are part of the code. Names travel with each execution.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"nearside program 1\0");
        hash.update((self.code.len() as u64).to_le_bytes());
        for slot in &self.code {
            hash.update(Slot::to_bytes(*slot));
        }
        hash.update((self.functions.len() as u64).to_le_bytes());
        for function in &self.functions {
            hash.update(function.start.to_le_bytes());
            hash.update(function.len.to_le_bytes());
            hash.update((function.name.len() as u64).to_le_bytes());
            hash.update(&function.name);
        }
        hash.update(self.manifest.as_ref().map(|manifest| without_names(manifest).to_json()).unwrap_or_default());
        hash.finalize().into()
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
