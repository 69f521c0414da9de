//! Which files a plan reads.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use nearside::Reason;
use nearside_device::DeviceError;
use parquet::errors::ParquetError;

use super::failure::{Failure, message, of_store, unreachable};

/// The failure of a plan that ran; where a file could not be decoded, with its name.
pub(crate) fn blame(plan: &Arc<dyn ExecutionPlan>, error: &DataFusionError) -> Failure {
    let text = message(error);
    let accused = accused(plan);
    if unreachable(error).is_some() || (accused.is_none() && !is_about_a_file(error)) {
        return Failure::query(text);
    }
    let mut files = files(plan);
    if let Some(path) = accused {
        files.retain(|file| *file == path);
    }
    let (first, others) = (files.first(), files.len().saturating_sub(1));
    let place = match (first, others) {
        (None, _) => return Failure::query(text),
        (Some(file), 0) => file.clone(),
        (Some(file), others) => format!("{file} or one of {others} others that the query reads"),
    };
    let way_out = if of_store(error).is_some() { "" } else { "; copy the file again, or remove it" };
    Failure::query(format!("{place}: {text}{way_out}"))
}

/// The file that a device could not read.
fn accused(plan: &Arc<dyn ExecutionPlan>) -> Option<String> {
    nearside::account(plan).fallbacks.into_iter().find_map(|reason| match reason {
        Reason::Device(DeviceError::BadObject { path, .. }) => Some(path),
        _ => None,
    })
}

/// Whether a decoder is behind an error.
pub(crate) fn is_about_a_file(error: &DataFusionError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ParquetError>() || matches!(error.downcast_ref(), Some(ArrowError::ParquetError(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether an operator has no input and no scan either: as DataFusion plans a table without files.
pub(crate) fn has_empty_input(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<EmptyExec>() || plan.is::<PlaceholderRowExec>() || plan.children().into_iter().any(has_empty_input)
}

/// All files of a plan's scans, by the paths that their stores know them by.
fn files(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    collect_files(plan, &mut files);
    files
}

fn collect_files(plan: &Arc<dyn ExecutionPlan>, files: &mut BTreeSet<String>) {
    let scan = plan.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
    if let Some(scan) = scan {
        let prefix = scan.object_store_url.as_str();
        let paths = scan.file_groups.iter().flat_map(FileGroup::iter).map(|file| file.object_meta.location.as_ref());
        files.extend(paths.map(|path| format!("{}{path}", prefix.strip_prefix("file://").unwrap_or(prefix))));
    }
    plan.children().into_iter().for_each(|child| collect_files(child, files));
}
