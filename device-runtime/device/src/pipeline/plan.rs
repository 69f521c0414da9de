//! From a request to morsels: opens the objects, checks that they are those the caller has seen, selects and prunes row groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use nearside_programs::Manifest;
use nearside_programs::manifest::Output;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::columns::Columns;
use super::footer::Footer;
use super::run::Job;
use super::zones::{self, Statistics, Test};
use crate::columnar::Program;
use crate::error::DeviceError;
use crate::ledger;
use crate::media::{Object, Version};
use crate::request::{MorselId, ObjectSlice, RowGroups};

/// What there is to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) files: Vec<FilePlan>,
    /// Row groups to read, by lane.
    pub(super) lanes: Vec<Vec<MorselPlan>>,
    /// Row groups that statistics made needless.
    pub(super) pruned: Vec<ledger::Morsel>,
    /// For pages and bloom filters.
    pub(super) tests: Vec<Test>,
    pub(super) metadata_bytes: u64,
}

/// An object of the request.
#[derive(Debug)]
pub(super) struct FilePlan {
    pub(super) version: Version,
    pub(super) footer: Arc<Footer>,
    pub(super) columns: Columns,
}

/// A row group to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct MorselPlan {
    pub(super) id: MorselId,
    pub(super) rows: u64,
    /// Compressed bytes of the columns.
    pub(super) eligible: u64,
}

impl MorselPlan {
    /// An account without entries.
    pub(super) fn record(&self) -> ledger::Morsel {
        ledger::Morsel {
            id: self.id,
            rows: self.rows,
            bytes_eligible: self.eligible,
            bytes_pruned: 0,
            bytes_read: 0,
            bytes_decoded: 0,
            rows_considered: 0,
            rows_selected: 0,
            calls: 0,
            narrow_calls: 0,
            helper_calls: 0,
            fuel: 0,
        }
    }
}

/// All columns the program needs.
pub(super) fn needed_columns(program: &Program) -> BTreeSet<usize> {
    let selects = (0..program.manifest().selects.len()).flat_map(|conjunct| program.select_columns(conjunct));
    selects.chain(program.main_columns()).map(|&column| column as usize).collect()
}

/// Plans a job; stops early with an error if `cancelled`.
pub(super) fn plan(job: &Job, cancelled: &dyn Fn() -> bool) -> Result<Plan, DeviceError> {
    let manifest = job.program.manifest();
    let tests = zones::tests(manifest, &job.parameters);
    let needed = needed_columns(&job.program);
    let mut plan = Plan { files: Vec::new(), lanes: Vec::new(), pruned: Vec::new(), tests, metadata_bytes: 0 };
    let mut morsels = Vec::new();
    for (index, slice) in job.objects.iter().enumerate() {
        if cancelled() {
            return Err(DeviceError::Busy { reason: "the caller is gone".into() });
        }
        let object = u32::try_from(index).map_err(|_| bad_request("too many objects"))?;
        let file = open(job, slice, &mut plan.metadata_bytes)?;
        let statistics = Statistics { path: &slice.path, footer: &file.footer, columns: &file.columns };
        let leaves = file.columns.leaves(needed.iter().copied());
        for row_group in wanted(slice, file.footer.metadata())? {
            let metadata = file.footer.metadata().row_group(row_group as usize);
            let morsel = MorselPlan {
                id: MorselId { object, row_group },
                rows: metadata.num_rows() as u64,
                eligible: leaves.iter().map(|&leaf| metadata.column(leaf).compressed_size() as u64).sum(),
            };
            if morsel.rows > 0 && statistics.row_group_may_hold(row_group as usize, &plan.tests) {
                morsels.push(morsel);
            } else {
                plan.pruned.push(ledger::Morsel { bytes_pruned: morsel.eligible, ..morsel.record() });
            }
        }
        plan.files.push(file);
    }
    plan.lanes = lanes(manifest, morsels, job.environment.config.lane_rows);
    Ok(plan)
}

fn open(job: &Job, slice: &ObjectSlice, metadata_bytes: &mut u64) -> Result<FilePlan, DeviceError> {
    let object = job.environment.medium.open(&slice.path, &job.runtime)?;
    check_version(slice, &object)?;
    let (footer, read) = job.environment.footers.get(&object)?;
    *metadata_bytes += read;
    let columns = Columns::find(&slice.path, &footer, &job.schema, job.program.manifest())?;
    Ok(FilePlan { version: object.version, footer, columns })
}

fn check_version(slice: &ObjectSlice, object: &Object) -> Result<(), DeviceError> {
    let changed = |reason| Err(DeviceError::Changed { path: slice.path.clone(), reason });
    let version = &object.version;
    if version.size != slice.size {
        return changed(format!("it has {} bytes, the table has seen {}", version.size, slice.size));
    }
    match (&version.etag, &slice.etag) {
        (Some(here), Some(seen)) if here != seen => changed(format!("its ETag is {here}, the table has seen {seen}")),
        _ => Ok(()),
    }
}

fn wanted(slice: &ObjectSlice, metadata: &ParquetMetaData) -> Result<Vec<u32>, DeviceError> {
    let count = u32::try_from(metadata.num_row_groups()).map_err(|_| bad_request("too many row groups"))?;
    match &slice.row_groups {
        RowGroups::All => Ok((0..count).collect()),
        RowGroups::Starting { start, end } => {
            let starts_here = |&index: &u32| (*start..*end).contains(&first_page(metadata.row_group(index as usize)));
            Ok((0..count).filter(starts_here).collect())
        }
        RowGroups::Only(indexes) => {
            let unique: BTreeSet<u32> = indexes.iter().copied().collect();
            if unique.len() != indexes.len() || unique.last().is_some_and(|&last| last >= count) {
                return Err(bad_request(&format!("{} has {count} row groups; {indexes:?} are asked for", slice.path)));
            }
            Ok(indexes.clone())
        }
    }
}

/// Where the first column's first page starts, as DataFusion's `prune_by_range` has it.
fn first_page(row_group: &RowGroupMetaData) -> u64 {
    let Some(column) = row_group.columns().first() else { return 0 };
    column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset()) as u64
}

/// A projection's morsels each go alone; an aggregate's in runs of about `lane_rows` rows.
fn lanes(manifest: &Manifest, morsels: Vec<MorselPlan>, lane_rows: u64) -> Vec<Vec<MorselPlan>> {
    let Output::Aggregate { keys, .. } = &manifest.output else {
        return morsels.into_iter().map(|morsel| vec![morsel]).collect();
    };
    if morsels.is_empty() {
        // Without keys there is a row even of nothing.
        return if keys.is_empty() { vec![Vec::new()] } else { Vec::new() };
    }
    let rows: u64 = morsels.iter().map(|morsel| morsel.rows).sum();
    let count = rows.div_ceil(lane_rows.max(1)).max(1);
    let mut lanes: Vec<Vec<MorselPlan>> = Vec::new();
    let (mut before, mut current) = (0, None);
    for morsel in morsels {
        let lane = u128::from(before) * u128::from(count) / u128::from(rows.max(1));
        let same = current.replace(lane) == Some(lane);
        match lanes.last_mut() {
            Some(last) if same => last.push(morsel),
            _ => lanes.push(vec![morsel]),
        }
        before += morsel.rows;
    }
    lanes
}

fn bad_request(reason: &str) -> DeviceError {
    DeviceError::BadRequest { reason: reason.to_owned() }
}
