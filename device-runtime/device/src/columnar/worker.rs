//! One thread's share of one execution.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatchOptions};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::manifest::{Manifest, Output, OutputColumn, OutputSource, StateSource};
use nearside_programs::{Parameters, ValueType};

use super::Counters;
use super::batch::{self, Batch, slices};
use super::bitmap;
use super::helpers::State;
use super::instance::Instance;
use super::load::{accepts, arrow_type};
use super::output::{self, Values};
use super::program::{Entry, Program};
use super::runner::{Arguments, Runner};
use crate::{DeviceError, Options};

/// Runs one program over batches: [`Worker::select`], then [`Worker::project`], or [`Worker::aggregate`] and at last [`Worker::finish`]. Where all columns of a batch
/// are at hand, [`Worker::filter_and_aggregate`] is both in one.
///
/// `columns[i]` is always the array of the manifest's column `i`, or `None` if the call does not need it; all have `rows` rows, any
/// number of them. After an error the worker is of no more use.
pub struct Worker {
    pub(super) runner: Runner,
    pub(super) state: State,
    pub(super) output: SchemaRef,
}

impl Worker {
    /// A worker for one execution. `schema` has the table's fields for the manifest's columns, `parameters` the types the manifest names.
    ///
    /// # Errors
    /// [`DeviceError::BadRequest`] if schema or parameters do not fit, [`DeviceError::BadProgram`] if the code is refused,
    /// [`DeviceError::Limit`] and [`DeviceError::Busy`] if there is no cage for it.
    pub fn new(
        program: Arc<Program>,
        schema: &SchemaRef,
        parameters: Arc<Parameters>,
        options: &Options,
        groups_max: usize,
    ) -> Result<Self, DeviceError> {
        Instance::new(program, schema, parameters, options, groups_max)?.bind()
    }

    /// Schema of every batch that leaves.
    pub fn output_schema(&self) -> SchemaRef {
        self.output.clone()
    }

