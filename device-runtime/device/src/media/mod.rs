//! Where a device's objects are: a directory that nothing leads out of, or an object store it sits beside.
//!
//! [`Medium::open`] pins one version of an object (size, ETag); [`Object::read`] reads byte ranges of exactly that
//! version, blocking, for the device's own threads. [`Medium::objects`] is the same as an [`ObjectStore`]. Not here: Parquet.

mod directory;
mod listing;
mod objects;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use crate::error::DeviceError;
use directory::Directory;
use objects::DirectoryObjects;

/// Reads of a store that lie closer together than this travel as one: a request costs more than so many bytes.
const STORE_GAP_MAX: u64 = 256 * 1024;

/// Requests to a store under way for one read.
const STORE_REQUESTS_MAX: usize = 8;

/// What a device reads from.
#[derive(Clone, Debug)]
pub(crate) enum Medium {
    /// Files below a directory.
    Directory(Arc<Directory>),
    /// Objects of a store, its prefix taken off.
    Store(Arc<dyn ObjectStore>),
}

/// Names one version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    /// As the request spells it.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Differs between versions, where the medium has such a thing.
    pub(crate) etag: Option<String>,
}

/// One version of an object, opened.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) version: Version,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(File),
    Store { store: Arc<dyn ObjectStore>, location: ObjectPath, runtime: Handle },
}

impl Medium {
    /// Opens a directory once; all that is read later lies below it.
    pub(crate) fn directory(root: &Path) -> Result<Self, DeviceError> {
        Ok(Self::Directory(Arc::new(Directory::open(root)?)))
    }

    /// The objects of `store` below `prefix`.
    pub(crate) fn store(store: Arc<dyn ObjectStore>, prefix: ObjectPath) -> Self {
        match prefix.as_ref() {
            "" => Self::Store(store),
            _ => Self::Store(Arc::new(PrefixStore::new(store, prefix))),
        }
    }

    /// For plain reads and listing.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Directory(directory) => Arc::new(DirectoryObjects::new(Arc::clone(directory))),
            Self::Store(store) => Arc::clone(store),
        }
    }

    /// Opens an object and notes its version. Blocks; `runtime` drives the requests of a store.
    pub(crate) fn open(&self, path: &str, runtime: &Handle) -> Result<Object, DeviceError> {
        match self {
            Self::Directory(directory) => {
                let file = directory.open_file(path).map_err(|error| not_found(path, error))?;
                let version = Version { path: path.to_owned(), size: file.meta.size, etag: Some(file.meta.etag()) };
                Ok(Object { version, source: Source::File(file.file) })
            }
            Self::Store(store) => {
                let location = ObjectPath::parse(path).map_err(|error| not_found(path, error))?;
                let meta = runtime.block_on(store.head(&location)).map_err(|error| match error {
                    object_store::Error::NotFound { .. } => not_found(path, "no such object"),
                    error => unreadable(path, error),
                })?;
                let version = Version { path: path.to_owned(), size: meta.size, etag: meta.e_tag };
                Ok(Object { version, source: Source::Store { store: Arc::clone(store), location, runtime: runtime.clone() } })
            }
        }
    }

    /// Opens a version that was seen before, or fails with [`DeviceError::Changed`]: here for a file, at the first read for a store.
    pub(crate) fn reopen(&self, version: &Version, runtime: &Handle) -> Result<Object, DeviceError> {
        let path = &version.path;
        match self {
            Self::Directory(_) => {
                let object = self.open(path, runtime)?;
                if object.version == *version { Ok(object) } else { Err(changed(path, "it was replaced while it was read")) }
            }
            Self::Store(store) => {
                let location = ObjectPath::parse(path).map_err(|error| not_found(path, error))?;
                let source = Source::Store { store: Arc::clone(store), location, runtime: runtime.clone() };
                Ok(Object { version: version.clone(), source })
            }
        }
    }
}

