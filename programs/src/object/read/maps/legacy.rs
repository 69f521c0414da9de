//! Maps that a struct of numbers defines (`struct bpf_map_def`), as before BTF: libbpf's and the kernel's samples' form, and aya's.

use super::Definition;
use crate::maps::{MapKind, MapSpec};
use crate::object::ObjectError;
use crate::object::btf::word;
use crate::object::error::Result;

/// Bytes of type, key size, value size, most entries and flags; what follows differs between libraries.
const LEN_MIN: usize = 20;
/// Where, in the samples' form, the index of the map is that tells what a map of maps has.
const INNER: usize = 5;

/// The maps of a section.
pub(super) fn read(definitions: &[Definition<'_>]) -> Result<Vec<MapSpec>> {
    let specs = definitions.iter().map(spec).collect::<Result<Vec<_>>>()?;
    let mut with_inner = specs.clone();
    for (definition, spec) in definitions.iter().zip(&mut with_inner) {
        if matches!(spec.kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps) {
            spec.inner = Some(Box::new(inner(definition, &specs)?));
        }
    }
    Ok(with_inner)
}

fn spec(definition: &Definition<'_>) -> Result<MapSpec> {
    let error = |problem| ObjectError::map(definition.name, problem);
    if definition.bytes.len() < LEN_MIN {
        return Err(error("its definition has less than 20 bytes"));
    }
    let field = |index| word(definition.bytes, index).unwrap_or_default();
    let kind = MapKind::by_number(field(0));
    Ok(MapSpec {
        name: definition.name.into(),
        kind: kind.ok_or_else(|| ObjectError::MapKind { name: definition.name.into(), kind: field(0) })?,
        key_len: field(1),
        value_len: field(2),
        entries_max: field(3),
        flags: field(4),
        inner: None,
        initial: Vec::new(),
        named: Vec::new(),
    })
}

/// What a map of maps has: the map of that index in the section.
fn inner(definition: &Definition<'_>, specs: &[MapSpec]) -> Result<MapSpec> {
    let error = |problem| ObjectError::map(definition.name, problem);
    let index = word(definition.bytes, INNER).ok_or_else(|| error("does not say what maps it has"))?;
    let spec = specs.get(index as usize).ok_or_else(|| error("has maps like one that is not there"))?;
    if matches!(spec.kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps) {
        return Err(error("has maps of maps"));
    }
    Ok(spec.clone())
}
