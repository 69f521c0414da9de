//! Why bytes are no object.

use crate::manifest::ReadError;

/// The bytes are no object this build takes. Whoever made the object must change it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Larger than a named limit.
    #[error("object has {given} {what}; the limit is {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        given: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Not an ELF file, or truncated, or its headers contradict each other.
    #[error("not a well-formed little-endian ELF64 object: {0}")]
    Malformed(#[from] object::read::Error),
    /// For another machine.
    #[error("ELF machine is {given}; eBPF is 247")]
    Machine {
        /// `e_machine`.
        given: u16,
    },
    /// An executable or library.
    #[error("ELF type is {given}; a relocatable object is 1")]
    NotRelocatable {
        /// `e_type`.
        given: u16,
    },
    /// A section is missing, doubled, or holds what it must not.
    #[error("section `{name}`: {problem}")]
    Section {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A function symbol that describes no function.
    #[error("function `{name}`: {problem}")]
    Function {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A map's definition that describes no map.
    #[error("map `{name}`: {problem}")]
    Map {
        /// Its name; a field of it after a dot.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A kind of map that this build does not have.
    #[error("map `{name}`: no map here is of kind {kind}")]
    MapKind {
        /// Its name.
        name: String,
        /// The kernel's number of the kind.
        kind: u32,
    },
    /// A relocation that cannot be resolved.
    #[error("relocation at byte {offset:#x} of {section}: {problem}")]
    Relocation {
        /// What it would change.
        section: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// A relocation to something that it cannot be to.
    #[error("relocation at byte {offset:#x} of {section} is to `{symbol}`: {problem}")]
    Symbol {
        /// What it would change.
        section: String,
        /// Where.
        offset: u64,
        /// The symbol, or the section that it is in where it has no name.
        symbol: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A CO-RE relocation: the code depends on how the kernel lays out its types, and there is no kernel here.
    #[error("CO-RE relocation at byte {offset:#x} of {section}, of type `{type_name}`: there is no kernel to adapt to")]
    Core {
        /// The code that it would change.
        section: String,
        /// Where.
        offset: u32,
        /// The type it is about.
        type_name: String,
    },
    /// A call names a helper this build does not have.
    #[error("instruction {slot}: no helper is named `{name}`")]
    UnknownHelper {
        /// The call.
        slot: u32,
        /// The symbol.
        name: String,
    },
    /// The manifest is unreadable or for another ABI.
    #[error(transparent)]
    Manifest(#[from] ReadError),
}

impl ObjectError {
    pub(super) fn section(name: &str, problem: &'static str) -> Self {
        Self::Section { name: name.into(), problem }
    }

    pub(super) fn function(name: &str, problem: &'static str) -> Self {
        Self::Function { name: name.into(), problem }
    }

    pub(super) fn map(name: &str, problem: &'static str) -> Self {
        Self::Map { name: name.into(), problem }
    }
}

pub(super) type Result<T, E = ObjectError> = std::result::Result<T, E>;

/// Refuses more than the limit.
pub(super) fn limit(what: &'static str, given: u64, limit: usize) -> Result<()> {
    let limit = limit as u64;
    if given <= limit { Ok(()) } else { Err(ObjectError::TooLarge { what, given, limit }) }
}
