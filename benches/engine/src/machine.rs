//! What runs a step.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::data::Data;
use crate::native::{self, How};
use crate::{ours, planned};

/// What a step answers: r0, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) value: u64,
    pub(crate) output: Vec<u8>,
}

/// One way to run one step over its record batches, ready to run.
pub(crate) trait Machine {
    /// Runs the step over all rows.
    ///
    /// # Errors
    /// It was stopped: the bench is broken.
    fn run(&mut self) -> Result<u64>;

    /// What the last run wrote.
    fn output(&mut self) -> Vec<u8>;
}

/// A machine and how the report calls it.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) machine: Box<dyn Machine>,
}

impl Named {
    /// One run, for what it answers.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        let value = self.machine.run().with_context(|| self.name)?;
        Ok(Answer { value, output: self.machine.output() })
    }
}

/// Which machines are wanted beside Rust and arrow-rs.
#[derive(Clone, Copy)]
pub(crate) struct Which {
    pub(crate) sandboxes: bool,
    /// Of the sandboxes; memory does not slow them down.
    pub(crate) interpreters: bool,
}

/// Every machine of this build for a step.
///
/// # Errors
/// One of them refuses the program.
pub(crate) fn machines(data: &Arc<Data>, which: Which) -> Result<Vec<Named>> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |name: &'static str, machine: Result<Option<Box<dyn Machine>>>| -> Result<()> {
        all.extend(machine.with_context(|| name)?.map(|machine| Named { name, machine }));
        Ok(())
    };
    add("rust", Ok(Some(native::rust(data, How::Vectorised))))?;
    add("rust scalar", Ok(Some(native::rust(data, How::Scalar))))?;
    add("arrow", Ok(native::kernels(data)))?;
    if !which.sandboxes {
        return Ok(all);
    }
    for &(name, kind) in ours::KINDS {
        if which.interpreters || kind != ours::Kind::Interpreter {
            add(name, ours::machine(data, kind))?;
        }
    }
    for (name, with) in planned::KINDS {
        add(name, planned::machine(data, with))?;
    }
    #[cfg(feature = "peers")]
    crate::peers::add(data, which.interpreters, &mut add)?;
    Ok(all)
}
