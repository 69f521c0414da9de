//! What code refers to by a number that linking decides: where reading resolves relocations, and where writing makes them.

use crate::isa::Slot;

/// `call` (RFC 9669 §4.3.1).
pub(super) const CALL: u8 = 0x85;
/// `lddw` (RFC 9669 §5.4).
pub(super) const LDDW: u8 = 0x18;

/// `src` of a call of a subprogram.
pub(super) const CALL_LOCAL: u8 = 1;
/// `src` of an `lddw` of an instruction's address.
pub(super) const CODE: u8 = 4;
/// `src` of an `lddw` of a map by index.
pub(super) const MAP: u8 = 5;
/// `src` of an `lddw` of an offset into the value of a map by index.
pub(super) const MAP_VALUE: u8 = 6;

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// Calls a subprogram: slots from the next instruction.
    Call(i32),
    /// Takes the address of an instruction: slots from the slot behind its own first.
    Code(i32),
    /// Takes a map.
    Map(u32),
    /// Takes an address in the value of a map.
    MapValue {
        /// The map.
        map: u32,
        /// Bytes into the value.
        offset: u32,
    },
}

/// Every reference of the code of one section, with its slot. Code that is no instruction has none.
pub(super) fn references(code: &[Slot]) -> impl Iterator<Item = (usize, Reference)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        while let Some(slot) = code.get(next) {
            let index = next;
            next += if slot.opcode == LDDW { 2 } else { 1 };
            if let Some(reference) = reference(*slot, code.get(index + 1)) {
                return Some((index, reference));
            }
        }
        None
    })
}

/// The slot that a call or the address of an instruction leads to.
pub(super) fn target(slot: u32, offset: i32) -> i64 {
    i64::from(slot) + 1 + i64::from(offset)
}

fn reference(slot: Slot, next: Option<&Slot>) -> Option<Reference> {
    if slot.opcode == CALL && slot.src == CALL_LOCAL {
        return Some(Reference::Call(slot.imm));
    }
    let high = next.filter(|_| slot.opcode == LDDW)?.imm;
    match slot.src {
        CODE if high == 0 => Some(Reference::Code(slot.imm)),
        MAP if high == 0 => Some(Reference::Map(slot.imm as u32)),
        MAP_VALUE => Some(Reference::MapValue { map: slot.imm as u32, offset: high as u32 }),
        _ => None,
    }
}
