//! The manifest as JSON.

use serde::Deserialize;

use super::{Manifest, Target};
use crate::abi;

/// A manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not a manifest; nesting is bounded.
    #[error("manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// The object's author and this build speak different versions.
    #[error("object is for {target} ABI {given}, this build runs {supported}")]
    AbiVersion {
        /// The object's target.
        target: Target,
        /// The object's version.
        given: u32,
        /// This build's version.
        supported: u32,
    },
    /// No device of this build has the object's kind of data.
    #[error("object is for target {target}, which does not run here")]
    Target {
        /// The object's target.
        target: Target,
    },
}

/// What every version of every manifest begins with.
#[derive(Deserialize)]
struct Header {
    target: Target,
    abi_version: u32,
}

impl Manifest {
    /// The JSON that [`Manifest::from_json`] reads.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("every field of a manifest has a JSON form")
    }

    /// Reads a manifest of the ABI version that this build runs; what it says is not checked, see [`Manifest::check`].
    ///
    /// # Errors
    /// [`ReadError`]; another ABI version is told apart from bad JSON, whatever its fields are.
    pub fn from_json(json: &[u8]) -> Result<Self, ReadError> {
        let Header { target, abi_version } = serde_json::from_slice(json)?;
        check_abi(target, abi_version)?;
        Ok(serde_json::from_slice(json)?)
    }
}

/// Whether this build runs objects of that target and ABI version.
pub(super) fn check_abi(target: Target, given: u32) -> Result<(), ReadError> {
    match abi::version(target) {
        Some(supported) if supported == given => Ok(()),
        Some(supported) => Err(ReadError::AbiVersion { target, given, supported }),
        None => Err(ReadError::Target { target }),
    }
}
