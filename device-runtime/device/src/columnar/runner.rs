//! One call of an entry point: columns into the cage, context, run, result.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use nearside_engine::{Fuel, Module};
use nearside_programs::abi::columnar::FAULT_ARITHMETIC;
use nearside_programs::manifest::RangeStep;
use nearside_programs::{Parameters, ValueType};

use super::Counters;
use super::batch::Batch;
use super::bitmap;
use super::helpers::{BatchHelpers, State};
use super::layout::{Call, INPUT, Layout, WORK};
use super::load::{self, Plain};
use super::pool::PooledCage;
use super::program::{Entry, Program};
use super::proof::{self, Interval};
use super::stopwatch::Stopwatch;
use super::vector;
use crate::{DeviceError, Options};

/// Fuel of any call: enough for whatever a program does once.
const FUEL_BASE: u64 = 1 << 24;

/// Fuel for each row and slot of the program: an honest program executes each slot a few times a row at most.
const FUEL_PER_ROW_AND_SLOT: u64 = 8;

/// Fuel for each byte of text in the batch: helpers may look at it as often.
const FUEL_PER_TEXT_BYTE: u64 = 64;

/// The cage of one worker and what is needed to run in it.
pub(super) struct Runner {
    pub(super) program: Arc<Program>,
    pub(super) layout: Arc<Layout>,
    pub(super) parameters: Arc<Parameters>,
    pub(super) counters: Counters,
    /// `None` if the program has no code, so no entry points.
    module: Option<Module>,
    cage: PooledCage,
    /// Budget of a call, if the request names one.
    fuel: Option<u64>,
    /// Executions and instructions by a basic block's first slot, if they are asked for.
    pub(super) blocks: Option<BTreeMap<u32, (u64, u64)>>,
    /// Bytes of each column's values array that may not be zero.
    filled: Vec<usize>,
    /// By column: its validity bitmap is known to be ones for so many rows, and zeros beyond.
    valid: Vec<Option<usize>>,
    /// Batches loaded so far.
    loaded: u64,
    /// Of the batch that is loaded.
    stopwatch: Stopwatch,
}

/// A runner without its cage.
pub(super) struct Unbound {
    program: Arc<Program>,
    layout: Arc<Layout>,
    parameters: Arc<Parameters>,
    counters: Counters,
    module: Option<Module>,
    fuel: Option<u64>,
    blocks: Option<BTreeMap<u32, (u64, u64)>>,
}

/// Which version of an entry point a batch runs.
#[derive(Clone, Copy)]
pub(super) struct Version {
    start: u32,
    is_narrow: bool,
}

/// What a call gets beside the batch.
pub(super) struct Arguments {
    pub(super) version: Version,
    pub(super) first: usize,
    pub(super) capacity: usize,
    /// Address of the bitmap with the rows to look at.
    pub(super) selection: u32,
}

/// What a call returned.
pub(super) struct Returned {
    /// r0: the end of the rows consumed, as the program says, or the first of its entry points that does not consume all.
    pub(super) end: u64,
    /// The end of the rows `group_ids` mapped, if it was called.
    pub(super) mapped: Option<usize>,
}

impl Unbound {
    pub(super) fn new(
        program: Arc<Program>,
        layout: Arc<Layout>,
        parameters: Arc<Parameters>,
        module: Option<Module>,
        options: &Options,
    ) -> Self {
        let blocks = options.count_instructions.then(BTreeMap::new);
        Self { program, layout, parameters, counters: Counters::default(), module, fuel: options.fuel, blocks }
    }
}

impl Runner {
    /// Takes a cage and writes into it what no call changes.
    pub(super) fn bind(unbound: Unbound) -> Result<Self, DeviceError> {
        let Unbound { program, layout, parameters, counters, module, fuel, blocks } = unbound;
        let mut cage = PooledCage::take(&program, &layout)?;
        layout.write_constants(program.manifest(), &parameters, cage.region_mut(INPUT));
        let (filled, valid) = (vec![0; layout.columns.len()], vec![None; layout.columns.len()]);
        let (loaded, stopwatch) = (0, Stopwatch::of_call(0));
        Ok(Self { program, layout, parameters, counters, module, cage, fuel, blocks, filled, valid, loaded, stopwatch })
    }

    /// Gives the cage back.
    pub(super) fn unbind(self) -> Unbound {
        let Self { program, layout, parameters, counters, module, fuel, blocks, .. } = self;
        Unbound { program, layout, parameters, counters, module, fuel, blocks }
    }

