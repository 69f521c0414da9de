//! What the session knows of files without reading them: DataFusion keeps the footers it has read for schemas and statistics.

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::TaskContext;
use nearside_device::MorselId;

/// Rows of these morsels of a partition's files. Those of files whose footer is not kept do not count.
pub(crate) fn known_rows(morsels: &[MorselId], files: &[PartitionedFile], context: &TaskContext) -> u64 {
    morsels.iter().filter_map(|morsel| row_count(*morsel, files.get(morsel.object as usize)?, context)).sum()
}

fn row_count(morsel: MorselId, file: &PartitionedFile, context: &TaskContext) -> Option<u64> {
    let cache = context.runtime_env().cache_manager.get_file_metadata_cache();
    let kept = cache.get(&file.object_meta.location).filter(|kept| kept.is_valid_for(&file.object_meta))?;
    let footer = kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?.parquet_metadata();
    footer.row_groups().get(morsel.row_group as usize)?.num_rows().try_into().ok()
}
