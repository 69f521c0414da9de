//! The contract between a program and what runs it, one module a target.

/// One field of a context: 4 bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name as in the disassembly.
    pub name: &'static str,
    /// Bytes from r1.
    pub offset: i16,
    /// What it holds.
    pub doc: &'static str,
}

macro_rules! context {
    ($($constant:ident = $offset:literal, $name:literal, $doc:literal;)*) => {
        $(#[doc = concat!("Offset of `", $name, "`: ", $doc)] pub const $constant: i16 = $offset;)*

        /// The context: fields of 4 bytes, by ascending offset. Addresses are cage addresses.
        pub const FIELDS: &[Field] = &[$(Field { name: $name, offset: $offset, doc: $doc },)*];
    };
}

pub mod columnar;
pub mod helper;
mod kernel;
pub mod packet;

use crate::manifest::Target;

/// Version of a target's ABI that this build runs, if it runs that target.
pub fn version(target: Target) -> Option<u32> {
    match target {
        Target::Columnar => Some(columnar::VERSION),
        Target::Packet => Some(packet::VERSION),
        Target::Block => None,
    }
}