    /// Copies what an entry point wants to see of a batch, and decides which version it runs.
    pub(super) fn load(&mut self, entry: &Entry, batch: &Batch<'_>) -> Result<Version, DeviceError> {
        self.stopwatch = Stopwatch::of_call(self.loaded);
        self.loaded += 1;
        let begin = self.stopwatch.begin();
        self.load_validity(entry, batch)?;
        let version = self.load_values(entry, batch)?;
        self.counters.assemble_ns += self.stopwatch.end(begin);
        Ok(version)
    }

    /// The selection bitmap in the cage.
    pub(super) fn selection_mut(&mut self) -> &mut [u8] {
        let place = self.layout.selection;
        place.of_mut(self.cage.region_mut(INPUT))
    }

    /// Has conjuncts take rows out of the result: before the first, it is the selection.
    pub(super) fn begin_select(&mut self) {
        let Layout { result, selection, .. } = &*self.layout;
        let [input, work] = self.cage.regions_mut([INPUT, WORK]);
        result.of_mut(work).copy_from_slice(selection.of(input));
    }

    /// Whether conjuncts have left any row.
    pub(super) fn has_selected(&self) -> bool {
        self.layout.result.of(self.work()).iter().any(|byte| *byte != 0)
    }

    /// How many rows the selection has.
    pub(super) fn selected_rows(&self) -> u64 {
        vector::count(self.layout.selection.of(self.cage.region(INPUT)).as_chunks().0)
    }

    /// Leaves in the selection what the result has, too, and returns how many rows those are. The program cannot write the selection.
    pub(super) fn end_select(&mut self, rows: usize) -> u64 {
        let Layout { result, selection, .. } = &*self.layout;
        let [input, work] = self.cage.regions_mut([INPUT, WORK]);
        let (selection, result) = (selection.of_mut(input).as_chunks_mut().0, result.of(work).as_chunks().0);
        let words = rows.div_ceil(64);
        vector::intersect(&mut selection[..words], &result[..words])
    }

    /// Region [`WORK`].
    pub(super) fn work(&self) -> &[u8] {
        self.cage.region(WORK)
    }

    /// Any region.
    pub(super) fn region(&self, index: usize) -> &[u8] {
        self.cage.region(index)
    }

    /// Any region, to write.
    pub(super) fn region_mut(&mut self, index: usize) -> &mut [u8] {
        self.cage.region_mut(index)
    }

    /// Makes a region longer.
    pub(super) fn grow(&mut self, index: usize, len: u32) -> Result<(), DeviceError> {
        self.cage.grow(index, len).map_err(|error| DeviceError::Busy { reason: error.to_string() })
    }

    /// Runs an entry point, and what it says runs then, over a loaded batch whose selection is in the cage.
    ///
    /// # Errors
    /// [`DeviceError::Trap`], also if the program leaves a row to the host.
    pub(super) fn call(
        &mut self,
        entry: &Entry,
        batch: &Batch<'_>,
        state: &mut State,
        arguments: &Arguments,
    ) -> Result<Returned, DeviceError> {
        let budget = self.fuel.unwrap_or_else(|| self.budget(batch));
        let Self { program, layout, counters, module, cage, blocks, stopwatch, .. } = self;
        let module =
            module.as_ref().ok_or_else(|| DeviceError::Internal { reason: "a program without code was called".into() })?;
        let Arguments { version, first, capacity, selection } = *arguments;
        let context = Call {
            table: entry.table,
            selection,
            row_count: batch.rows as u32,
            first_row: first as u32,
            group_capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
        };
        layout.write_context(&context, cage.region_mut(INPUT));
        let context_address = u64::from(layout.context.address);
        counters.calls += 1 + entry.then.len() as u64;
        counters.narrow_calls += u64::from(version.is_narrow);
        let helper_ns = counters.helper_ns;
        let mut helpers = BatchHelpers {
            manifest: program.manifest(),
            entry,
            layout,
            batch,
            state,
            counters,
            first,
            capacity,
            selection,
            mapped: None,
            stopwatch: *stopwatch,
            error: None,
        };
        let mut fuel = Fuel(budget);
        let begin = stopwatch.begin();
        let registers = [context_address, 0, 0, 0, 0];
        let mut run = |start| match blocks {
            None => module.run(cage, start, registers, &mut fuel, &mut helpers),
            Some(blocks) => {
                let counted = module.run_counting(cage, start, registers, &mut fuel, &mut helpers);
                for block in counted.blocks {
                    let (executions, instructions) = blocks.entry(block.first_slot).or_default();
                    *executions += block.executions;
                    *instructions += block.instructions;
                }
                counted.result
            }
        };
        let mut result = run(version.start);
        for start in &entry.then {
            if result.as_ref().is_ok_and(|end| *end == batch.rows as u64) {
                result = run(*start);
            }
        }
        let ns = stopwatch.end(begin);
        let (mapped, error) = (helpers.mapped, helpers.error);
        counters.bytecode_ns += ns.saturating_sub(counters.helper_ns - helper_ns);
        counters.fuel += budget - fuel.0;
        match (error, result) {
            (Some(error), _) => Err(error),
            (None, Err(trap)) => Err(DeviceError::Trap { reason: trap.to_string() }),
            (None, Ok(FAULT_ARITHMETIC)) => Err(DeviceError::hosts_row()),
            (None, Ok(end)) => Ok(Returned { end, mapped }),
        }
    }

