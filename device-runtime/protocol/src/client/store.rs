//! The device's objects as an [`ObjectStore`], for reading.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tonic::Streaming;

use crate::client::session::Session;
use crate::failure::Failure;
use crate::limits::{PAGE_ENTRIES_MAX, RANGES_MAX, READ_AHEAD_BYTES, within};
use crate::message::{Get, GetRanges, Got, List, Page, action, parse_path, to_json};

/// Reads over the connection of a device. Writing is not supported.
#[derive(Debug)]
pub(super) struct RemoteStore {
    session: Arc<Session>,
}

impl RemoteStore {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    async fn head(&self, path: &Path, options: &GetOptions) -> Result<GetResult, Failure> {
        let got: Got = self.session.ask(action::HEAD, to_json(&Get::new(path, options))?).await?;
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::empty().boxed()),
            meta: got.meta.parse()?,
            range: 0..0,
            attributes: Attributes::default(),
        })
    }

    async fn get(&self, path: &Path, options: &GetOptions) -> Result<GetResult, Failure> {
        let request = to_json(&Get::new(path, options))?;
        let begun = async {
            let mut answers = self.session.act(action::GET, request).await?;
            let got = answers.next().await?.ok_or_else(|| self.session.broken("no answer to get"))?;
            Ok((answers, got))
        };
        let (answers, got) = self.session.in_time(action::GET, begun).await?;
        let got: Got = self.session.parse(action::GET, &got)?;
        let len = got.end.checked_sub(got.start).filter(|_| got.end <= got.meta.size);
        let left = len.ok_or_else(|| self.session.broken("a range that is not the object's"))?;
        let bytes = Incoming { session: Arc::clone(&self.session), stream: answers.into_stream(), left };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes.stream()),
            meta: got.meta.parse()?,
            range: got.start..got.end,
            attributes: Attributes::default(),
        })
    }

    /// One round trip: the ranges come back one after the other.
    async fn read_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Failure> {
        let request = GetRanges { path: path.to_string(), ranges: ranges.iter().map(|range| (range.start, range.end)).collect() };
        let answers = self.session.in_time(action::GET_RANGES, self.session.act(action::GET_RANGES, to_json(&request)?)).await?;
        let left = ranges.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add);
        let mut bytes = Incoming { session: Arc::clone(&self.session), stream: answers.into_stream(), left };
        let mut rest = Bytes::new();
        let mut pieces = Vec::with_capacity(ranges.len());
        for range in ranges {
            pieces.push(bytes.take(range.end.saturating_sub(range.start), &mut rest).await?);
        }
        Ok(pieces)
    }

    async fn pages(&self, list: &List) -> Result<BoxStream<'static, Result<Page, Failure>>, Failure> {
        let answers = self.session.in_time(action::LIST, self.session.act(action::LIST, to_json(list)?)).await?;
        let session = Arc::clone(&self.session);
        Ok(answers
            .into_stream()
            .map(move |answer| {
                let page: Page = session.parse(action::LIST, &answer.map_err(|status| session.failure(&status))?.body)?;
                within("entries of a page", page.objects.len() + page.prefixes.len(), PAGE_ENTRIES_MAX)?;
                Ok(page)
            })
            .boxed())
    }

    fn list_from(&self, prefix: Option<&Path>, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let list = List { prefix: prefix.map(Path::to_string), after: after.map(Path::to_string), delimiter: false };
        let store = Self { session: Arc::clone(&self.session) };
        let pages = async move { store.pages(&list).await };
        stream::once(pages)
            .try_flatten()
            .map_ok(|page| stream::iter(page.objects.into_iter().map(|meta| Ok(meta.parse()?))))
            .try_flatten()
            .map_err(Failure::into_store)
            .boxed()
    }

    async fn list_level(&self, prefix: Option<&Path>) -> Result<ListResult, Failure> {
        let list = List { prefix: prefix.map(Path::to_string), after: None, delimiter: true };
        let mut pages = self.pages(&list).await?;
        let mut level = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        while let Some(page) = pages.try_next().await? {
            for prefix in page.prefixes {
                level.common_prefixes.push(parse_path(&prefix)?);
            }
            for meta in page.objects {
                level.objects.push(meta.parse()?);
            }
        }
        Ok(level)
    }

    fn read_only<T>(&self) -> Result<T> {
        Err(Error::NotSupported { source: format!("{} is read-only", self.session.url()).into() })
    }
}

impl fmt::Display for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.session.url())
    }
}

#[async_trait]
impl ObjectStore for RemoteStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match options.head {
            true => self.head(location, &options).await,
            false => self.get(location, &options).await,
        }
        .map_err(Failure::into_store)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut pieces = Vec::with_capacity(ranges.len());
        for ranges in ranges.chunks(RANGES_MAX) {
            pieces.extend(self.read_ranges(location, ranges).await.map_err(Failure::into_store)?);
        }
        Ok(pieces)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.list_level(prefix).await.map_err(Failure::into_store)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.read_only()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.read_only()
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let refusal = self.read_only::<()>().map_err(|error| error.to_string());
        locations
            .map(move |location| match (location, &refusal) {
                (Ok(_), Err(reason)) => Err(Error::NotSupported { source: reason.clone().into() }),
                (other, _) => other,
            })
            .boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        self.read_only()
    }
}

/// The bytes that answer a read: exactly as many as were asked for, or an error.
struct Incoming {
    session: Arc<Session>,
    stream: Streaming<arrow_flight::Result>,
    left: u64,
}

impl Incoming {
    /// The next bytes; `None` once all have come.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        let answer = self.stream.message().await.map_err(|status| self.session.failure(&status))?;
        let bytes = answer.ok_or_else(|| self.session.broken(format!("{} bytes of a read are missing", self.left)))?.body;
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| self.session.broken("more bytes than were asked for"))?;
        Ok(Some(bytes))
    }

    /// The next `len` bytes in one piece. `rest` holds what has come and is not taken. Memory grows with what comes, not
    /// with what was asked for beyond [`READ_AHEAD_BYTES`].
    async fn take(&mut self, len: u64, rest: &mut Bytes) -> Result<Bytes, Failure> {
        if len <= rest.len() as u64 {
            return Ok(rest.split_to(len as usize));
        }
        let mut piece = BytesMut::with_capacity(len.min(READ_AHEAD_BYTES) as usize);
        piece.extend_from_slice(&std::mem::take(rest));
        while (piece.len() as u64) < len {
            let mut bytes = self.next().await?.ok_or_else(|| self.session.broken("a read ended early"))?;
            let wanted = (len - piece.len() as u64).min(bytes.len() as u64) as usize;
            piece.extend_from_slice(&bytes.split_to(wanted));
            *rest = bytes;
        }
        Ok(piece.freeze())
    }

    fn stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, async |mut incoming| match incoming.next().await {
            Ok(bytes) => Ok(bytes.map(|bytes| (bytes, incoming))),
            Err(failure) => Err(failure.into_store()),
        })
        .boxed()
    }
}
