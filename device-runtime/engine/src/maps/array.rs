//! Arrays: every element exists, from the start and for good.

use nearside_programs::MapSpec;

use super::{EXISTING_ONLY, LOCK, Map, MapError, NEW_ONLY, Side};
use crate::shared::Shared;

/// The index that a key of 4 bytes is.
pub(super) fn index(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_le_bytes)
}

/// The element a key names.
pub(super) fn slot(spec: &MapSpec, key: &[u8]) -> Option<u32> {
    index(key).filter(|index| *index < spec.entries_max)
}

/// Overwrites an element in place: whoever reads it meanwhile may see some words of either value.
pub(super) fn update(map: &Map, shared: Shared<'_>, side: Side, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
    if flags & !LOCK > EXISTING_ONLY {
        return Err(MapError::Invalid);
    }
    let slot = slot(&map.spec, key).ok_or(MapError::TooBig)?;
    if flags & NEW_ONLY != 0 {
        return Err(MapError::Exists);
    }
    if flags & LOCK != 0 {
        return Err(MapError::Invalid);
    }
    map.values.put(shared, slot, side, value);
    Ok(())
}
