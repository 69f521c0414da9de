//! A device as a TOML file: each number with the place it comes from.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::units::{Nanos, PerSecond};

/// A device, its link and its medium.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// For people.
    pub name: String,
    /// Where the data lies.
    pub medium: Channel,
    /// What computes.
    pub cores: Cores,
    /// The way to the host.
    pub link: Channel,
}

/// A way that bytes take: a transfer of `n` bytes takes `latency + n / bandwidth`; one transfer at a time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Request to first byte, nothing else under way.
    #[serde(rename = "latency_ns")]
    pub latency: Nanos,
    /// Sustained payload rate: protocol overhead is already taken off.
    #[serde(rename = "bytes_per_second")]
    pub bandwidth: PerSecond,
    /// Where the numbers come from.
    pub source: String,
}

/// Equal cores, each with one morsel at a time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cores {
    /// How many.
    pub count: NonZeroU32,
    /// Arrow bytes one core decodes.
    #[serde(rename = "decoded_bytes_per_second")]
    pub decode: PerSecond,
    /// Fuel one core burns in byte code.
    #[serde(rename = "fuel_per_second")]
    pub fuel: PerSecond,
    /// Where the numbers come from.
    pub source: String,
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("device profile {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a profile.
    #[error("device profile {path}: {reason}; simulator/profiles has examples")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// The file is missing, or not a profile: the message names line and field.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path).map_err(|source| ProfileError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| ProfileError::Invalid {
            path: path.to_owned(),
            reason: error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" "),
        })
    }
}
