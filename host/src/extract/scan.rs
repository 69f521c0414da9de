//! The scan at the bottom of a chain.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;

use super::super::shape::{Shape, ShapeOutput, all_columns, conjuncts};
use crate::reason::Reason;

/// A scan of files: its configuration.
pub(crate) fn file_scan(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// A scan of Parquet files: its configuration and source.
pub(crate) fn parquet_scan(node: &Arc<dyn ExecutionPlan>) -> Result<(&FileScanConfig, &ParquetSource), Reason> {
    let config = file_scan(node).ok_or(Reason::Format { format: "no file".into() })?;
    let format = || Reason::Format { format: config.file_source().file_type().to_owned() };
    let source = config.file_source().downcast_ref::<ParquetSource>().ok_or_else(format)?;
    Ok((config, source))
}

/// What the scan alone is as a fragment.
pub(crate) fn scan_shape(config: &FileScanConfig, source: &ParquetSource) -> Result<Shape, Reason> {
    check(config, source)?;
    let table_schema = config.file_source().table_schema();
    let table = Arc::clone(table_schema.table_schema());
    let predicate = config.file_source().filter();
    let (fixed, optional) = predicate.map(|predicate| conjuncts(&predicate)).unwrap_or_default();
    // Without `pushdown_filters` the predicate only prunes: the filter stands above the scan as well.
    let filter = if source.table_parquet_options().global.pushdown_filters { fixed } else { Vec::new() };
    let columns = match config.file_source().projection() {
        Some(projection) => projection.iter().cloned().collect(),
        None => all_columns(&table),
    };
    let constants = constants(config, table_schema.table_partition_cols().len());
    Ok(Shape { table, constants, filter, optional, output: ShapeOutput::Project(columns), fetch: config.fetch() })
}

fn check(config: &FileScanConfig, source: &ParquetSource) -> Result<(), Reason> {
    let files = || config.file_groups.iter().flat_map(|group| group.iter());
    let chosen = |file: &PartitionedFile| {
        file.extension::<ParquetAccessPlan>().is_some() || file.extension::<ParquetRowSelection>().is_some()
    };
    if !config.file_source().table_schema().virtual_columns().is_empty() {
        return Err(Reason::Scan("columns that the reader makes"));
    }
    if config.expr_adapter_factory.is_some() {
        return Err(Reason::Scan("an expression adapter of its own"));
    }
    if source.table_parquet_options().crypto.file_decryption.is_some()
        || source.table_parquet_options().crypto.factory_id.is_some()
    {
        return Err(Reason::Scan("encrypted files"));
    }
    if files().any(chosen) {
        return Err(Reason::Scan("row groups chosen by an index"));
    }
    Ok(())
}

/// For each partition column its value, if all files have the same.
fn constants(config: &FileScanConfig, partition_columns: usize) -> Vec<Option<ScalarValue>> {
    let files: Vec<_> = config.file_groups.iter().flat_map(|group| group.iter()).collect();
    let value = |index: usize| {
        let (first, others) = files.split_first()?;
        let value = first.partition_values.get(index)?;
        others.iter().all(|file| file.partition_values.get(index) == Some(value)).then(|| value.clone())
    };
    (0..partition_columns).map(value).collect()
}

/// A file's URL, as the location map spells it.
pub(crate) fn file_url(store: &ObjectStoreUrl, file: &PartitionedFile) -> String {
    format!("{}{}", store.as_str(), file.path())
}
