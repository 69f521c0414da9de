//! A shape's program, ready to be sent.

use bytes::Bytes;
use nearside_device::ProgramDigest;
use nearside_planner::{Capabilities, Fragment};
use nearside_programs::{Object, Parameters};

use crate::config::NearsideOptions;
use crate::expression::Moment;
use crate::reason::Reason;
use crate::shape::Shape;

/// What was compiled, and what goes with it.
#[derive(Debug)]
pub(crate) struct Program {
    /// For the disassembly.
    pub object: Object,
    /// The same as ELF.
    pub bytes: Bytes,
    pub digest: ProgramDigest,
    pub parameters: Parameters,
    pub fragment: Fragment,
    /// The table's columns that the program's columns are.
    pub columns: Vec<usize>,
}

impl Program {
    /// Lowers and compiles a shape.
    pub(crate) fn compile(
        shape: &Shape,
        options: &NearsideOptions,
        capabilities: &Capabilities,
        moment: Moment,
    ) -> Result<Self, Reason> {
        let lowered = shape.lower(options, moment)?;
        let without = (!options.vector_helpers).then(|| capabilities.without_vector_helpers());
        let compiled = nearside_planner::compile(&lowered.fragment, without.as_ref().unwrap_or(capabilities))?;
        Ok(Self {
            bytes: compiled.object.write().into(),
            digest: ProgramDigest(hex(&compiled.object.digest())),
            object: compiled.object,
            parameters: compiled.parameters,
            fragment: lowered.fragment,
            columns: lowered.columns,
        })
    }

    /// Enough of the digest for a person.
    pub(crate) fn short_digest(&self) -> &str {
        self.digest.0.get(..12).unwrap_or(&self.digest.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
