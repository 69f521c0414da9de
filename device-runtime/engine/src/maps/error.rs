//! Why maps cannot be made, and why an operation on one is refused.

use std::io;

/// Why an instance's maps cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// The object must change.
    #[error("map `{map}`: {reason}")]
    Spec {
        /// Its name.
        map: String,
        /// What is wrong with its declaration.
        reason: SpecError,
    },
    /// More maps than an object may have.
    #[error("{given} maps: at most {limit} are allowed")]
    Count {
        /// Maps declared.
        given: usize,
        /// Most allowed.
        limit: usize,
    },
    /// This map, or all up to this one, would take too much memory when full.
    #[error("map `{map}`: {given} bytes when full, and {limit} are left to it")]
    TooLarge {
        /// The map that does not fit.
        map: String,
        /// Bytes it wants.
        given: u64,
        /// Bytes it could have.
        limit: u64,
    },
    /// The caller asked for no CPUs, or too many.
    #[error("{given} CPUs: 1 to {limit} are allowed")]
    Cpus {
        /// CPUs asked for.
        given: u32,
        /// Most allowed.
        limit: u32,
    },
    /// The system refused memory or address space.
    #[error("cannot get memory: {0}")]
    System(#[from] io::Error),
}

/// What is wrong with a declaration. The kernel refuses the same, except where it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not a key's length for this kind.
    #[error("keys of {len} bytes")]
    KeyLen {
        /// Declared.
        len: u32,
    },
    /// Not a value's length for this kind.
    #[error("values of {len} bytes")]
    ValueLen {
        /// Declared.
        len: u32,
    },
    /// No entries, or for a ring buffer no power of two of whole pages.
    #[error("{entries} entries")]
    Entries {
        /// Declared.
        entries: u32,
    },
    /// Flags this kind does not have, or that this engine does not.
    #[error("flags {flags:#x}")]
    Flags {
        /// Those that are not allowed.
        flags: u32,
    },
    /// A map of maps does not say what its values are, or they are maps of maps.
    #[error("no declaration of its inner maps, or one that a map of maps cannot have")]
    Inner,
    /// Initial contents of a map that is no array, or more than an element takes.
    #[error("{len} bytes of initial contents")]
    Initial {
        /// Bytes.
        len: usize,
    },
    /// Something named that does not exist or does not fit there.
    #[error("element {index} is to be `{name}`, which does not exist or is of another kind")]
    Named {
        /// The element.
        index: u32,
        /// The name of a program or map.
        name: String,
    },
}

/// Why an operation on a map is refused; programs see [`MapError::errno`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MapError {
    /// There is no such entry.
    #[error("no such entry")]
    NotFound,
    /// There is an entry, and the flags ask for a new one.
    #[error("there is an entry already")]
    Exists,
    /// Flags, key or value mean nothing to this map.
    #[error("flags, key or value mean nothing to this map")]
    Invalid,
    /// The map is full, or the index beyond its end.
    #[error("the map is full, or the index beyond its end")]
    TooBig,
    /// A prefix map is full, or a queue of events.
    #[error("no space left")]
    NoSpace,
    /// A ring buffer has no room for now.
    #[error("no room for now")]
    Again,
    /// This kind of map does not do this.
    #[error("not an operation of this kind of map")]
    NotSupported,
    /// An address or length that is not the packet's.
    #[error("not in the packet")]
    Fault,
}

impl MapError {
    /// As the kernel numbers it, positive.
    pub fn errno(self) -> i32 {
        match self {
            Self::NotFound => libc::ENOENT,
            Self::Exists => libc::EEXIST,
            Self::Invalid => libc::EINVAL,
            Self::TooBig => libc::E2BIG,
            Self::NoSpace => libc::ENOSPC,
            Self::Again => libc::EAGAIN,
            Self::NotSupported => libc::EOPNOTSUPP,
            Self::Fault => libc::EFAULT,
        }
    }

    /// What a helper returns to the program.
    pub(crate) fn returned(self) -> u64 {
        (-i64::from(self.errno())).cast_unsigned()
    }
}
