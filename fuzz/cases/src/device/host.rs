//! A device in this process that has our programs, over one file.

use std::sync::Arc;

use arrow::datatypes::Schema;
use bytes::Bytes;
use futures::TryStreamExt;
use nearside_device::{Config, Device, DeviceError, Embedded, Event, Execution, Input, ObjectSlice, Options, Request, RowGroups};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::files;
use crate::fragments;

/// Most rows that leave: a file may say that a few bytes are a million equal rows, which is true, and dull.
const ROWS_MAX: u64 = 100_000;
/// The file.
const PATH: &str = "t.parquet";

/// A device, and honest requests for each of [`fragments::programs`].
#[derive(Debug)]
pub(crate) struct Host {
    store: Arc<dyn ObjectStore>,
    /// With one worker: what an input does must not depend on what threads do.
    pub(crate) device: Arc<Embedded>,
    requests: Vec<Request>,
}

impl Host {
    /// A device that may have `memory` bytes of row groups, and a file.
    ///
    /// # Panics
    /// The device does not take our programs.
    pub(crate) async fn new(memory: u64, file: &[u8]) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let config = Config {
            workers: 1,
            memory_bytes_max: memory,
            object_metadata_bytes_max: memory / 32,
            footer_cache_bytes: 0,
            program_cache_bytes: 1 << 20,
            ..Config::default()
        };
        let device = Embedded::object_store(Arc::clone(&store), Path::default(), config);
        let requests = requests(&device).await;
        let host = Self { store, device, requests };
        host.put(file).await;
        host
    }

    /// Replaces the file.
    ///
    /// # Panics
    /// Never: memory takes everything.
    pub(crate) async fn put(&self, file: &[u8]) {
        self.store.put(&Path::from(PATH), Bytes::copy_from_slice(file).into()).await.expect("memory takes everything");
    }

    /// The requests, over a file of so many bytes.
    pub(crate) fn requests(&self, size: u64) -> impl Iterator<Item = Request> + '_ {
        self.requests.iter().cloned().map(move |mut request| {
            let Input::Objects { objects, .. } = &mut request.input;
            objects.push(ObjectSlice { path: PATH.into(), size, etag: None, row_groups: RowGroups::All });
            request
        })
    }
}

async fn requests(device: &Embedded) -> Vec<Request> {
    let table = files::table().schema();
    let mut requests = Vec::new();
    for (fragment, compiled) in fragments::programs() {
        let program = device.load(compiled.object.write().into()).await.expect("a program of ours");
        let fields =
            fragment.columns.iter().map(|column| table.field_with_name(&column.name).expect("a column of the files").clone());
        let input = Input::Objects { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), objects: Vec::new() };
        let options = Options { limit: Some(ROWS_MAX), ..Options::default() };
        requests.push(Request { program, input, parameters: compiled.parameters, options });
    }
    requests
}

/// Reads an execution to its end. Whatever it says, its batches are valid and of its schema.
///
/// # Errors
/// The execution's.
///
/// # Panics
/// A batch is not.
pub(crate) async fn drain(mut execution: Execution) -> Result<(), DeviceError> {
    while let Some(event) = execution.events.try_next().await? {
        if let Event::Batch { batch, .. } = event {
            assert_eq!(batch.schema(), execution.schema);
            batch.columns().iter().for_each(|column| column.to_data().validate_full().expect("a valid array"));
        }
    }
    Ok(())
}