impl Object {
    /// Reads ranges, in any order, and says how many bytes that took from the medium. Blocks.
    ///
    /// # Errors
    /// A range beyond the end, or a failing medium: [`DeviceError::BadObject`]. Another version by now:
    /// [`DeviceError::Changed`].
    pub(crate) fn read(&self, ranges: &[Range<u64>]) -> Result<(Vec<Bytes>, u64), DeviceError> {
        if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > self.version.size) {
            let reason = format!("needs bytes {} to {} of {}: truncated or corrupt", range.start, range.end, self.version.size);
            return Err(unreadable(&self.version.path, reason));
        }
        let merged = merge(ranges, self.gap_max());
        let parts = self.read_merged(&merged)?;
        let read = merged.iter().map(|range| range.end - range.start).sum();
        Ok((ranges.iter().map(|range| cut(&merged, &parts, range)).collect(), read))
    }

    /// [`Object::read`] of one range.
    pub(crate) fn read_one(&self, range: Range<u64>) -> Result<(Bytes, u64), DeviceError> {
        let (parts, read) = self.read(std::slice::from_ref(&range))?;
        Ok((parts.into_iter().next().unwrap_or_default(), read))
    }

    /// Whether reading waits for a network rather than for this machine.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.source, Source::Store { .. })
    }

    fn gap_max(&self) -> u64 {
        match self.source {
            Source::File(_) => 0,
            Source::Store { .. } => STORE_GAP_MAX,
        }
    }

    fn read_merged(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, DeviceError> {
        match &self.source {
            Source::File(file) => ranges
                .iter()
                .map(|range| directory::read(file, range))
                .collect::<Result<_, _>>()
                .map_err(|error| unreadable(&self.version.path, error)),
            Source::Store { store, location, runtime } => {
                let requests = ranges.iter().map(|range| self.read_from_store(store, location, range.clone()));
                runtime.block_on(futures::stream::iter(requests).buffered(STORE_REQUESTS_MAX).try_collect())
            }
        }
    }

    async fn read_from_store(
        &self,
        store: &Arc<dyn ObjectStore>,
        location: &ObjectPath,
        range: Range<u64>,
    ) -> Result<Bytes, DeviceError> {
        let len = range.end - range.start;
        let options =
            GetOptions { if_match: self.version.etag.clone(), range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let bytes = async { store.get_opts(location, options).await?.bytes().await }.await.map_err(|error| match error {
            object_store::Error::Precondition { .. } => changed(&self.version.path, "its ETag differs"),
            object_store::Error::NotFound { .. } => changed(&self.version.path, "it is gone"),
            error => unreadable(&self.version.path, error),
        })?;
        if bytes.len() as u64 != len {
            return Err(unreadable(&self.version.path, format!("the store sent {} bytes of {len}", bytes.len())));
        }
        Ok(bytes)
    }
}

/// Unites ranges that overlap or lie at most `gap_max` apart; sorted, without empty ones.
fn merge(ranges: &[Range<u64>], gap_max: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap_max) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The bytes of `range`, which lies in one of the `merged`.
fn cut(merged: &[Range<u64>], parts: &[Bytes], range: &Range<u64>) -> Bytes {
    if range.is_empty() {
        return Bytes::new();
    }
    let index = merged.partition_point(|part| part.end < range.end);
    let start = (range.start - merged[index].start) as usize;
    parts[index].slice(start..start + (range.end - range.start) as usize)
}

fn not_found(path: &str, reason: impl ToString) -> DeviceError {
    DeviceError::NotFound { path: path.to_owned(), reason: reason.to_string() }
}

fn changed(path: &str, reason: impl ToString) -> DeviceError {
    DeviceError::Changed { path: path.to_owned(), reason: reason.to_string() }
}

fn unreadable(path: &str, reason: impl ToString) -> DeviceError {
    DeviceError::BadObject { path: path.to_owned(), reason: reason.to_string() }
}
