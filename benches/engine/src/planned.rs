//! Our planner's program for the step, run as a device runs it: conjuncts, then `main` over the rows that passed.

use std::sync::Arc;

use anyhow::{Result, bail};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::FilterBuilder;
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use nearside_device::Options;
use nearside_device::columnar::{Program, Worker, vector_helpers};
use nearside_planner::{Capabilities, Fragment, compile};
use nearside_programs::Parameters;
use nearside_programs::manifest::Output;

use crate::data::Data;
use crate::machine::Machine;
use crate::steps::Step;

/// Whether columns are compared, and added up, by helpers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    VectorHelpers,
    ByteCode,
}

/// By the names of the report.
pub(crate) const KINDS: [(&str, With); 2] =
    [("planned with helpers", With::VectorHelpers), ("planned byte code", With::ByteCode)];

/// Most groups of a worker.
const GROUPS_MAX: usize = 1 << 16;

/// A batch of which one row in so many passed is compacted before `main`, as in the device's pipeline.
const SPARSE: usize = 8;

pub(crate) fn machine(data: &Arc<Data>, with: With) -> Result<Option<Box<dyn Machine>>> {
    let Some((program, parameters)) = plan(data.step, with)? else { return Ok(None) };
    let schema = data.batches[0].schema();
    let worker = Worker::new(program.clone(), &schema, parameters, &Options::default(), GROUPS_MAX)?;
    let columns = data.batches.iter().map(|batch| batch.columns().iter().cloned().map(Some).collect()).collect();
    let (conjuncts, output) = ((0..program.manifest().selects.len()).collect(), vec![0; data.places.output.len()]);
    Ok(Some(Box::new(Planned { data: data.clone(), columns, program, conjuncts, worker, output })))
}

/// The program of a step; `None` if it has no fragment.
pub(crate) fn plan(step: &Step, with: With) -> Result<Option<(Arc<Program>, Arc<Parameters>)>> {
    let Some(text) = &step.fragment else { return Ok(None) };
    let fragment: Fragment = text.parse()?;
    let mut capabilities = Capabilities::all();
    capabilities.helpers.retain(|number| !(65_536..65_600).contains(number) || vector_helpers().any(|known| known == *number));
    if with == With::ByteCode {
        capabilities = capabilities.without_vector_helpers();
    }
    let compiled = compile(&fragment, &capabilities)?;
    Ok(Some((Arc::new(Program::load(&compiled.object.write())?), Arc::new(compiled.parameters))))
}

struct Planned {
    data: Arc<Data>,
    /// Of each batch, by the program's columns.
    columns: Vec<Vec<Option<ArrayRef>>>,
    program: Arc<Program>,
    /// All of the program's.
    conjuncts: Vec<usize>,
    worker: Worker,
    output: Vec<u8>,
}

impl Planned {
    /// The rows of a batch that pass; `None`: all.
    fn select(&mut self, columns: &[Option<ArrayRef>], rows: usize) -> Result<Option<BooleanBuffer>> {
        if self.conjuncts.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.worker.select(&self.conjuncts, columns, rows, None)?))
    }

    fn aggregate(&mut self, columns: &[Option<ArrayRef>], rows: usize) -> Result<()> {
        let mut early = false;
        let mut emit = |_| early = true;
        if self.program.filters_in_main(&self.conjuncts) {
            self.worker.filter_and_aggregate(&self.conjuncts, columns, rows, None, &mut emit)?;
        } else {
            match self.select(columns, rows)? {
                Some(sparse) if !self.program.main_skips_rows() && sparse.count_set_bits() * SPARSE <= rows => {
                    let mask = BooleanArray::new(sparse, None);
                    let filter = FilterBuilder::new(&mask).optimize().build();
                    let mut compact = vec![None; columns.len()];
                    for &column in self.program.main_columns() {
                        let column = column as usize;
                        compact[column] = columns[column].as_ref().map(|array| filter.filter(array)).transpose()?;
                    }
                    self.worker.aggregate(&compact, filter.count(), None, &mut emit)?;
                }
                selected => self.worker.aggregate(columns, rows, selected.as_ref(), &mut emit)?,
            }
        }
        if early {
            bail!("there was no room for all groups");
        }
        Ok(())
    }
}

impl Machine for Planned {
    fn run(&mut self) -> Result<u64> {
        let data = self.data.clone();
        let columns = std::mem::take(&mut self.columns);
        let is_aggregate = matches!(self.program.manifest().output, Output::Aggregate { .. });
        for (index, (batch, columns)) in data.batches.iter().zip(&columns).enumerate() {
            let rows = batch.num_rows();
            if is_aggregate {
                self.aggregate(columns, rows)?;
            } else if let Some(selected) = self.select(columns, rows)? {
                for (out, word) in self.output[data.output_of(index * data.step.batch_rows, data.step.batch_rows)]
                    .as_chunks_mut::<8>()
                    .0
                    .iter_mut()
                    .zip(selected.bit_chunks().iter())
                {
                    *out = word.to_le_bytes();
                }
            }
        }
        self.columns = columns;
        Ok(match self.worker.finish()? {
            Some(partials) => answer(&partials, &mut self.output),
            None => 0,
        })
    }

    fn output(&mut self) -> Vec<u8> {
        self.output.clone()
    }
}

/// One sum, or sums by group whose first column is the group's number.
fn answer(partials: &RecordBatch, output: &mut [u8]) -> u64 {
    if partials.num_columns() == 1 {
        return values::<Int64Type>(partials.column(0))[0] as u64;
    }
    let groups = values::<Int32Type>(partials.column(0));
    let width = 8 * (partials.num_columns() - 1);
    for (index, array) in partials.columns()[1..].iter().enumerate() {
        for (group, value) in groups.iter().zip(values::<Int64Type>(array)) {
            output[*group as usize * width + 8 * index..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
    0
}

fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
    array.as_primitive::<T>().values()
}
