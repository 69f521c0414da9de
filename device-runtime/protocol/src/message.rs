//! The JSON of the protocol: requests, and the marks beside Arrow data. `docs/protocol.md` describes the same for people.

use nearside_device::ledger::{Ledger, Morsel};
use nearside_device::{DeviceError, MorselId, ObjectSlice, Options, ProgramDigest, RowGroups};
use nearside_programs::parameters::ParameterSlot;
use nearside_programs::types::ValueType;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta};
use serde::{Deserialize, Serialize};

use crate::limits::{self, within};

/// Names of the actions.
pub(crate) mod action {
    pub(crate) const DESCRIBE: &str = "describe";
    pub(crate) const STATUS: &str = "status";
    pub(crate) const LOAD: &str = "load";
    pub(crate) const ACTIVATE: &str = "activate";
    pub(crate) const DEACTIVATE: &str = "deactivate";
    pub(crate) const UNLOAD: &str = "unload";
    pub(crate) const HEAD: &str = "head";
    pub(crate) const GET: &str = "get";
    pub(crate) const GET_RANGES: &str = "get_ranges";
    pub(crate) const LIST: &str = "list";
}

/// First message upstream of an execution. Schema and text of the parameters travel beside it, as Arrow IPC and as bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Execute {
    pub(crate) program: ProgramDigest,
    pub(crate) objects: Vec<ObjectSlice>,
    pub(crate) types: Vec<ValueType>,
    pub(crate) slots: Vec<ParameterSlot>,
    pub(crate) options: Options,
}

impl Execute {
    /// Everything a device indexes or loops with is within its bound.
    pub(crate) fn check(&self) -> Result<(), DeviceError> {
        within("program digest length", self.program.0.len(), 64)?;
        within("number of objects", self.objects.len(), limits::OBJECTS_MAX)?;
        within("number of parameters", self.slots.len(), limits::PARAMETERS_MAX)?;
        if self.types.len() != self.slots.len() {
            let reason = format!("{} parameter types for {} parameters", self.types.len(), self.slots.len());
            return Err(DeviceError::BadRequest { reason });
        }
        let mut row_groups = 0;
        for object in &self.objects {
            check_path(&object.path)?;
            within("ETag length", object.etag.as_ref().map_or(0, String::len), limits::ETAG_LEN_MAX)?;
            if let RowGroups::Only(only) = &object.row_groups {
                row_groups += only.len();
            }
        }
        within("number of row groups", row_groups, limits::ROW_GROUPS_MAX)
    }
}

/// A later message upstream of an execution.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Follow {
    /// Stop; nothing more is wanted.
    Cancel,
}

/// What stands beside a message downstream of an execution.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// The message is a batch of these morsels.
    Batch(Vec<(u32, u32)>),
    /// These are complete.
    Done(Vec<(u32, u32)>),
    /// Some of the ledger's morsels, in order.
    Morsels(Vec<Morsel>),
    /// The rest of the ledger, its list of morsels empty. The last message.
    Finished(Box<Ledger>),
}

/// Morsel ids as pairs: a result of few rows may cover thousands of them.
pub(crate) fn to_pairs(morsels: &[MorselId]) -> Vec<(u32, u32)> {
    morsels.iter().map(|id| (id.object, id.row_group)).collect()
}

pub(crate) fn from_pairs(pairs: &[(u32, u32)]) -> Vec<MorselId> {
    pairs.iter().map(|&(object, row_group)| MorselId { object, row_group }).collect()
}

/// Body of `activate`, `deactivate` and `unload`; answer of `load`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) program: ProgramDigest,
}

/// Body of `get` and `head`: an object, or part of one, under conditions.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Get {
    pub(crate) path: String,
    pub(crate) range: Option<Range>,
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) if_unmodified_since: Option<String>,
    pub(crate) version: Option<String>,
}

/// Which bytes of an object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Range {
    /// From the first to before the second.
    Bounded(u64, u64),
    /// From this one to the end.
    From(u64),
    /// The last so many.
    Last(u64),
}

