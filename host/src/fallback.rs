//! The plan for what a device did not deliver: one partition's files, without the row groups that are done.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetAccessPlan};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use nearside_device::MorselId;

use crate::extract::over;
use crate::shape::conjuncts;

/// The scan at the bottom of a plan of single-input operators.
pub(crate) fn scan_config(plan: &Arc<dyn ExecutionPlan>) -> Result<&FileScanConfig> {
    let mut node = plan;
    loop {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
            let config = scan.data_source().downcast_ref::<FileScanConfig>();
            return config.ok_or_else(|| internal_datafusion_err!("an offloaded scan reads files"));
        }
        node = match node.children().as_slice() {
            [child] => child,
            _ => return Err(internal_datafusion_err!("an offloaded plan is a chain over a scan")),
        };
    }
}

/// The files of one partition.
pub(crate) fn files(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<&[PartitionedFile]> {
    let group = scan_config(plan)?.file_groups.get(partition);
    group.map(FileGroup::files).ok_or_else(|| internal_datafusion_err!("there is no partition {partition}"))
}

/// `plan` over what is missing of one partition, as a plan of one partition.
///
/// Never the plan's own partition: DataFusion's scans steal files from each other.
pub(crate) async fn remaining_plan(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    done: &BTreeSet<MorselId>,
    context: &TaskContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    let config = scan_config(plan)?;
    let mut remaining = Vec::new();
    for (index, file) in files(plan, partition)?.iter().enumerate() {
        let object = u32::try_from(index).unwrap_or(u32::MAX);
        let row_groups: Vec<_> = done.iter().filter(|morsel| morsel.object == object).map(|morsel| morsel.row_group).collect();
        remaining.push(match row_groups.as_slice() {
            [] => file.clone(),
            _ => without(file, &row_groups, config, context).await?,
        });
    }
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(vec![FileGroup::new(remaining)])
        .with_output_partitioning(None)
        .build();
    replace_scan(plan, DataSourceExec::from_data_source(config))
}

/// `plan` as if there were no dynamic filters: which rows these leave depends on when they are asked.
pub(crate) fn without_dynamic_filters(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut config = scan_config(plan)?.clone();
    let source = config.file_source().downcast_ref::<ParquetSource>();
    if let (Some(source), Some(predicate)) = (source, config.file_source().filter()) {
        let (fixed, _) = conjuncts(&predicate);
        config.file_source = Arc::new(source.with_predicate(conjunction(fixed)));
    }
    replace_scan(plan, DataSourceExec::from_data_source(config))
}

/// The file without these row groups; its byte range, if it has one, still applies.
async fn without(
    file: &PartitionedFile,
    row_groups: &[u32],
    config: &FileScanConfig,
    context: &TaskContext,
) -> Result<PartitionedFile> {
    let store = context.runtime_env().object_store(&config.object_store_url)?;
    let readers = DefaultParquetFileReaderFactory::new(store);
    let mut reader = readers.create_reader(0, file.clone(), file.metadata_size_hint, &ExecutionPlanMetricsSet::new())?;
    let metadata = reader.get_metadata(None).await.map_err(|error| DataFusionError::ParquetError(Box::new(error)))?;
    let mut plan = ParquetAccessPlan::new_all(metadata.num_row_groups());
    for row_group in row_groups.iter().map(|row_group| *row_group as usize).filter(|index| *index < metadata.num_row_groups()) {
        plan.skip(row_group);
    }
    Ok(file.clone().with_extension(plan))
}

fn replace_scan(plan: &Arc<dyn ExecutionPlan>, scan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    match plan.children().as_slice() {
        [] => Ok(scan),
        [child] => over(plan, replace_scan(child, scan)?),
        _ => Err(internal_datafusion_err!("an offloaded plan is a chain over a scan")),
    }
}
