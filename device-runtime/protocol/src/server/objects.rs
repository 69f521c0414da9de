//! The device's objects as they are: what a client's object store reads.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use nearside_device::DeviceError;
use object_store::path::Path;
use object_store::{GetResult, GetResultPayload, ObjectMeta, ObjectStore};

use crate::failure::{Failure, StoreKind};
use crate::limits::{self, CHUNK_BYTES, PAGE_ENTRIES_MAX, READ_AHEAD_BYTES, within};
use crate::message::{Get, GetRanges, Got, List, Meta, Page, parse_path, to_json};
use crate::server::Service;
use crate::server::actions::{Bodies, one};

impl Service {
    pub(super) async fn head(&self, head: Get) -> Result<Bodies, Failure> {
        let (path, options) = head.parse()?;
        let result = self.device.objects().get_opts(&path, options.with_head(true)).await;
        let meta = result.map_err(|error| Failure::from_store(&path, &error))?.meta;
        one(&Got { start: 0, end: meta.size, meta: meta_of(path, meta) })
    }

    pub(super) async fn get(&self, get: Get) -> Result<Bodies, Failure> {
        let (path, options) = get.parse()?;
        let result = self.device.objects().get_opts(&path, options).await;
        let result = result.map_err(|error| Failure::from_store(&path, &error))?;
        let meta = meta_of(path.clone(), result.meta.clone());
        let got = Got { meta, start: result.range.start, end: result.range.end };
        let got = to_json(&got)?;
        let bytes = payload(result).map_err(move |error| Failure::from_store(&path, &error));
        Ok(stream::once(async { Ok(got) }).chain(bytes).boxed())
    }

    pub(super) async fn get_ranges(&self, request: GetRanges) -> Result<Bodies, Failure> {
        let path = parse_path(&request.path)?;
        within("number of ranges", request.ranges.len(), limits::RANGES_MAX)?;
        let store = self.device.objects();
        if let Some((start, end)) = request.ranges.iter().find(|(start, end)| start > end) {
            return Err(DeviceError::BadRequest { reason: format!("range {start}..{end} ends before it starts") }.into());
        }
        let groups = group(request.ranges.into_iter().map(|(start, end)| start..end).collect());
        let groups = groups.map(move |ranges| read_group(Arc::clone(&store), path.clone(), ranges));
        // One group is on its way to the client while the next is read.
        let pieces = stream::iter(groups).buffered(2);
        Ok(pieces.map_ok(|pieces| stream::iter(pieces.into_iter().flat_map(chunks).map(Ok))).try_flatten().boxed())
    }

    pub(super) async fn list(&self, list: List) -> Result<Bodies, Failure> {
        let prefix = list.prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| parse_path(&prefix)).transpose()?;
        let after = list.after.map(|after| parse_path(&after)).transpose()?;
        let store = self.device.objects();
        let at = prefix.clone().unwrap_or_default();
        if list.delimiter {
            let listed = store.list_with_delimiter(prefix.as_ref()).await.map_err(|error| Failure::from_store(&at, &error))?;
            let prefixes = listed.common_prefixes.chunks(PAGE_ENTRIES_MAX).map(prefixes_page);
            let objects = listed.objects.chunks(PAGE_ENTRIES_MAX).map(objects_page);
            return Ok(stream::iter(prefixes.chain(objects).collect::<Vec<_>>()).boxed());
        }
        let listed = match &after {
            Some(after) => store.list_with_offset(prefix.as_ref(), after),
            None => store.list(prefix.as_ref()),
        };
        let pages = listed.try_ready_chunks(PAGE_ENTRIES_MAX);
        Ok(pages
            .map(move |page| match page {
                Ok(objects) => objects_page(&objects),
                Err(error) => Err(Failure::from_store(&at, &error.1)),
            })
            .boxed())
    }
}

/// An object by the name that it was asked for: a store below a prefix tells the name that it has in the whole store.
fn meta_of(path: Path, meta: ObjectMeta) -> Meta {
    Meta::from(&ObjectMeta { location: path, ..meta })
}

fn objects_page(objects: &[ObjectMeta]) -> Result<Bytes, Failure> {
    Ok(to_json(&Page { objects: objects.iter().map(Meta::from).collect(), prefixes: Vec::new() })?)
}

fn prefixes_page(prefixes: &[Path]) -> Result<Bytes, Failure> {
    Ok(to_json(&Page { objects: Vec::new(), prefixes: prefixes.iter().map(Path::to_string).collect() })?)
}

/// Bytes of a `get` in messages of at most [`CHUNK_BYTES`].
fn payload(result: GetResult) -> BoxStream<'static, object_store::Result<Bytes>> {
    match result.payload {
        GetResultPayload::File(file, _) => file_chunks(file, result.range).boxed(),
        GetResultPayload::Stream(bytes) => bytes.map_ok(|bytes| stream::iter(chunks(bytes).map(Ok))).try_flatten().boxed(),
    }
}

/// A file in chunks. `object_store`'s own stream of a file makes them 8 KiB.
fn file_chunks(file: File, range: Range<u64>) -> impl Stream<Item = object_store::Result<Bytes>> + Send {
    stream::try_unfold((file, range), async |(file, range)| {
        if range.is_empty() {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || read_chunk(file, range)).await;
        read.map_err(|error| store_error(error.into()))?.map(Some).map_err(|error| store_error(error.into()))
    })
}

type FileRest = (File, Range<u64>);

fn read_chunk(mut file: File, range: Range<u64>) -> std::io::Result<(Bytes, FileRest)> {
    let len = (range.end - range.start).min(CHUNK_BYTES as u64);
    let mut chunk = vec![0; len as usize];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut chunk)?;
    Ok((chunk.into(), (file, range.start + len..range.end)))
}

fn store_error(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic { store: "nearside", source }
}

/// Slices of at most [`CHUNK_BYTES`].
fn chunks(mut bytes: Bytes) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(CHUNK_BYTES))))
}

/// The ranges in groups of at most [`READ_AHEAD_BYTES`], larger ones in pieces. As lazy as the answer is read: a client may ask
/// for more than there is, and the store says so at the first group.
fn group(ranges: Vec<Range<u64>>) -> impl Iterator<Item = Vec<Range<u64>>> + Send {
    let mut ranges = ranges.into_iter().filter(|range| !range.is_empty()).peekable();
    std::iter::from_fn(move || {
        let mut group = Vec::new();
        let mut room = READ_AHEAD_BYTES;
        while room > 0
            && let Some(range) = ranges.peek_mut()
        {
            let end = range.end.min(range.start.saturating_add(room));
            room -= end - range.start;
            group.push(range.start..end);
            range.start = end;
            if range.is_empty() {
                ranges.next();
            }
        }
        (!group.is_empty()).then_some(group)
    })
}

/// Reads a group in one call of the store, which may coalesce neighbours.
async fn read_group(store: Arc<dyn ObjectStore>, path: Path, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, Failure> {
    let pieces = store.get_ranges(&path, &ranges).await.map_err(|error| Failure::from_store(&path, &error))?;
    let whole = pieces.len() == ranges.len()
        && pieces.iter().zip(&ranges).all(|(piece, range)| piece.len() as u64 == range.end - range.start);
    match whole {
        true => Ok(pieces),
        false => {
            let reason = "a range reaches past its end".to_owned();
            Err(Failure::Store { kind: StoreKind::Failed, path: path.to_string(), reason })
        }
    }
}
