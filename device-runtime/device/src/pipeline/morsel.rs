//! One row group: filter columns first, then the rest for the rows that survive.
//!
//! The filter runs in stages. If the rows that a stage drops lie together, they are skipped from then on: what is decoded later is
//! decoded for the survivors only. If they are scattered, skipping a row here and there costs more than decoding it: a bitmap goes
//! along instead, and what is left of the filter runs in one stage, batch by batch. The choice depends on the row group alone.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use parquet::arrow::arrow_reader::RowSelection;

use super::batch::{self, Batch, columns_of};
use super::decode::{Chunks, Decode};
use super::lane::LaneWorker;
use super::plan::{FilePlan, MorselPlan, needed_columns};
use super::zones::Statistics;
use super::{Halt, bad_object, guarded};
use crate::columnar::Program;
use crate::ledger;
use crate::media::Object;

/// Dropped rows are skipped if at most so many of so many are left.
const SKIP_AT: (usize, usize) = (3, 4);

/// And if the runs of dropped and of surviving rows are so long on average: below, the Parquet reader decodes all rows too.
const SKIP_RUN: usize = 32;

/// Bytes that a decoded value takes at most, besides text: a decimal, a view.
const DECODED_WIDTH: u64 = 16;

/// Runs a morsel; `record` is its account, also if it does not come to its end.
pub(super) fn run(lane: &mut LaneWorker<'_>, plan: &MorselPlan, record: &mut ledger::Morsel) -> Result<(), Halt> {
    let run = lane.run;
    let file = &run.plan.files[plan.id.object as usize];
    let object = run.job.environment.medium.reopen(&file.version, &run.job.runtime)?;
    let Some(selection) = pages(lane, plan, file, &object)? else {
        record.bytes_pruned = plan.eligible;
        return Ok(());
    };
    let rows = selection.as_ref().map_or(plan.rows as usize, RowSelection::row_count);
    let (file_row_group, kept) = (plan.id.row_group as usize, BTreeMap::new());
    let mut morsel = Morsel { file, object: &object, row_group: file_row_group, selection, rows, mask: None, kept, record };
    morsel.record.rows_considered = rows as u64;
    morsel.record.bytes_pruned = plan.eligible.saturating_sub(morsel.bytes_to_read(&run.job.program));
    let _reservation = run.job.environment.memory.reserve(morsel.memory(&run.job.program))?;
    morsel.run(lane)
}

/// The pages to look at (`Some(None)`: all of them), or `None` if no row can satisfy the bounds.
fn pages(
    lane: &mut LaneWorker<'_>,
    plan: &MorselPlan,
    file: &FilePlan,
    object: &Object,
) -> Result<Option<Option<RowSelection>>, Halt> {
    let tests = &lane.run.plan.tests;
    let row_group = plan.id.row_group as usize;
    let statistics = Statistics { path: &file.version.path, footer: &file.footer, columns: &file.columns };
    let (may_hold, read) = statistics.blooms_may_hold(object, row_group, tests)?;
    lane.tally.metadata_bytes += read;
    if !may_hold {
        return Ok(None);
    }
    let selection = statistics.pages_that_may_hold(row_group, tests);
    Ok(if selection.as_ref().is_some_and(|selection| selection.row_count() == 0) { None } else { Some(selection) })
}

struct Morsel<'a> {
    file: &'a FilePlan,
    object: &'a Object,
    row_group: usize,
    /// The rows of the row group that are still of interest; `None`: all.
    selection: Option<RowSelection>,
    /// How many those are.
    rows: usize,
    /// Which of those all conjuncts so far select; `None`: all.
    mask: Option<BooleanBuffer>,
    /// Columns of those that were decoded and are needed again.
    kept: BTreeMap<usize, Chunks>,
    record: &'a mut ledger::Morsel,
}

impl<'a> Morsel<'a> {
    fn run(&mut self, lane: &mut LaneWorker<'_>) -> Result<(), Halt> {
        let program = &lane.run.job.program;
        let mut conjuncts: Vec<usize> = (0..program.manifest().selects.len()).collect();
        while !conjuncts.is_empty() {
            let stage = self.next_stage(program, &mut conjuncts);
            if conjuncts.is_empty() && self.is_last(program, &stage) {
                return self.filter_and_aggregate(lane, &stage);
            }
            let later =
                columns_of(program, &conjuncts).iter().chain(program.main_columns()).map(|&column| column as usize).collect();
            self.select(lane, &stage, &later)?;
            if self.mask.as_ref().is_some_and(|mask| !mask.has_true()) {
                return Ok(());
            }
            self.skip_dropped()?;
        }
        self.record.rows_selected = self.mask.as_ref().map_or(self.rows, BooleanBuffer::count_set_bits) as u64;
        self.main(lane)
    }

    /// Takes the conjuncts to run next: if dropped rows can be skipped, one, and those that need no other columns; else all.
    fn next_stage(&self, program: &Program, conjuncts: &mut Vec<usize>) -> Vec<usize> {
        if self.mask.is_some() {
            return std::mem::take(conjuncts);
        }
        let first = program.select_columns(conjuncts[0]);
        let is_here = |column: &u32| first.contains(column) || self.kept.contains_key(&(*column as usize));
        conjuncts.extract_if(.., |conjunct| program.select_columns(*conjunct).iter().all(is_here)).collect()
    }

