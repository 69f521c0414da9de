//! A program with its literals and its groups, in no cage: what waits between two batches.
//!
//! A [`Worker`] is an instance bound to a cage. Thousands of instances may wait at a time; each costs what its groups take, and neither a mapping nor a file
//! descriptor.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use nearside_engine::Backend;
use nearside_programs::Parameters;

use super::Worker;
use super::groups::GroupTable;
use super::helpers::{Predicates, State, TextExtreme};
use super::layout::ACCUMULATORS;
use super::program::Program;
use super::runner::{Runner, Unbound};
use super::worker::{check_request, key_types, output_schema, text_states};
use crate::{DeviceError, Options};

/// One execution's share of one thread, between batches.
pub struct Instance {
    runner: Unbound,
    state: State,
    output: SchemaRef,
    /// By accumulator, the elements of all groups; `None` before the first batch.
    accumulators: Option<Vec<Box<[u8]>>>,
}

impl Instance {
    /// An instance of a program. `schema` has the table's fields for the manifest's columns, `parameters` the types the manifest names.
    ///
    /// # Errors
    /// [`DeviceError::BadRequest`] if schema or parameters do not fit, [`DeviceError::BadProgram`] if the code is refused, [`DeviceError::Limit`] if no cage
    /// can hold what it needs.
    pub fn new(
        program: Arc<Program>,
        schema: &SchemaRef,
        parameters: Arc<Parameters>,
        options: &Options,
        groups_max: usize,
    ) -> Result<Self, DeviceError> {
        let manifest = program.manifest();
        check_request(manifest, schema, &parameters)?;
        let output = Arc::new(output_schema(manifest, schema)?);
        let groups_max = groups_max.clamp(1, i32::MAX as usize);
        let layout = program.layout(groups_max)?;
        let backend = if options.interpreter { Backend::Interpreter } else { Backend::Jit };
        let module = program.has_code().then(|| program.module(backend)).transpose()?;
        let state = State {
            groups: GroupTable::new(key_types(manifest))?,
            groups_max,
            extremes: (0..text_states(manifest)).map(|_| TextExtreme::default()).collect(),
            predicates: Predicates::new(parameters.clone()),
        };
        let runner = Unbound::new(program, layout, parameters, module, options);
        Ok(Self { runner, state, output, accumulators: None })
    }

    /// Puts it into a cage, one that waits for this program if there is one.
    ///
    /// # Errors
    /// [`DeviceError::Busy`] if there is no memory for a cage.
    pub fn bind(self) -> Result<Worker, DeviceError> {
        let Self { runner, mut state, output, accumulators } = self;
        state.groups.restore_scratch();
        let mut worker = Worker { runner: Runner::bind(runner)?, state, output };
        match accumulators {
            None => worker.clear_groups(),
            Some(accumulators) => worker.restore(&accumulators)?,
        }
        Ok(worker)
    }
}

impl Worker {
    /// Gives the cage back and keeps the groups.
    pub fn unbind(self) -> Instance {
        let groups = self.state.groups.len();
        let accumulators = self.runner.layout.accumulators.iter().enumerate();
        let accumulators =
            accumulators.map(|(index, place)| self.runner.region(ACCUMULATORS + index)[..groups * place.width].into()).collect();
        let Self { runner, mut state, output } = self;
        state.groups.release_scratch();
        Instance { runner: runner.unbind(), state, output, accumulators: Some(accumulators) }
    }

    /// Puts the groups' elements back to where the program expects them.
    fn restore(&mut self, accumulators: &[Box<[u8]>]) -> Result<(), DeviceError> {
        let groups = self.state.groups.len();
        if groups > self.capacity() {
            self.grow(groups)?;
        }
        for (index, elements) in accumulators.iter().enumerate() {
            self.runner.region_mut(ACCUMULATORS + index)[..elements.len()].copy_from_slice(elements);
        }
        Ok(())
    }
}
