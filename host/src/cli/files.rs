//! Tables from files: those of `--data`, and those that a query names by path or URL. What cannot be read is named, with the reason and the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::Field;
use async_trait::async_trait;
use datafusion::catalog::{DynamicFileCatalog, Session, TableProvider, UrlTableFactory};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::datasource::file_format::options::ReadOptions;
use datafusion::datasource::listing::{ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future};
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::failure::{message, of_store, unreachable};
use super::scans::is_about_a_file;

/// Most footers that are read to find the file that is to blame.
const SUSPECTS_MAX: usize = 10_000;

/// A Parquet file, or a folder of Parquet files, with the partition columns of folders like `year=2026`.
pub(crate) async fn parquet_table(state: &SessionState, url: &ListingTableUrl) -> Result<ListingTable> {
    let made = async {
        let options = ParquetReadOptions::default().to_listing_options(state.config(), state.default_table_options());
        let options = options.with_file_extension(extension(state, url).await?);
        let config = ListingTableConfig::new(url.clone()).with_listing_options(options);
        let config = if url.is_collection() { config.infer_partitions_from_path(state).await? } else { config };
        ListingTable::try_new(config.infer_schema(state).await?)
    };
    match made.await {
        Ok(table) if !table.schema().fields().is_empty() => Ok(table),
        made => Err(explained(state, url, made.err()).await),
    }
}

/// The table that a file's name gives: Parquet files end in `.parquet`, in any case.
pub(crate) fn table_name(file: &str) -> Option<&str> {
    let (name, extension) = file.rsplit_once('.')?;
    (extension.eq_ignore_ascii_case("parquet") && !name.is_empty()).then_some(name)
}

/// Whether it is one by its name.
pub(crate) fn is_parquet(file: &ObjectMeta) -> bool {
    file.location.filename().is_some_and(|name| table_name(name).is_some())
}

/// How the names of a table's files end: DataFusion reads those of one spelling, and skips the others without a word.
async fn extension(state: &dyn Session, url: &ListingTableUrl) -> Result<String> {
    let store = state.runtime_env().object_store(url)?;
    let mut files = parquet_files(state, &store, url).await?;
    let mut extensions = BTreeSet::new();
    while let Some(file) = files.try_next().await? {
        extensions.extend(file.location.extension().map(|extension| format!(".{extension}")));
    }
    let last = extensions.pop_last().unwrap_or_else(|| ".parquet".to_owned());
    match extensions.pop_last() {
        None => Ok(last),
        Some(other) => Err(plan_datafusion_err!("its files end in {other} and in {last}; rename them, so that all end alike")),
    }
}

/// The Parquet files at a URL.
async fn parquet_files<'a>(
    state: &'a dyn Session,
    store: &'a Arc<dyn ObjectStore>,
    url: &'a ListingTableUrl,
) -> Result<BoxStream<'a, Result<ObjectMeta>>> {
    let files = url.list_all_files(state, store.as_ref(), "").await?;
    Ok(files.try_filter(|file| future::ready(is_parquet(file))).boxed())
}