    /// Whether the output needs no other columns than these conjuncts, the last ones, and so can be made with them.
    fn is_last(&self, program: &Program, conjuncts: &[usize]) -> bool {
        let here = columns_of(program, conjuncts);
        let is_here = |column: &u32| here.contains(column) || self.kept.contains_key(&(*column as usize));
        program.filters_in_main(conjuncts) && program.main_columns().iter().all(is_here)
    }

    /// Runs the last conjuncts over all rows, and aggregates those that pass.
    fn filter_and_aggregate(&mut self, lane: &mut LaneWorker<'_>, conjuncts: &[usize]) -> Result<(), Halt> {
        let program = &lane.run.job.program;
        let columns: BTreeSet<u32> = columns_of(program, conjuncts).iter().chain(program.main_columns()).copied().collect();
        let mut source = self.source(&columns.into_iter().collect::<Vec<_>>())?;
        let result = self.filter_and_aggregate_batches(lane, conjuncts, &mut source);
        self.settle(lane, &source);
        self.record.rows_selected = result?;
        self.check_end(&source)
    }

    fn filter_and_aggregate_batches(
        &self,
        lane: &mut LaneWorker<'_>,
        conjuncts: &[usize],
        source: &mut Source<'_>,
    ) -> Result<u64, Halt> {
        let mut passed = 0;
        while let Some(batch) = source.next(self, lane)? {
            if !batch.is_void() {
                passed += lane.filter_and_aggregate(conjuncts, &batch)?;
            }
        }
        Ok(passed)
    }

    /// Runs some conjuncts over all rows.
    fn select(&mut self, lane: &mut LaneWorker<'_>, conjuncts: &[usize], later: &BTreeSet<usize>) -> Result<(), Halt> {
        let program = &lane.run.job.program;
        let mut bits = BooleanBufferBuilder::new(self.rows);
        let mut fresh: BTreeMap<usize, Chunks> = BTreeMap::new();
        let mut source = self.source(&columns_of(program, conjuncts))?;
        while let Some(batch) = source.next(self, lane)? {
            for &column in source.decoded().iter().filter(|column| later.contains(column)) {
                if let Some(array) = &batch.columns[column] {
                    fresh.entry(column).or_default().push(array.clone());
                }
            }
            let rows = batch.rows;
            match batch::select(&mut lane.worker, program, conjuncts, batch)? {
                Some(selected) => bits.append_buffer(&selected),
                None => bits.append_n(rows, true),
            }
        }
        self.settle(lane, &source);
        self.check_end(&source)?;
        self.kept.append(&mut fresh);
        self.kept.retain(|column, _| later.contains(column));
        self.mask = Some(bits.finish());
        Ok(())
    }

    /// Takes dropped rows out of the selection if that spares decoding.
    fn skip_dropped(&mut self) -> Result<(), Halt> {
        let Some(mask) = self.mask.take() else { return Ok(()) };
        let left = mask.count_set_bits();
        if left == self.rows {
            return Ok(());
        }
        if left * SKIP_AT.1 > self.rows * SKIP_AT.0 || !has_long_runs(&mask) {
            self.mask = Some(mask);
            return Ok(());
        }
        for chunks in self.kept.values_mut() {
            *chunks = chunks.filter(&self.file.version.path, &mask)?;
        }
        let survivors = RowSelection::from_boolean_buffer(mask);
        self.selection = Some(match &self.selection {
            Some(selection) => selection.and_then(&survivors),
            None => survivors,
        });
        self.rows = left;
        Ok(())
    }

    /// Projects or aggregates the selected rows.
    fn main(&mut self, lane: &mut LaneWorker<'_>) -> Result<(), Halt> {
        let mut source = self.source(lane.run.job.program.main_columns())?;
        let result = self.main_batches(lane, &mut source);
        self.settle(lane, &source);
        result?;
        self.check_end(&source)
    }

    fn main_batches(&self, lane: &mut LaneWorker<'_>, source: &mut Source<'_>) -> Result<(), Halt> {
        let program = &lane.run.job.program;
        let (needed, skips) = (program.main_columns(), program.main_skips_rows());
        while let Some(batch) = source.next(self, lane)? {
            if !batch.is_void() {
                let compact = if skips { None } else { batch.compacted_if_sparse(needed)? };
                lane.main(&compact.unwrap_or(batch))?;
            }
        }
        Ok(())
    }