    fn budget(&self, batch: &Batch<'_>) -> u64 {
        let rows = batch.rows as u64;
        let code = rows.saturating_mul(self.program.slot_count()).saturating_mul(FUEL_PER_ROW_AND_SLOT);
        let text = batch.text_bytes(&self.program.manifest().columns).saturating_mul(FUEL_PER_TEXT_BYTE);
        FUEL_BASE.saturating_add(code).saturating_add(text)
    }

    fn load_validity(&mut self, entry: &Entry, batch: &Batch<'_>) -> Result<(), DeviceError> {
        let Self { layout, cage, valid, .. } = self;
        let input = cage.region_mut(INPUT);
        for &column in &entry.named {
            let bitmap = layout.columns[column as usize].validity.of_mut(input);
            let known = &mut valid[column as usize];
            match batch.array(column)?.as_ref().logical_nulls() {
                Some(nulls) => {
                    bitmap::write(nulls.inner(), bitmap);
                    *known = None;
                }
                None if *known == Some(batch.rows) => {}
                None => {
                    bitmap::write_ones(0, batch.rows, bitmap);
                    *known = Some(batch.rows);
                }
            }
        }
        Ok(())
    }

    fn load_values(&mut self, entry: &Entry, batch: &Batch<'_>) -> Result<Version, DeviceError> {
        if entry.loads.is_empty() && entry.narrow.is_none() {
            return Ok(Version { start: entry.general, is_narrow: false });
        }
        let arrays = entry.loads.iter().map(|column| Ok((*column, load::plain(batch.array(*column)?)?)));
        let arrays = arrays.collect::<Result<Vec<_>, DeviceError>>()?;
        if let Some((start, proof)) = &entry.narrow
            && self.load_narrow(&arrays, proof, batch)
        {
            return Ok(Version { start: *start, is_narrow: true });
        }
        for (column, array) in &arrays {
            self.load_column(*column, |value_type, out| load::values(&**array, value_type, out));
        }
        Ok(Version { start: entry.general, is_narrow: false })
    }

    /// Copies with 8-byte decimals; false if the batch has to run the general version.
    fn load_narrow(&mut self, arrays: &[(u32, Plain<'_>)], proof: &[RangeStep], batch: &Batch<'_>) -> bool {
        let mut decimals: Vec<(u32, Interval)> = Vec::new();
        for (column, array) in arrays {
            let Some(values) = array.as_primitive_opt::<Decimal128Type>() else { continue };
            let mut range = None;
            self.load_column(*column, |_, out| {
                range = load::narrow_decimals(values, out);
                values.len() * 8
            });
            match range {
                Some(range) => decimals.push((*column, range)),
                None => return false,
            }
        }
        let specs = &self.program.manifest().columns;
        let range = |column: u32| match decimals.iter().find(|(known, _)| *known == column) {
            Some((_, range)) => Some(*range),
            None => load::range(&*load::plain(batch.array(column).ok()?).ok()?, specs.get(column as usize)?.value_type),
        };
        if !proof::holds(proof, range, |slot| parameter_range(&self.parameters, slot)) {
            return false;
        }
        for (column, array) in arrays.iter().filter(|(column, _)| decimals.iter().all(|(known, _)| known != column)) {
            self.load_column(*column, |value_type, out| load::values(&**array, value_type, out));
        }
        true
    }

    /// Lets `write` fill a column's values array from the front, and zeroes what is left of an earlier batch behind that.
    fn load_column(&mut self, column: u32, write: impl FnOnce(ValueType, &mut [u8]) -> usize) {
        let Self { program, layout, cage, filled, .. } = self;
        let index = column as usize;
        let value_type = program.manifest().columns[index].value_type;
        let out = layout.columns[index].values.of_mut(cage.region_mut(INPUT));
        let written = write(value_type, out);
        if filled[index] > written {
            out[written..filled[index]].fill(0);
        }
        filled[index] = written;
    }
}

/// What a parameter contributes to a proof: its value, if it is a number that is no float.
fn parameter_range(parameters: &Parameters, slot: u32) -> Option<Interval> {
    match parameters.types.get(slot as usize)? {
        ValueType::Float32 | ValueType::Float64 | ValueType::Utf8 | ValueType::Opaque => None,
        _ => parameters.value(slot).map(Interval::point),
    }
}
