//! Inputs that are instructions as they are, slot by slot.

use nearside_programs::isa::Slot;

/// As many whole slots as there are.
pub(crate) fn read(input: &[u8]) -> Vec<Slot> {
    let (slots, _) = input.as_chunks::<{ Slot::LEN }>();
    slots.iter().map(|bytes| Slot::from_bytes(*bytes)).collect()
}

/// The inverse of [`read`].
pub(crate) fn write(slots: &[Slot]) -> impl Iterator<Item = u8> {
    slots.iter().flat_map(|slot| slot.to_bytes())
}
