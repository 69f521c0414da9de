//! Tables on disk, programs over them, and what comes back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures::StreamExt;
use nearside_device::{
    Config, Device, DeviceError, Embedded, Event, Execution, Input, Ledger, MorselId, ObjectSlice, Options, Request, RowGroups,
};
use nearside_planner::{Capabilities, Fragment, compile};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use tempfile::TempDir;

/// Beyond this a test hangs.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A directory with files, all of one schema.
pub(crate) struct Table {
    pub(crate) directory: TempDir,
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<String>,
}

pub(crate) fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(crate) fn row_groups_of(rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder().set_max_row_group_row_count(Some(rows))
}

pub(crate) fn write(path: &Path, batch: &RecordBatch, properties: WriterProperties) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

impl Table {
    /// One file, `t0.parquet`, of a batch.
    pub(crate) fn new(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Self {
        let mut table = Self { directory: tempfile::tempdir().unwrap(), schema: batch.schema(), files: Vec::new() };
        table.add(batch, properties);
        table
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch, properties: WriterPropertiesBuilder) {
        let name = format!("t{}.parquet", self.files.len());
        write(&self.directory.path().join(&name), batch, properties.build());
        self.files.push(name);
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn device(&self) -> Arc<Embedded> {
        self.device_with(Config::default())
    }

    pub(crate) fn device_with(&self, config: Config) -> Arc<Embedded> {
        Embedded::directory(self.path(), config).unwrap()
    }

    /// A request that runs a fragment over all files. `scan` names columns of the table.
    pub(crate) async fn request(&self, device: &dyn Device, fragment: &str) -> Request {
        request(device, &self.schema, &self.files, fragment).await
    }

    pub(crate) async fn run(&self, device: &dyn Device, fragment: &str) -> Answer {
        let request = ordered(self.request(device, fragment).await);
        execute(device, request).await.unwrap_or_else(|error| panic!("{fragment}: {error}"))
    }
}

/// Compiles and loads a fragment, and asks for it over whole files.
pub(crate) async fn request(device: &dyn Device, table: &Schema, files: &[String], fragment: &str) -> Request {
    let fragment: Fragment = fragment.parse().unwrap_or_else(|error| panic!("{fragment}: {error}"));
    let compiled = compile(&fragment, &Capabilities::all()).unwrap_or_else(|refusal| panic!("{fragment}: {refusal}"));
    let program = device.load(Bytes::from(compiled.object.write())).await.unwrap();
    let fields: Vec<_> = fragment.columns.iter().map(|column| table.field_with_name(&column.name).unwrap().clone()).collect();
    let mut objects = Vec::new();
    for path in files {
        objects.push(slice(device, path).await);
    }
    let input = Input::Objects { schema: Arc::new(Schema::new(fields)), objects };
    Request { program, input, parameters: compiled.parameters, options: Options::default() }
}

/// All of a file as it is now.
pub(crate) async fn slice(device: &dyn Device, path: &str) -> ObjectSlice {
    let meta = device.objects().head(&ObjectPath::from(path)).await.unwrap();
    ObjectSlice { path: path.to_owned(), size: meta.size, etag: meta.e_tag, row_groups: RowGroups::All }
}

pub(crate) fn ordered(mut request: Request) -> Request {
    request.options.ordered = true;
    request
}

pub(crate) fn objects_mut(request: &mut Request) -> &mut Vec<ObjectSlice> {
    let Input::Objects { objects, .. } = &mut request.input;
    objects
}

/// What an execution said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<(Vec<MorselId>, RecordBatch)>,
    /// Sorted.
    pub(crate) done: Vec<MorselId>,
    pub(crate) ledger: Ledger,
}

impl Answer {
    pub(crate) fn rows(&self) -> RecordBatch {
        concat_batches(&self.schema, self.batches.iter().map(|(_, batch)| batch)).unwrap()
    }
}

pub(crate) async fn execute(device: &dyn Device, request: Request) -> Result<Answer, DeviceError> {
    drain(device.execute(request).await?).await
}

/// Reads an execution to its end and checks what [`Event`] promises.
pub(crate) async fn drain(execution: Execution) -> Result<Answer, DeviceError> {
    let Execution { schema, mut events } = execution;
    let (mut batches, mut done) = (Vec::new(), Vec::new());
    while let Some(event) = tokio::time::timeout(LONG, events.next()).await.expect("a hang") {
        match event? {
            Event::Batch { morsels, batch } => {
                assert_eq!(batch.schema(), schema);
                assert!(morsels.iter().all(|morsel| !done.contains(morsel)), "rows of a morsel that was done");
                batches.push((morsels, batch));
            }
            Event::MorselsDone(morsels) => {
                assert!(morsels.iter().all(|morsel| !done.contains(morsel)), "a morsel was done twice");
                done.extend(morsels);
            }
            Event::Finished(ledger) => {
                assert!(events.next().await.is_none(), "something follows the ledger");
                done.sort();
                let ledger = *ledger;
                check(&ledger, &batches);
                return Ok(Answer { schema, batches, done, ledger });
            }
        }
    }
    panic!("neither a ledger nor an error");
}

fn check(ledger: &Ledger, batches: &[(Vec<MorselId>, RecordBatch)]) {
    assert_eq!(ledger.work.returned_rows, batches.iter().map(|(_, batch)| batch.num_rows() as u64).sum::<u64>());
    assert!(ledger.work.morsels.windows(2).all(|pair| pair[0].id < pair[1].id));
    for morsel in &ledger.work.morsels {
        assert!(morsel.rows_selected <= morsel.rows_considered && morsel.rows_considered <= morsel.rows, "{morsel:?}");
        assert!(morsel.bytes_pruned + morsel.bytes_read <= morsel.bytes_eligible, "{morsel:?}");
    }
}
