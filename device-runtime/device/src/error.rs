//! Why a device did not do what it was asked: one variant for each reaction of the caller.

use serde::{Deserialize, Serialize};

/// An error that crosses the wire as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeviceError {
    /// Load the program and ask again.
    #[error("program {digest} is not loaded")]
    NotLoaded {
        /// The digest that was asked for.
        digest: String,
    },
    /// The object or its manifest is not a program this device runs: do not offer it again.
    #[error("program refused: {reason}")]
    BadProgram {
        /// What is wrong, with the instruction where there is one.
        reason: String,
    },
    /// The program was stopped. The host evaluates the fragment itself.
    #[error("program stopped: {reason}")]
    Trap {
        /// The trap.
        reason: String,
    },
    /// The request does not fit the program or the protocol: a bug of the caller.
    #[error("bad request: {reason}")]
    BadRequest {
        /// What does not fit.
        reason: String,
    },
    /// The object's data is not what the table says, or is not readable as Parquet: read it elsewhere, which tells the user more.
    #[error("object {path}: {reason}")]
    BadObject {
        /// The object.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The object is not the one the caller has seen.
    #[error(
        "object {path} changed: {reason}; register the table again, or, if nobody has replaced it, see whether its device serves that folder"
    )]
    Changed {
        /// The object.
        path: String,
        /// Which property differs.
        reason: String,
    },
    /// No such object here, or it is outside the device's root.
    #[error("object {path} is not on this device: {reason}")]
    NotFound {
        /// The object.
        path: String,
        /// Why.
        reason: String,
    },
    /// The device has no room now: run it elsewhere, or later.
    #[error("device is busy: {reason}")]
    Busy {
        /// Which bound.
        reason: String,
    },
    /// The result is no smaller than what it is made of, and the request wants to know that: read the object instead.
    #[error("returning {returned} bytes for {eligible} in the object does not pay: take the raw bytes")]
    Unselective {
        /// Arrow bytes of the result up to here.
        returned: u64,
        /// Compressed bytes of the columns it is made of.
        eligible: u64,
    },
    /// A named bound of the device: plan smaller.
    #[error("{what} is {given}, more than this device's {limit}")]
    Limit {
        /// Which bound.
        what: String,
        /// What was asked.
        given: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The device cannot be reached or broke off.
    #[error("device {url}: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The other side speaks another version.
    #[error("device speaks protocol {theirs}, this host {ours}; use the same release on both sides")]
    Version {
        /// Ours.
        ours: u32,
        /// Theirs.
        theirs: u32,
    },
    /// A bug of the device, or its medium failed.
    #[error("device failed: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

/// The reason of a [`DeviceError::Trap`] that is no fault of anybody's.
const HOSTS_ROW: &str = "a row is the host's: an arithmetic overflow, or a NaN, an infinity or -0.0 in MIN or MAX by group";

impl DeviceError {
    /// What a program's own fault becomes.
    pub(crate) fn hosts_row() -> Self {
        Self::Trap { reason: HOSTS_ROW.into() }
    }

    /// Whether a program left a row to the host, whose own answer, or error, is the query's: nothing is broken.
    pub fn is_hosts_row(&self) -> bool {
        matches!(self, Self::Trap { reason } if reason == HOSTS_ROW)
    }
}
