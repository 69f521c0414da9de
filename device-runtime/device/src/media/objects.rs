//! A [`Directory`] as a read-only [`ObjectStore`].

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::Handle;

use super::directory::{self, Directory, FileMeta, OpenError};
use super::listing::{self, Walk};

const STORE: &str = "Nearside";

/// Reads and lists; writes are [`Error::NotSupported`].
#[derive(Debug)]
pub(super) struct DirectoryObjects {
    directory: Arc<Directory>,
}

impl DirectoryObjects {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }
}

impl fmt::Display for DirectoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.directory.name)
    }
}

#[async_trait]
impl ObjectStore for DirectoryObjects {
    async fn put_opts(&self, _location: &ObjectPath, _payload: PutPayload, _opts: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _location: &ObjectPath, _opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        let (directory, location) = (Arc::clone(&self.directory), location.clone());
        off_the_runtime(move || get(&directory, location, &options)).await
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (directory, location, ranges) = (Arc::clone(&self.directory), location.clone(), ranges.to_vec());
        off_the_runtime(move || get_ranges(&directory, &location, &ranges)).await
    }

    fn delete_stream(&self, _locations: BoxStream<'static, Result<ObjectPath>>) -> BoxStream<'static, Result<ObjectPath>> {
        stream::once(async { Err(read_only("delete")) }).boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let walk = Walk::new(Arc::clone(&self.directory), prefix);
        stream::try_unfold(walk, |mut walk| async {
            off_the_runtime(move || match walk.next_directory() {
                Some(files) => Ok(Some((metas(files.map_err(|error| error_at("listing", error))?), walk))),
                None => Ok(None),
            })
            .await
        })
        .map(|files| stream::iter(files.map_or_else(|error| vec![Err(error)], |files| files.into_iter().map(Ok).collect())))
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        let (directory, prefix) = (Arc::clone(&self.directory), prefix.cloned().unwrap_or_default());
        off_the_runtime(move || {
            let level = listing::level(&directory, &prefix).map_err(|error| error_at(prefix.as_ref(), error))?;
            Ok(ListResult { common_prefixes: level.directories, objects: metas(level.files) })
        })
        .await
    }

    async fn copy_opts(&self, _from: &ObjectPath, _to: &ObjectPath, _options: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

/// File operations block; an async thread must not.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await?,
        Err(_) => work(),
    }
}

fn get(directory: &Directory, location: ObjectPath, options: &GetOptions) -> Result<GetResult> {
    let opened = directory.open_file(location.as_ref()).map_err(|error| error_at(location.as_ref(), error))?;
    let meta = meta(location, opened.meta);
    options.check_preconditions(&meta)?;
    let range = match &options.range {
        Some(range) => resolve(range, meta.size)?,
        None => 0..meta.size,
    };
    // The name is for messages; reading goes through the open file.
    let name = PathBuf::from(meta.location.as_ref());
    let payload = GetResultPayload::File(opened.file, name);
    Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
}

fn get_ranges(directory: &Directory, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let opened = directory.open_file(location.as_ref()).map_err(|error| error_at(location.as_ref(), error))?;
    let read = |range: &Range<u64>| {
        let range = resolve(&GetRange::Bounded(range.clone()), opened.meta.size)?;
        directory::read(&opened.file, &range).map_err(|error| error_at(location.as_ref(), error.into()))
    };
    ranges.iter().map(read).collect()
}

fn resolve(range: &GetRange, size: u64) -> Result<Range<u64>> {
    range.as_range(size).map_err(|source| Error::Generic { store: STORE, source: Box::new(source) })
}

fn metas(files: Vec<(ObjectPath, FileMeta)>) -> Vec<ObjectMeta> {
    files.into_iter().map(|(location, file)| meta(location, file)).collect()
}

fn meta(location: ObjectPath, file: FileMeta) -> ObjectMeta {
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_micros(file.modified_micros);
    ObjectMeta { location, last_modified: modified.into(), size: file.size, e_tag: Some(file.etag()), version: None }
}

fn error_at(path: &str, error: OpenError) -> Error {
    let path = path.to_owned();
    match error {
        OpenError::Io(source) => Error::Generic { store: STORE, source: Box::new(source) },
        refused => Error::NotFound { path, source: Box::new(refused) },
    }
}

fn read_only(operation: &str) -> Error {
    Error::NotSupported { source: format!("{operation}: a device's objects are read-only").into() }
}