/// The URLs at which a plan's tables have files; a folder that a statement has declared with its columns may be empty.
pub(crate) fn urls(plan: &LogicalPlan) -> Result<Vec<ListingTableUrl>> {
    let mut urls = Vec::new();
    plan.apply_with_subqueries(|node| {
        let provider = match node {
            LogicalPlan::TableScan(scan) => source_as_provider(&scan.source).ok(),
            _ => None,
        };
        if let Some(table) = provider.as_ref().and_then(|provider| provider.downcast_ref::<ListingTable>()) {
            let wanted = |url: &&ListingTableUrl| !url.is_collection() || table.get_table_definition().is_none();
            urls.extend(table.table_paths().iter().filter(wanted).cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(urls)
}

/// That a table's files are gone since it was registered: DataFusion would answer as if it were empty.
pub(crate) async fn gone(state: &SessionState, urls: &[ListingTableUrl]) -> Option<DataFusionError> {
    for url in urls {
        let store = state.runtime_env().object_store(url).ok()?;
        let first = async { url.list_all_files(state, store.as_ref(), "").await?.try_next().await };
        if let Ok(None) = first.await {
            let text = format!("{}: the table's files are gone; put them back, or leave the table out", shown(url.get_url()));
            return Some(DataFusionError::Plan(text));
        }
    }
    None
}

/// The failure of a plan that could not be made over files; if a decoder is behind it, with the file that is to blame.
pub(crate) async fn blamed(state: &SessionState, urls: &[ListingTableUrl], error: DataFusionError) -> DataFusionError {
    if is_about_a_file(&error) {
        for url in urls {
            let Ok(store) = state.runtime_env().object_store(url) else { continue };
            if let Some(reason) = suspect(state, &store, url).await {
                return DataFusionError::Plan(reason);
            }
        }
    }
    error
}

/// The context, with tables named by path or URL: `SELECT … FROM 'orders.parquet'`.
pub(crate) fn enable_url_tables(context: SessionContext) -> SessionContext {
    let factory = Arc::new(UrlTables(DynamicListTableFactory::default()));
    let tables = Arc::clone(context.state_ref().read().catalog_list());
    let tables = DynamicFileCatalog::new(tables, Arc::clone(&factory) as Arc<dyn UrlTableFactory>);
    let context: SessionContext = context.into_state_builder().with_catalog_list(Arc::new(tables)).build().into();
    factory.0.session_store().with_state(context.state_weak_ref());
    context
}

/// DataFusion's own, except that a name that can only be a file's is never "no such table".
#[derive(Debug)]
struct UrlTables(DynamicListTableFactory);

#[async_trait]
impl UrlTableFactory for UrlTables {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let made = self.0.try_new(name).await;
        let usable = |table: &Arc<dyn TableProvider>| !table.schema().fields().is_empty();
        match made {
            Ok(Some(table)) if usable(&table) => self.whole(name, table).await.map(Some),
            Ok(_) if !names_a_file(name) => Ok(None),
            made => {
                let state = self.state().ok_or_else(|| plan_datafusion_err!("the session has ended"))?;
                Err(explained(&state, &ListingTableUrl::parse(name)?, made.err()).await)
            }
        }
    }
}

impl UrlTables {
    /// The table, if none of its folder's files are left out.
    async fn whole(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
        let (url, Some(state)) = (ListingTableUrl::parse(name)?, self.state()) else { return Ok(table) };
        if url.is_collection() {
            extension(&state, &url).await.map_err(|error| error_at(&url, &error))?;
        }
        Ok(table)
    }

    fn state(&self) -> Option<SessionState> {
        let session = self.0.session_store().get_session().upgrade()?;
        session.read().as_any().downcast_ref::<SessionState>().cloned()
    }
}

fn names_a_file(name: &str) -> bool {
    name.contains('/') || table_name(name).is_some()
}

/// Why there is no table at a URL. The error that it could not be made for, if there is one, stands unless a better one is found.
pub(crate) async fn explained(state: &dyn Session, url: &ListingTableUrl, error: Option<DataFusionError>) -> DataFusionError {
    let found = match state.runtime_env().object_store(url) {
        Ok(store) => suspect(state, &store, url).await,
        Err(error) => Some(message(&error)),
    };
    match (found, error) {
        (Some(reason), _) => DataFusionError::Plan(reason),
        (None, Some(error)) => conflict(state, url).await.unwrap_or_else(|| error_at(url, &error)),
        (None, None) if url.is_collection() => DataFusionError::Plan(format!("{}: no Parquet file there", shown(url.get_url()))),
        (None, None) => DataFusionError::Plan(format!("{}: no such file", shown(url.get_url()))),
    }
}

fn error_at(url: &ListingTableUrl, error: &DataFusionError) -> DataFusionError {
    DataFusionError::Plan(format!("{}: {}", shown(url.get_url()), message(error)))
}

/// Two files at a URL of which no one table can be made, if that is so.
async fn conflict(state: &dyn Session, url: &ListingTableUrl) -> Option<DataFusionError> {
    let store = state.runtime_env().object_store(url).ok()?;
    let mut files = parquet_files(state, &store, url).await.ok()?.take(SUSPECTS_MAX);
    let mut known = BTreeMap::<String, (Field, String)>::new();
    while let Some(file) = files.try_next().await.ok()? {
        let schema = DFParquetMetadata::new(store.as_ref(), &file).fetch_schema().await.ok()?;
        for field in schema.fields() {
            let place = || format!("{}{}", prefix(url), file.location);
            let (first, where_first) = known.entry(field.name().clone()).or_insert_with(|| (Field::clone(field), place()));
            if first.try_merge(field).is_err() {
                let (name, here) = (field.name(), place());
                let error = plan_datafusion_err!(
                    "column {name} is {} in {where_first} and {} in {here}; write it with one type, or put the files into two folders",
                    first.data_type(),
                    field.data_type()
                );
                return Some(error_at(url, &error));
            }
        }
    }
    None
}

/// The first thing at a URL that is wrong.
async fn suspect(state: &dyn Session, store: &Arc<dyn ObjectStore>, url: &ListingTableUrl) -> Option<String> {
    let files = async { parquet_files(state, store, url).await?.take(SUSPECTS_MAX).try_collect().await };
    let files: Vec<ObjectMeta> = match files.await {
        Ok(files) => files,
        Err(error) => {
            return Some(unreachable(&error).unwrap_or_else(|| format!("{}: {}", shown(url.get_url()), message(&error))));
        }
    };
    for file in &files {
        if let Some(reason) = blemish(store, file).await {
            return Some(format!("{}{}: {reason}", prefix(url), file.location));
        }
    }
    None
}

/// What is wrong with a file, as far as its footer tells.
async fn blemish(store: &Arc<dyn ObjectStore>, file: &ObjectMeta) -> Option<String> {
    if file.size == 0 {
        return Some("the file is empty (0 bytes); write it again, or remove it".to_owned());
    }
    match DFParquetMetadata::new(store.as_ref(), file).fetch_metadata().await {
        Ok(metadata) if metadata.file_metadata().schema_descr().num_columns() == 0 => {
            Some("the file has no columns; write it again, or remove it".to_owned())
        }
        Ok(_) => None,
        Err(error) => {
            Some(of_store(&error).unwrap_or_else(|| {
                format!("not a whole Parquet file ({}); copy it again, or remove it", plain(&message(&error)))
            }))
        }
    }
}

/// A library's words without its names for itself.
fn plain(text: &str) -> &str {
    text.trim_start_matches("Parquet error: ").trim_start_matches("External: ")
}

/// A URL as people write it: local files as paths.
pub(crate) fn shown(url: &Url) -> String {
    let path = || url.to_file_path().ok().map(|path| path.display().to_string());
    path().unwrap_or_else(|| url.to_string())
}

/// What stands before the path of a file at a URL.
fn prefix(url: &ListingTableUrl) -> String {
    match url.scheme() {
        "file" => "/".to_owned(),
        _ => url.object_store().as_str().to_owned(),
    }
}