impl Get {
    pub(crate) fn new(path: &Path, options: &GetOptions) -> Self {
        Self {
            path: path.to_string(),
            range: options.range.as_ref().map(|range| match range {
                GetRange::Bounded(range) => Range::Bounded(range.start, range.end),
                GetRange::Offset(first) => Range::From(*first),
                GetRange::Suffix(count) => Range::Last(*count),
            }),
            if_match: options.if_match.clone(),
            if_none_match: options.if_none_match.clone(),
            if_modified_since: options.if_modified_since.map(|time| time.to_rfc3339()),
            if_unmodified_since: options.if_unmodified_since.map(|time| time.to_rfc3339()),
            version: options.version.clone(),
        }
    }

    /// The path and options for a store, everything checked.
    pub(crate) fn parse(self) -> Result<(Path, GetOptions), DeviceError> {
        let path = parse_path(&self.path)?;
        for text in [&self.if_match, &self.if_none_match, &self.version].into_iter().flatten() {
            within("ETag length", text.len(), limits::ETAG_LEN_MAX)?;
        }
        let mut options = GetOptions::new().with_range(self.range.map(|range| match range {
            Range::Bounded(start, end) => GetRange::Bounded(start..end),
            Range::From(first) => GetRange::Offset(first),
            Range::Last(count) => GetRange::Suffix(count),
        }));
        options.if_match = self.if_match;
        options.if_none_match = self.if_none_match;
        options.if_modified_since = self.if_modified_since.map(|time| parse_time(&time)).transpose()?;
        options.if_unmodified_since = self.if_unmodified_since.map(|time| parse_time(&time)).transpose()?;
        options.version = self.version;
        Ok((path, options))
    }
}

/// Body of `get_ranges`: several pieces of one object, each `[start, end)`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetRanges {
    pub(crate) path: String,
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// First answer of `get`, only answer of `head`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) meta: Meta,
    /// First byte that follows.
    pub(crate) start: u64,
    /// Byte after the last that follows.
    pub(crate) end: u64,
}

/// Body of `list`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct List {
    pub(crate) prefix: Option<String>,
    /// Only paths greater than this one.
    pub(crate) after: Option<String>,
    /// One level: objects directly below the prefix, and the prefixes of the others.
    pub(crate) delimiter: bool,
}

/// One answer of `list`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Meta>,
    pub(crate) prefixes: Vec<String>,
}

/// An object without its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// RFC 3339.
    pub(crate) modified: String,
    pub(crate) etag: Option<String>,
    pub(crate) version: Option<String>,
}

impl From<&ObjectMeta> for Meta {
    fn from(meta: &ObjectMeta) -> Self {
        Self {
            path: meta.location.to_string(),
            size: meta.size,
            modified: meta.last_modified.to_rfc3339(),
            etag: meta.e_tag.clone(),
            version: meta.version.clone(),
        }
    }
}

impl Meta {
    pub(crate) fn parse(self) -> Result<ObjectMeta, DeviceError> {
        Ok(ObjectMeta {
            location: parse_path(&self.path)?,
            last_modified: parse_time(&self.modified)?,
            size: self.size,
            e_tag: self.etag,
            version: self.version,
        })
    }
}

/// A path that names an object below the root: bounded, no empty, `.` or `..` segments.
pub(crate) fn parse_path(path: &str) -> Result<Path, DeviceError> {
    check_path(path)?;
    Path::parse(path).map_err(|error| DeviceError::BadRequest { reason: error.to_string() })
}

fn check_path(path: &str) -> Result<(), DeviceError> {
    within("path length", path.len(), limits::PATH_LEN_MAX)
}

fn parse_time<T: std::str::FromStr>(text: &str) -> Result<T, DeviceError> {
    text.parse().map_err(|_| DeviceError::BadRequest { reason: format!("{text:?} is not an RFC 3339 time") })
}

/// Encodes a message of ours.
pub(crate) fn to_json<T: Serialize>(message: &T) -> Result<bytes::Bytes, DeviceError> {
    match serde_json::to_vec(message) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(DeviceError::Internal { reason: format!("message does not encode: {error}") }),
    }
}

/// Decodes a message of a peer.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T, DeviceError> {
    serde_json::from_slice(json).map_err(|error| DeviceError::BadRequest { reason: format!("{what}: {error}") })
}