    /// The rows with some columns: kept ones and ones to decode.
    fn source(&self, needed: &[u32]) -> Result<Source<'a>, Halt> {
        let (kept, missing): (Vec<usize>, Vec<usize>) =
            needed.iter().map(|&column| column as usize).partition(|column| self.kept.contains_key(column));
        let decode = match missing.is_empty() {
            true => None,
            false => Some(Decode::new(self.object, &self.file.columns, self.row_group, missing, self.selection.clone())?),
        };
        Ok(Source { kept, decode, position: 0 })
    }

    fn settle(&mut self, lane: &mut LaneWorker<'_>, source: &Source<'_>) {
        let spent = source.decode.as_ref().map(|decode| decode.spent).unwrap_or_default();
        self.record.bytes_read += spent.bytes_read;
        self.record.bytes_decoded += spent.bytes_decoded;
        lane.tally.timing.read_ns += spent.read_ns;
        lane.tally.timing.decode_ns += spent.decode_ns;
    }

    fn check_end(&self, source: &Source<'_>) -> Result<(), Halt> {
        match source.position == self.rows {
            true => Ok(()),
            false => Err(self.wrong_rows(source.position)),
        }
    }

    fn wrong_rows(&self, found: usize) -> Halt {
        let reason = format!("row group {} has {found} rows where its metadata promises {}", self.row_group, self.rows);
        bad_object(&self.file.version.path, reason).into()
    }

    /// Compressed bytes of the pages that page pruning left.
    fn bytes_to_read(&self, program: &Program) -> u64 {
        let metadata = self.file.footer.metadata();
        let row_group = metadata.row_group(self.row_group);
        let leaves = self.file.columns.leaves(needed_columns(program));
        let bytes = leaves.into_iter().map(|leaf| {
            let column = row_group.column(leaf);
            let whole = column.compressed_size() as u64;
            let pages = metadata.offset_index().and_then(|index| Some(index.get(self.row_group)?.get(leaf)?.page_locations()));
            let (Some(selection), Some(pages)) = (&self.selection, pages) else { return whole };
            let first = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset()) as u64;
            let dictionary = pages.first().map_or(0, |page| (page.offset as u64).saturating_sub(first));
            let selected = guarded(&self.file.version.path, || Ok(selection.scan_ranges(pages)));
            let selected =
                selected.map_or(whole, |ranges| ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum());
            selected.saturating_add(dictionary).min(whole)
        });
        bytes.sum()
    }

    /// Most bytes this row group will take: what is read of it, and what is decoded of the filter columns before `main` begins.
    fn memory(&self, program: &Program) -> u64 {
        let row_group = self.file.footer.metadata().row_group(self.row_group);
        let filters: BTreeSet<usize> = (0..program.manifest().selects.len())
            .flat_map(|conjunct| program.select_columns(conjunct).iter().map(|&column| column as usize))
            .collect();
        let decoded = self.file.columns.leaves(filters).into_iter().map(|leaf| {
            let encoded = row_group.column(leaf).uncompressed_size() as u64;
            encoded.max(row_group.num_rows() as u64 * DECODED_WIDTH)
        });
        decoded.fold(self.bytes_to_read(program), u64::saturating_add)
    }
}

/// The rows of a morsel in batches, with some of its columns.
struct Source<'a> {
    kept: Vec<usize>,
    decode: Option<Decode<'a>>,
    /// Rows delivered.
    position: usize,
}

impl Source<'_> {
    /// The columns that are decoded here.
    fn decoded(&self) -> &[usize] {
        self.decode.as_ref().map_or(&[], Decode::wanted)
    }

    /// The next batch; `None` after the last.
    fn next(&mut self, morsel: &Morsel<'_>, lane: &mut LaneWorker<'_>) -> Result<Option<Batch>, Halt> {
        lane.check()?;
        let (fresh, rows) = match &mut self.decode {
            Some(decode) => match decode.next(lane)? {
                Some(batch) => batch,
                None => return Ok(None),
            },
            None if self.position == morsel.rows => return Ok(None),
            None => (Vec::new(), (morsel.rows - self.position).min(BATCH_ROWS_MAX as usize)),
        };
        if self.position + rows > morsel.rows {
            return Err(morsel.wrong_rows(self.position + rows));
        }
        let mut columns = vec![None; lane.run.job.schema.fields().len()];
        for &column in &self.kept {
            let chunks = &morsel.kept[&column];
            columns[column] = Some(chunks.slice(&morsel.file.version.path, self.position, rows)?);
        }
        for (&column, array) in self.decoded().iter().zip(fresh) {
            columns[column] = Some(array);
        }
        let selected = morsel.mask.as_ref().map(|mask| mask.slice(self.position, rows));
        self.position += rows;
        Ok(Some(Batch { columns, rows, selected }))
    }
}

/// Whether rows that are left and rows that are not form runs that are worth skipping.
fn has_long_runs(mask: &BooleanBuffer) -> bool {
    // As many runs of dropped rows lie between those that are counted, and one more.
    let runs_max = (mask.len() / SKIP_RUN).saturating_sub(1) / 2;
    mask.set_slices().take(runs_max + 1).count() <= runs_max
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of 32 rows on average are worth skipping, shorter ones are not.
    #[test]
    fn runs() {
        let mask = |run: usize| BooleanBuffer::from_iter((0..64_000).map(|row| row / run % 2 == 1));
        assert!(has_long_runs(&mask(40)));
        assert!(!has_long_runs(&mask(30)));
        assert!(has_long_runs(&BooleanBuffer::from_iter((0..64_000).map(|row| row == 77))));
    }
}
