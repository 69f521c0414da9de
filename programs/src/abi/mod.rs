//! The contract between a program and what runs it, one module a target.

pub mod columnar;
pub mod helper;

use crate::manifest::Target;

/// Version of a target's ABI that this build runs, if it runs that target.
pub fn version(target: Target) -> Option<u32> {
    match target {
        Target::Columnar => Some(columnar::VERSION),
        Target::Block | Target::Packet => None,
    }
}
