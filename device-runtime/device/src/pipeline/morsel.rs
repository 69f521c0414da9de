//! One row group: filter columns first, one conjunct after the other, then the rest for the rows that survive.
//!
//! Rows that a conjunct drops are thrown away at once if they are many: what is decoded later is decoded for the survivors only.
//! If they are few, a bitmap goes along instead, because skipping a row here and there costs more than decoding it. The choice
//! depends on the row group alone.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use parquet::arrow::arrow_reader::RowSelection;

use super::decode::{Chunks, Decode};
use super::lane::LaneWorker;
use super::plan::{FilePlan, MorselPlan, needed_columns};
use super::zones::Statistics;
use super::{Halt, bad_object, guarded};
use crate::columnar::Program;
use crate::ledger;
use crate::media::Object;

/// Dropped rows are thrown away as soon as at most so many of so many are left.
const COMPACT_AT: (usize, usize) = (3, 4);

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
        for conjunct in 0..program.manifest().selects.len() {
            self.select(lane, conjunct, &needed_after(program, conjunct))?;
            if self.mask.as_ref().is_some_and(|mask| !mask.has_true()) {
                return Ok(());
            }
        }
        self.record.rows_selected = self.mask.as_ref().map_or(self.rows, BooleanBuffer::count_set_bits) as u64;
        self.main(lane)
    }

    /// Runs one conjunct over all rows.
    fn select(&mut self, lane: &mut LaneWorker<'_>, conjunct: usize, later: &BTreeSet<usize>) -> Result<(), Halt> {
        let mut bits = BooleanBufferBuilder::new(self.rows);
        let mut fresh: BTreeMap<usize, Chunks> = BTreeMap::new();
        let mut source = self.source(lane.run.job.program.select_columns(conjunct))?;
        while let Some(Batch { columns, rows }) = source.next(self, lane)? {
            bits.append_buffer(&lane.worker.select(conjunct, &columns, rows)?);
            for &column in source.decoded().iter().filter(|column| later.contains(column)) {
                if let Some(array) = &columns[column] {
                    fresh.entry(column).or_default().push(array.clone());
                }
            }
        }
        self.settle(lane, &source);
        self.check_end(&source)?;
        self.kept.append(&mut fresh);
        self.kept.retain(|column, _| later.contains(column));
        let selected = bits.finish();
        self.mask = Some(match &self.mask {
            Some(mask) => mask & &selected,
            None => selected,
        });
        self.compact()
    }

    /// Throws dropped rows away if they are many.
    fn compact(&mut self) -> Result<(), Halt> {
        let Some(mask) = &self.mask else { return Ok(()) };
        let left = mask.count_set_bits();
        if left == self.rows {
            self.mask = None;
        } else if left > 0 && left * COMPACT_AT.1 <= self.rows * COMPACT_AT.0 {
            for chunks in self.kept.values_mut() {
                *chunks = chunks.filter(&self.file.version.path, mask)?;
            }
            let survivors = RowSelection::from_boolean_buffer(mask.clone());
            self.selection = Some(match &self.selection {
                Some(selection) => selection.and_then(&survivors),
                None => survivors,
            });
            self.rows = left;
            self.mask = None;
        }
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
        while let Some(Batch { columns, rows }) = source.next(self, lane)? {
            let selected = self.mask.as_ref().map(|mask| mask.slice(source.position - rows, rows));
            if selected.as_ref().is_none_or(BooleanBuffer::has_true) {
                lane.main(&columns, rows, selected.as_ref())?;
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

/// Some rows.
struct Batch {
    /// An array for each column of the manifest that was asked for.
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
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
        self.position += rows;
        Ok(Some(Batch { columns, rows }))
    }
}

/// Columns that a later conjunct or `main` needs.
fn needed_after(program: &Program, conjunct: usize) -> BTreeSet<usize> {
    let selects = (conjunct + 1..program.manifest().selects.len()).flat_map(|later| program.select_columns(later));
    selects.chain(program.main_columns()).map(|&column| column as usize).collect()
}
