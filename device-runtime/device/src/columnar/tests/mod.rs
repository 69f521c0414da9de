//! Programs over batches, from the outside: what goes in as rows must come out as the rows that the reference evaluator makes.

mod contract;
mod differential;
mod groups;
mod instances;
mod tables;
mod vector;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use nearside_planner::{Capabilities, Fragment, compile};
use nearside_programs::manifest::Output;
use nearside_programs::{Object, Parameters, Scalar};

use super::{Program, Worker};
use crate::{DeviceError, Options};

/// Groups no test but those about overflow reaches.
const MANY: usize = 1 << 16;

/// A program with its literals.
#[derive(Clone)]
struct Loaded {
    program: Arc<Program>,
    parameters: Arc<Parameters>,
}

impl Loaded {
    fn new(object: &Object, parameters: Parameters) -> Self {
        let program = Program::load(&object.write()).expect("a program of ours loads");
        Self { program: Arc::new(program), parameters: Arc::new(parameters) }
    }

    fn compile(fragment: &Fragment) -> Option<Self> {
        Self::compile_for(fragment, &Capabilities::all())
    }

    fn compile_for(fragment: &Fragment, capabilities: &Capabilities) -> Option<Self> {
        let compiled = compile(fragment, capabilities).ok()?;
        Some(Self::new(&compiled.object, compiled.parameters))
    }

    fn parse(text: &str) -> (Fragment, Self) {
        let fragment: Fragment = text.parse().expect(text);
        let loaded = Self::compile(&fragment).expect(text);
        (fragment, loaded)
    }

    fn worker(&self, schema: &SchemaRef, options: &Options, groups_max: usize) -> Result<Worker, DeviceError> {
        Worker::new(self.program.clone(), schema, self.parameters.clone(), options, groups_max)
    }

    /// All conjuncts, then the output, as a pipeline does it; every batch that leaves.
    fn run(&self, table: &RecordBatch, options: &Options, groups_max: usize) -> Result<Vec<RecordBatch>, DeviceError> {
        let mut worker = self.worker(&table.schema(), options, groups_max)?;
        let batches = self.run_with(&mut worker, table)?;
        assert!(batches.iter().all(|batch| batch.schema() == worker.output_schema()));
        if self.program.main.is_some() && matches!(self.program.manifest().output, Output::Aggregate { .. }) {
            let mut worker = self.worker(&table.schema(), options, groups_max)?;
            let (at_once, _) = self.aggregate_at_once(&mut worker, table, None)?;
            assert_eq!(at_once, batches);
        }
        Ok(batches)
    }

    /// All conjuncts and the output of an aggregate in one; every batch that leaves, and how many rows passed.
    fn aggregate_at_once(
        &self,
        worker: &mut Worker,
        table: &RecordBatch,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(Vec<RecordBatch>, u64), DeviceError> {
        let conjuncts = Vec::from_iter(0..self.program.manifest().selects.len());
        let needed =
            conjuncts.iter().flat_map(|&conjunct| self.program.select_columns(conjunct)).chain(self.program.main_columns());
        let columns = only(table, &needed.copied().collect::<Vec<_>>());
        let mut batches = Vec::new();
        let emit = &mut |batch| batches.push(batch);
        let passed = worker.filter_and_aggregate(&conjuncts, &columns, table.num_rows(), selection, emit)?;
        batches.extend(worker.finish()?);
        Ok((batches, passed))
    }

    /// The rows that pass the conjuncts one by one, each with its columns alone, and all of them at once.
    fn selected(&self, worker: &mut Worker, table: &RecordBatch) -> Result<Option<BooleanBuffer>, DeviceError> {
        let (rows, conjuncts) = (table.num_rows(), Vec::from_iter(0..self.program.manifest().selects.len()));
        let mut selection: Option<BooleanBuffer> = None;
        for &conjunct in &conjuncts {
            let columns = only(table, self.program.select_columns(conjunct));
            selection = Some(worker.select(&[conjunct], &columns, rows, selection.as_ref())?);
        }
        if conjuncts.len() > 1 {
            let needed: Vec<u32> =
                conjuncts.iter().flat_map(|&conjunct| self.program.select_columns(conjunct)).copied().collect();
            assert_eq!(Some(worker.select(&conjuncts, &only(table, &needed), rows, None)?), selection);
        }
        Ok(selection)
    }

    fn run_with(&self, worker: &mut Worker, table: &RecordBatch) -> Result<Vec<RecordBatch>, DeviceError> {
        let rows = table.num_rows();
        let selection = self.selected(worker, table)?;
        let columns = only(table, self.program.main_columns());
        match self.program.manifest().output {
            Output::Project(_) => Ok(vec![worker.project(&columns, rows, selection.as_ref())?]),
            Output::Aggregate { .. } => {
                let mut batches = Vec::new();
                worker.aggregate(&columns, rows, selection.as_ref(), &mut |batch| batches.push(batch))?;
                batches.extend(worker.finish()?);
                Ok(batches)
            }
        }
    }
}

/// The columns a call needs, and no others.
fn only(table: &RecordBatch, needed: &[u32]) -> Vec<Option<ArrayRef>> {
    (0..).zip(table.columns()).map(|(index, array)| needed.contains(&index).then(|| array.clone())).collect()
}

fn engines() -> [Options; 2] {
    [true, false].map(|interpreter| Options { interpreter, ..Options::default() })
}

fn int(value: i128) -> Scalar {
    Scalar::Int(nearside_programs::ValueType::Int64, value)
}

fn text(value: &str) -> Scalar {
    Scalar::Utf8(value.into())
}
