//! Errors on the wire: a gRPC status whose details are JSON, so that the caller reacts to the device's own error.

use nearside_device::DeviceError;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::{Code, Status};

use crate::limits::ERROR_TEXT_MAX;

/// What went wrong at the other end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    /// The device said no.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// Its object store did.
    #[error("{path}: {reason}")]
    Store { kind: StoreKind, path: String, reason: String },
}

/// The reactions `object_store` distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreKind {
    NotFound,
    Precondition,
    NotModified,
    PermissionDenied,
    NotSupported,
    Failed,
}

impl Failure {
    /// What a server answers.
    pub(crate) fn into_status(self) -> Status {
        let message = shortened(&self.to_string(), ERROR_TEXT_MAX / 2);
        let details = serde_json::to_value(&self).map(|json| shorten(json).to_string()).unwrap_or_default();
        Status::with_details(self.code(), message, details.into_bytes().into())
    }

    /// What a client makes of an answer; anything that is no failure of ours means that the device at `url` cannot be used.
    pub(crate) fn from_status(status: &Status, url: &str) -> Self {
        serde_json::from_slice(status.details()).unwrap_or_else(|_| unreachable(url, describe(status)).into())
    }

    /// For peers that read no details.
    fn code(&self) -> Code {
        match self {
            Self::Device(error) => match error {
                DeviceError::NotLoaded { .. } | DeviceError::NotFound { .. } => Code::NotFound,
                DeviceError::BadProgram { .. } | DeviceError::BadRequest { .. } => Code::InvalidArgument,
                DeviceError::Trap { .. } => Code::Aborted,
                DeviceError::BadObject { .. } => Code::DataLoss,
                DeviceError::Changed { .. } | DeviceError::Unselective { .. } | DeviceError::Version { .. } => {
                    Code::FailedPrecondition
                }
                DeviceError::Busy { .. } | DeviceError::Limit { .. } => Code::ResourceExhausted,
                DeviceError::Unreachable { .. } => Code::Unavailable,
                DeviceError::Internal { .. } => Code::Internal,
            },
            Self::Store { kind, .. } => match kind {
                StoreKind::NotFound => Code::NotFound,
                StoreKind::Precondition | StoreKind::NotModified => Code::FailedPrecondition,
                StoreKind::PermissionDenied => Code::PermissionDenied,
                StoreKind::NotSupported => Code::Unimplemented,
                StoreKind::Failed => Code::Internal,
            },
        }
    }
}

impl From<Failure> for DeviceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Device(error) => error,
            Failure::Store { kind: StoreKind::NotFound, path, reason } => Self::NotFound { path, reason },
            Failure::Store { path, reason, .. } => Self::BadObject { path, reason },
        }
    }
}

impl Failure {
    /// What a server makes of its store's error at `path`.
    pub(crate) fn from_store(path: &Path, error: &object_store::Error) -> Self {
        use object_store::Error;
        let kind = match error {
            Error::NotFound { .. } => StoreKind::NotFound,
            Error::Precondition { .. } => StoreKind::Precondition,
            Error::NotModified { .. } => StoreKind::NotModified,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreKind::PermissionDenied,
            Error::NotSupported { .. } | Error::NotImplemented { .. } => StoreKind::NotSupported,
            _ => StoreKind::Failed,
        };
        // The path is told apart, and the client's store says again what kind it is.
        let reason = match error {
            Error::NotFound { source, .. }
            | Error::Precondition { source, .. }
            | Error::NotModified { source, .. }
            | Error::PermissionDenied { source, .. }
            | Error::Unauthenticated { source, .. }
            | Error::NotSupported { source } => source.to_string(),
            other => other.to_string(),
        };
        Self::Store { kind, path: path.to_string(), reason }
    }

    /// What a client's store makes of a failure.
    pub(crate) fn into_store(self) -> object_store::Error {
        use object_store::Error;
        match self {
            Self::Device(error) => Error::Generic { store: "nearside", source: error.into() },
            Self::Store { kind, path, reason } => {
                let source = reason.into();
                match kind {
                    StoreKind::NotFound => Error::NotFound { path, source },
                    StoreKind::Precondition => Error::Precondition { path, source },
                    StoreKind::NotModified => Error::NotModified { path, source },
                    StoreKind::PermissionDenied => Error::PermissionDenied { path, source },
                    StoreKind::NotSupported => Error::NotSupported { source },
                    StoreKind::Failed => Error::Generic { store: "nearside", source },
                }
            }
        }
    }
}

/// The device at `url` cannot be reached, broke off, or does not speak the protocol.
pub(crate) fn unreachable(url: &str, reason: impl Into<String>) -> DeviceError {
    DeviceError::Unreachable { url: url.to_owned(), reason: reason.into() }
}

/// The innermost cause: "connection refused" says more than "transport error".
fn describe(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    let message = match (text, status.code()) {
        (Some(text), _) => text,
        (None, Code::Unimplemented) => "it is not a Nearside device".to_owned(),
        (None, _) => status.message().to_owned(),
    };
    if message.is_empty() { status.code().description().to_owned() } else { message }
}

/// Cuts every text in a JSON value.
fn shorten(json: Value) -> Value {
    match json {
        Value::String(text) => Value::String(shortened(&text, ERROR_TEXT_MAX)),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, shorten(value))).collect(),
        other => other,
    }
}

/// At most `len_max` bytes of a text, whole characters.
fn shortened(text: &str, len_max: usize) -> String {
    text[..text.floor_char_boundary(len_max)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a device says arrives as it was said.
    #[test]
    fn every_error_survives_the_wire() {
        let errors = [
            DeviceError::NotLoaded { digest: "ab".repeat(32) },
            DeviceError::BadProgram { reason: "instruction 3: jump out of the program".into() },
            DeviceError::Trap { reason: "out of fuel".into() },
            DeviceError::BadRequest { reason: "x".into() },
            DeviceError::BadObject { path: "a/b.parquet".into(), reason: "no footer".into() },
            DeviceError::Changed { path: "a/b.parquet".into(), reason: "size".into() },
            DeviceError::NotFound { path: "ä".into(), reason: "no such file".into() },
            DeviceError::Busy { reason: "64 executions".into() },
            DeviceError::Unselective { returned: 2, eligible: 1 },
            DeviceError::Limit { what: "objects".into(), given: u64::MAX, limit: 1 },
            DeviceError::Unreachable { url: "nearside://a:1".into(), reason: "gone".into() },
            DeviceError::Version { ours: 2, theirs: 1 },
            DeviceError::Internal { reason: "disk".into() },
        ];
        for error in errors {
            let failure = Failure::Device(error);
            assert_eq!(Failure::from_status(&failure.clone().into_status(), "nearside://x:1"), failure);
        }
    }

    /// An error's text is cut to what fits a header, at a character's edge.
    #[test]
    fn long_texts_are_cut() {
        let status = Failure::Device(DeviceError::Internal { reason: "é".repeat(100_000) }).into_status();
        assert!(status.message().len() <= ERROR_TEXT_MAX);
        match Failure::from_status(&status, "") {
            Failure::Device(DeviceError::Internal { reason }) => assert_eq!(reason.len(), ERROR_TEXT_MAX),
            other => panic!("{other:?}"),
        }
    }

    /// A status without our details is an unusable device, with its address and the reason.
    #[test]
    fn a_foreign_status_is_unreachable() {
        let failure = Failure::from_status(&Status::unavailable("proxy says no"), "nearside://x:1");
        assert_eq!(failure.to_string(), "device nearside://x:1: proxy says no");
    }
}
