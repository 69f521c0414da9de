//! Lowering: a fragment becomes a `columnar` object.
//!
//! [`compile`] resolves the expressions to `node`s (casts explicit, literals in parameters, the unsupported refused), then writes one function for each
//! conjunct and one for the output: `rows` is the loop and where a computation stands in it, `emit` and `truth` say what is computed,
//! `allocate` chooses registers, `write` encodes. The code is branch-free but for skipping 64 rows, or a block of rows, of which none is selected.
//! A function that touches decimals is written twice, the narrow one with its `proof`.
//!
//! Not here: what an expression means. That is [`evaluate`](crate::evaluate()), and the tests compare the two.

mod aggregate;
mod allocate;
mod bits;
mod bounds;
mod cast;
mod convert;
mod emit;
mod entry;
mod function;
mod machine;
mod node;
mod order;
mod output;
mod project;
mod proof;
mod resolve;
mod rows;
mod search;
mod select;
mod text;
mod truth;
mod vector;
mod wide;
mod write;

pub use resolve::IN_LIST_MAX;

use nearside_programs::abi::columnar::VERSION;
use nearside_programs::manifest::{ColumnSpec, ManifestError, Target};
use nearside_programs::{BuildError, Builder, Manifest, Object, Parameters};

use crate::capabilities::Capabilities;
use crate::fragment::Fragment;
use crate::refusal::Refusal;
use entry::Context;

/// A program, and the literals of the fragment it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// Code and manifest; the same for all fragments that differ only in their literals.
    pub object: Object,
    /// The literals.
    pub parameters: Parameters,
}

/// Lowers a fragment for a device with these capabilities.
///
/// # Errors
/// A [`Refusal`] with the first reason that stands against it, in the order of the text form: the host runs what is refused itself.
pub fn compile(fragment: &Fragment, capabilities: &Capabilities) -> Result<Compiled, Refusal> {
    fragment.check()?;
    let mut context = Context::new(&fragment.columns, capabilities);
    let (selects, bounds) = context.filter(&fragment.filter)?;
    let (main, output) = context.output(&fragment.output)?;
    let Context { builder, literals, .. } = context;
    let manifest = Manifest {
        target: Target::Columnar,
        abi_version: VERSION,
        columns: column_specs(fragment),
        parameters: literals.parameters.types.clone(),
        bounds,
        selects,
        main,
        output,
        notes: Default::default(),
    };
    Ok(Compiled { object: assemble(builder, manifest)?, parameters: literals.parameters })
}

fn column_specs(fragment: &Fragment) -> Vec<ColumnSpec> {
    let spec = |column: &crate::fragment::Column| ColumnSpec {
        name: column.name.clone(),
        value_type: column.value_type,
        nullable: column.nullable,
    };
    fragment.columns.iter().map(spec).collect()
}

/// Code and manifest as one object that a device will accept.
fn assemble(builder: Builder, mut manifest: Manifest) -> Result<Object, Refusal> {
    let assembled = builder.finish().map_err(|error| match error {
        BuildError::BranchTooFar { distance, .. } => Refusal::TooComplex {
            what: "instructions in a loop",
            given: distance.unsigned_abs() as usize,
            limit: i16::MAX as usize,
        },
        error => Refusal::Invalid(error.to_string()),
    })?;
    manifest.notes = assembled.notes;
    let mut object =
        Object { code: assembled.code, functions: assembled.functions, maps: Vec::new(), manifest: None, license: String::new() };
    manifest.check(&object).map_err(|error| match error {
        ManifestError::TooMany { what, given, limit } => Refusal::TooComplex { what: in_sql(what), given, limit },
        error => Refusal::Invalid(error.to_string()),
    })?;
    object.manifest = Some(manifest);
    Ok(object)
}

/// What the manifest counts, as whoever wrote the query knows it.
fn in_sql(what: &'static str) -> &'static str {
    match what {
        "selects" => "conditions joined by AND",
        "parameters" => "literals",
        "accumulators" => "values to accumulate",
        what => what,
    }
}