    /// Which of the selected rows (`None`: all) some conjuncts all select. None other, whatever the program says.
    ///
    /// # Errors
    /// [`DeviceError::Trap`] and what [`Worker::new`] cannot know: [`DeviceError::Internal`] if a column is missing.
    pub fn select(
        &mut self,
        conjuncts: &[usize],
        columns: &[Option<ArrayRef>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<BooleanBuffer, DeviceError> {
        let program = self.runner.program.clone();
        check_rows(program.manifest(), columns, rows, selection)?;
        if (1..=BATCH_ROWS_MAX as usize).contains(&rows) {
            self.write_selection(selection, rows);
            return self.select_batch(&program, conjuncts, &Batch::new(columns, rows, 0..rows));
        }
        let mut passed = BooleanBufferBuilder::new(rows);
        for slice in slices(rows) {
            let len = slice.len();
            self.write_selection(selection.map(|bits| bits.slice(slice.start, len)).as_ref(), len);
            passed.append_buffer(&self.select_batch(&program, conjuncts, &Batch::new(columns, rows, slice))?);
        }
        Ok(passed.finish())
    }

    /// The same of one batch, whose selection is in the cage.
    fn select_batch(&mut self, program: &Program, conjuncts: &[usize], batch: &Batch<'_>) -> Result<BooleanBuffer, DeviceError> {
        self.filter(program, conjuncts, batch)?;
        Ok(bitmap::read(self.runner.selection_mut(), batch.rows))
    }

    /// Takes rows out of the selection in the cage that conjuncts do not all select; returns how many are left.
    pub(super) fn filter(&mut self, program: &Program, conjuncts: &[usize], batch: &Batch<'_>) -> Result<u64, DeviceError> {
        self.runner.begin_select();
        let selection = self.runner.layout.result.address;
        for &conjunct in conjuncts {
            let entry = program.selects.get(conjunct);
            let entry = entry.ok_or_else(|| DeviceError::Internal { reason: format!("there is no conjunct {conjunct}") })?;
            if !entry.loads.is_empty() && !self.runner.has_selected() {
                break;
            }
            self.call_whole(entry, batch, selection)?;
        }
        Ok(self.runner.end_select(batch.rows))
    }

    /// The projection of the selected rows (`None`: all), in order.
    ///
    /// # Errors
    /// As [`Worker::select`].
    pub fn project(
        &mut self,
        columns: &[Option<ArrayRef>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch, DeviceError> {
        let program = self.runner.program.clone();
        let Output::Project(outputs) = &program.manifest().output else {
            return Err(DeviceError::Internal { reason: "projection of an aggregate".into() });
        };
        check_rows(program.manifest(), columns, rows, selection)?;
        let computed = match &program.main {
            Some(entry) => self.compute(entry, outputs, columns, rows, selection)?,
            None => Vec::new(),
        };
        let begin = Instant::now();
        let batch = self.compact(outputs, columns, computed, rows, selection);
        self.runner.counters.assemble_ns += begin.elapsed().as_nanos() as u64;
        batch
    }

    /// What was done since the last call of this.
    pub fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.runner.counters)
    }

    /// What was executed since the last call of this, if [`Options::count_instructions`] asks for it: first slot, executions and instructions of
    /// each basic block, as [`Work::blocks`](crate::ledger::Work::blocks) has them.
    pub fn take_blocks(&mut self) -> Vec<(u32, u64, u32)> {
        let blocks = self.runner.blocks.as_mut().map(std::mem::take).unwrap_or_default();
        let whole =
            |(slot, (executions, instructions)): (u32, (u64, u64))| (slot, executions, (instructions / executions.max(1)) as u32);
        blocks.into_iter().map(whole).collect()
    }

    /// Runs an entry point that must consume the whole batch; the selection is at that address.
    pub(super) fn call_whole(&mut self, entry: &Entry, batch: &Batch<'_>, selection: u32) -> Result<(), DeviceError> {
        let version = self.runner.load(entry, batch)?;
        let arguments = Arguments { version, first: 0, capacity: 1, selection };
        let returned = self.runner.call(entry, batch, &mut self.state, &arguments)?;
        if returned.end != batch.rows as u64 {
            return Err(wrong_end(returned.end, batch.rows));
        }
        Ok(())
    }

    /// The computed columns over all rows, by output column; `None` for plain ones. Rows that are not selected hold anything.
    fn compute(
        &mut self,
        entry: &Entry,
        outputs: &[OutputColumn],
        columns: &[Option<ArrayRef>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<Vec<Option<ArrayRef>>, DeviceError> {
        let mut gathered: Vec<_> =
            outputs.iter().map(|column| (Values::new(column.value_type, rows), BooleanBufferBuilder::new(0))).collect();
        for slice in slices(rows) {
            let len = slice.len();
            let selected = selection.map(|bits| bits.slice(slice.start, len));
            if selected.as_ref().is_some_and(|bits| !bits.has_true()) {
                gathered.iter_mut().for_each(|(values, valid)| {
                    values.extend_zeros(len);
                    valid.append_n(len, false);
                });
                continue;
            }
            self.write_selection(selected.as_ref(), len);
            let selection = self.runner.layout.selection.address;
            self.call_whole(entry, &Batch::new(columns, rows, slice), selection)?;
            let begin = Instant::now();
            for (column, (values, valid)) in outputs.iter().zip(&mut gathered) {
                let OutputSource::Computed(index) = column.source else { continue };
                let place = self.runner.layout.outputs[index as usize];
                values.extend(place.values.of(self.runner.work()), len);
                valid.append_packed_range(0..len, place.validity.of(self.runner.work()));
            }
            self.runner.counters.assemble_ns += begin.elapsed().as_nanos() as u64;
        }
        let arrays = outputs.iter().zip(gathered).map(|(column, (values, mut valid))| match column.source {
            OutputSource::Column(_) => Ok(None),
            OutputSource::Computed(_) => {
                let nulls = column.nullable.then(|| NullBuffer::new(valid.finish()));
                output::array(column.value_type, values, nulls).map(Some)
            }
        });
        arrays.collect()
    }

    /// Throws the rows away that are not selected.
    fn compact(
        &self,
        outputs: &[OutputColumn],
        columns: &[Option<ArrayRef>],
        computed: Vec<Option<ArrayRef>>,
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch, DeviceError> {
        let failed = |reason: String| DeviceError::Internal { reason };
        let mut computed = computed.into_iter();
        let arrays = outputs.iter().map(|column| {
            let made = computed.next().flatten();
            match column.source {
                OutputSource::Computed(_) => made.ok_or_else(|| failed("a computed column without main".into())),
                OutputSource::Column(index) => columns[index as usize]
                    .clone()
                    .ok_or_else(|| failed(format!("column {index} is projected, but was not decoded"))),
            }
        });
        let mut arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let mut row_count = rows;
        if let Some(selection) = selection {
            row_count = selection.count_set_bits();
            let mask = BooleanArray::new(selection.clone(), None);
            let predicate = FilterBuilder::new(&mask).optimize().build();
            for array in &mut arrays {
                *array = predicate.filter(array).map_err(|error| failed(error.to_string()))?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(row_count));
        RecordBatch::try_new_with_options(self.output.clone(), arrays, &options)
            .map_err(|error| DeviceError::Trap { reason: error.to_string() })
    }

    /// Puts a batch's selection into the cage.
    pub(super) fn write_selection(&mut self, selected: Option<&BooleanBuffer>, rows: usize) {
        match selected {
            Some(bits) => bitmap::write(bits, self.runner.selection_mut()),
            None => bitmap::write_ones(0, rows, self.runner.selection_mut()),
        }
    }
}

/// A program that says it consumed other rows than it could.
pub(super) fn wrong_end(end: u64, expected: usize) -> DeviceError {
    DeviceError::Trap { reason: format!("it returned {end} as the end of its rows; {expected} is") }
}

/// Checks columns and selection of a call.
pub(super) fn check_rows(
    manifest: &Manifest,
    columns: &[Option<ArrayRef>],
    rows: usize,
    selection: Option<&BooleanBuffer>,
) -> Result<(), DeviceError> {
    batch::check(&manifest.columns, columns, rows)?;
    if selection.is_some_and(|bits| bits.len() != rows) {
        return Err(DeviceError::Internal { reason: "the selection has another number of rows".into() });
    }
    Ok(())
}

pub(super) fn check_request(manifest: &Manifest, schema: &Schema, parameters: &Parameters) -> Result<(), DeviceError> {
    let refused = |reason: String| Err(DeviceError::BadRequest { reason });
    if schema.fields().len() != manifest.columns.len() {
        return refused(format!("{} fields for a program of {} columns", schema.fields().len(), manifest.columns.len()));
    }
    for (spec, field) in manifest.columns.iter().zip(schema.fields()) {
        if !accepts(spec.value_type, field.data_type()) {
            return refused(format!("column {} is {}, the program wants {:?}", field.name(), field.data_type(), spec.value_type));
        }
    }
    if parameters.types != manifest.parameters || parameters.slots.len() != parameters.types.len() {
        return refused("the parameters are not of the types the program declares".into());
    }
    Ok(())
}

pub(super) fn output_schema(manifest: &Manifest, schema: &Schema) -> Result<Schema, DeviceError> {
    let opaque = || DeviceError::BadProgram { reason: "a computed column is opaque".into() };
    let computed = |name: &str, value_type: ValueType, nullable: bool| {
        Ok(Arc::new(Field::new(name, arrow_type(value_type).ok_or_else(opaque)?, nullable)))
    };
    let (Output::Project(columns) | Output::Aggregate { keys: columns, .. }) = &manifest.output;
    let mut fields = Vec::new();
    for column in columns {
        fields.push(match column.source {
            OutputSource::Column(index) => {
                let field = schema.field(index as usize).clone();
                Arc::new(field.with_name(&column.name).with_nullable(column.nullable))
            }
            OutputSource::Computed(_) => computed(&column.name, column.value_type, column.nullable)?,
        });
    }
    if let Output::Aggregate { states, .. } = &manifest.output {
        for state in states {
            let nullable = state.seen.is_some() || matches!(state.source, StateSource::Text(_));
            fields.push(computed(&state.name, state.value_type, nullable)?);
        }
    }
    Ok(Schema::new(fields))
}

pub(super) fn key_types(manifest: &Manifest) -> Vec<(ValueType, bool)> {
    match &manifest.output {
        Output::Aggregate { keys, .. } => keys.iter().map(|key| (key.value_type, key.nullable)).collect(),
        Output::Project(_) => Vec::new(),
    }
}

pub(super) fn text_states(manifest: &Manifest) -> usize {
    let Output::Aggregate { states, .. } = &manifest.output else { return 0 };
    let texts = states.iter().filter_map(|state| match state.source {
        StateSource::Text(index) => Some(index as usize + 1),
        _ => None,
    });
    texts.max().unwrap_or(0).min(states.len())
}
