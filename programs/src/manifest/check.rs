//! From allegation to proof: what a manifest says of its object, checked whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::json::check_abi;
use super::{
    Accumulator, BoundOp, EntryPoint, Manifest, Narrow, Output, OutputColumn, OutputSource, RangeStep, ReadError, State,
    StateSource, Target,
};
use crate::object::Object;
use crate::types::ValueType;

/// Most columns of a table that a program uses.
pub const COLUMNS_MAX: usize = 1024;
/// Most parameter slots.
pub const PARAMETERS_MAX: usize = 4096;
/// Most bounds.
pub const BOUNDS_MAX: usize = 256;
/// Most conjuncts.
pub const SELECTS_MAX: usize = 256;
/// Most columns of a projection.
pub const OUTPUTS_MAX: usize = 1024;
/// Most group keys.
pub const KEYS_MAX: usize = 64;
/// Most accumulators.
pub const ACCUMULATORS_MAX: usize = 256;
/// Most states.
pub const STATES_MAX: usize = 256;
/// Most scratch bitmaps of an entry point.
pub const SCRATCH_BITMAPS_MAX: usize = 64;
/// Most steps of a proof.
pub const PROOF_LEN_MAX: usize = 1024;

/// Which part of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// [`Manifest::columns`] at this index.
    Column(usize),
    /// [`Manifest::parameters`] at this index.
    Parameter(usize),
    /// [`Manifest::bounds`] at this index.
    Bound(usize),
    /// [`Manifest::selects`] at this index.
    Select(usize),
    /// [`Manifest::main`].
    Main,
    /// A column of a projection.
    Output(usize),
    /// A group key.
    Key(usize),
    /// An accumulator.
    Accumulator(usize),
    /// A state.
    State(usize),
    /// [`Manifest::notes`].
    Notes,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(index) => write!(f, "column {index}"),
            Self::Parameter(index) => write!(f, "parameter {index}"),
            Self::Bound(index) => write!(f, "bound {index}"),
            Self::Select(index) => write!(f, "select {index}"),
            Self::Main => f.write_str("main"),
            Self::Output(index) => write!(f, "output {index}"),
            Self::Key(index) => write!(f, "key {index}"),
            Self::Accumulator(index) => write!(f, "accumulator {index}"),
            Self::State(index) => write!(f, "state {index}"),
            Self::Notes => f.write_str("notes"),
        }
    }
}

/// A manifest that does not describe its object, or not a program of this ABI. Whoever made the object must change it.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Another target or ABI version.
    #[error(transparent)]
    Abi(#[from] ReadError),
    /// More than a named limit.
    #[error("manifest: {given} {what}; the limit is {limit}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An index beyond the end.
    #[error("manifest: {place}: {what} {index} of {len}")]
    Index {
        /// Where.
        place: Place,
        /// Of what.
        what: &'static str,
        /// The index.
        index: u32,
        /// How many there are.
        len: usize,
    },
    /// Something is named twice.
    #[error("manifest: {place}: {what} {index} is there twice")]
    Duplicate {
        /// Where.
        place: Place,
        /// What.
        what: &'static str,
        /// Its index.
        index: u32,
    },
    /// An entry point whose function is not in the object.
    #[error("manifest: {place}: no function is named `{name}`")]
    Symbol {
        /// Where.
        place: Place,
        /// The symbol.
        name: String,
    },
    /// A type that cannot be there.
    #[error("manifest: {place}: type {given} {problem}")]
    Type {
        /// Where.
        place: Place,
        /// The type.
        given: ValueType,
        /// Why not.
        problem: &'static str,
    },
    /// A step of a proof that has no meaning.
    #[error("manifest: {place}: step {step} of the proof {problem}")]
    Proof {
        /// The entry point.
        place: Place,
        /// Index of the step.
        step: usize,
        /// Why not.
        problem: &'static str,
    },
    /// Parts that contradict each other.
    #[error("manifest: {place} {problem}")]
    Incoherent {
        /// Where.
        place: Place,
        /// The contradiction.
        problem: &'static str,
    },
}

type Result<T, E = ManifestError> = std::result::Result<T, E>;

impl Manifest {
    /// Checks everything a device indexes, allocates or casts by: indices, symbols, types and sizes, against the object.
    ///
    /// # Errors
    /// The first thing that is wrong, see [`ManifestError`].
    pub fn check(&self, object: &Object) -> Result<()> {
        check_abi(self.target, self.abi_version)?;
        if self.target != Target::Columnar {
            return Err(ReadError::Target { target: self.target }.into());
        }
        self.check_table()?;
        self.check_bounds()?;
        at_most("selects", self.selects.len(), SELECTS_MAX)?;
        for (index, select) in self.selects.iter().enumerate() {
            self.check_entry_point(Place::Select(index), select, object)?;
        }
        if let Some(main) = &self.main {
            self.check_entry_point(Place::Main, main, object)?;
        }
        match &self.output {
            Output::Project(columns) => self.check_projection(columns)?,
            Output::Aggregate { keys, accumulators, states } => self.check_aggregate(keys, accumulators, states)?,
        }
        match self.notes.last_key_value() {
            Some((&slot, _)) => index_below(Place::Notes, "instruction", slot, object.code.len()),
            None => Ok(()),
        }
    }

    fn check_table(&self) -> Result<()> {
        at_most("columns", self.columns.len(), COLUMNS_MAX)?;
        let mut names = BTreeSet::new();
        for (index, column) in self.columns.iter().enumerate() {
            check_decimal(Place::Column(index), column.value_type)?;
            if !names.insert(&column.name) {
                return Err(ManifestError::Incoherent { place: Place::Column(index), problem: "has another column's name" });
            }
        }
        at_most("parameters", self.parameters.len(), PARAMETERS_MAX)?;
        for (index, &given) in self.parameters.iter().enumerate() {
            check_decimal(Place::Parameter(index), given)?;
            if given == ValueType::Opaque {
                return Err(ManifestError::Type { place: Place::Parameter(index), given, problem: "has no literals" });
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<()> {
        at_most("bounds", self.bounds.len(), BOUNDS_MAX)?;
        for (index, bound) in self.bounds.iter().enumerate() {
            let place = Place::Bound(index);
            let given = self.column_type(place, bound.column)?;
            if matches!(bound.op, BoundOp::IsNull | BoundOp::IsNotNull) {
                continue;
            }
            let parameter = self.parameter_type(place, bound.parameter)?;
            if given == ValueType::Opaque {
                return Err(ManifestError::Type { place, given, problem: "is not compared" });
            }
            if bound.op == BoundOp::In && given != ValueType::Utf8 {
                return Err(ManifestError::Type { place, given, problem: "has no list parameters" });
            }
            if !is_comparable(given, parameter) {
                return Err(ManifestError::Type { place, given: parameter, problem: "is not the column's type" });
            }
        }
        Ok(())
    }

    fn check_entry_point(&self, place: Place, entry: &EntryPoint, object: &Object) -> Result<()> {
        check_symbol(place, &entry.general, object)?;
        at_most("scratch bitmaps", entry.scratch_bitmaps as usize, SCRATCH_BITMAPS_MAX)?;
        let mut columns = BTreeSet::new();
        for &column in entry.loads.iter().chain(&entry.handles) {
            self.column_type(place, column)?;
            if !columns.insert(column) {
                return Err(ManifestError::Duplicate { place, what: "column", index: column });
            }
        }
        for &column in &entry.loads {
            let given = self.column_type(place, column)?;
            if !is_loadable(given) {
                return Err(ManifestError::Type { place, given, problem: "is never loaded, only passed by handle" });
            }
        }
        match &entry.narrow {
            Some(narrow) => self.check_narrow(place, narrow, object),
            None => Ok(()),
        }
    }

    fn check_narrow(&self, place: Place, narrow: &Narrow, object: &Object) -> Result<()> {
        check_symbol(place, &narrow.symbol, object)?;
        at_most("steps of a proof", narrow.proof.len(), PROOF_LEN_MAX)?;
        let mut depth = 0_usize;
        for (step, operation) in narrow.proof.iter().enumerate() {
            let (pops, pushes) = match *operation {
                RangeStep::Column(column) => {
                    check_interval(place, self.column_type(place, column)?)?;
                    (0, 1)
                }
                RangeStep::Parameter(parameter) => {
                    check_interval(place, self.parameter_type(place, parameter)?)?;
                    (0, 1)
                }
                RangeStep::Constant(_) => (0, 1),
                RangeStep::Add | RangeStep::Sub | RangeStep::Mul | RangeStep::Union => (2, 1),
                RangeStep::Drop => (1, 0),
            };
            let problem = "pops from an empty stack";
            depth = depth.checked_sub(pops).ok_or(ManifestError::Proof { place, step, problem })? + pushes;
        }
        Ok(())
    }

    fn check_projection(&self, columns: &[OutputColumn]) -> Result<()> {
        at_most("output columns", columns.len(), OUTPUTS_MAX)?;
        let computed = self.check_output_columns(columns, Place::Output)?;
        match (computed, &self.main) {
            (0, Some(_)) => Err(ManifestError::Incoherent { place: Place::Main, problem: "computes nothing" }),
            (1.., None) => Err(ManifestError::Incoherent { place: Place::Main, problem: "is missing; an output is computed" }),
            _ => Ok(()),
        }
    }

    fn check_aggregate(&self, keys: &[OutputColumn], accumulators: &[Accumulator], states: &[State]) -> Result<()> {
        if self.main.is_none() {
            return Err(ManifestError::Incoherent { place: Place::Main, problem: "is missing; an aggregate has one" });
        }
        at_most("keys", keys.len(), KEYS_MAX)?;
        at_most("accumulators", accumulators.len(), ACCUMULATORS_MAX)?;
        at_most("states", states.len(), STATES_MAX)?;
        self.check_output_columns(keys, Place::Key)?;
        for (index, key) in keys.iter().enumerate() {
            if key.value_type == ValueType::Opaque {
                let problem = "is not compared, so no key";
                return Err(ManifestError::Type { place: Place::Key(index), given: key.value_type, problem });
            }
        }
        for (index, accumulator) in accumulators.iter().enumerate() {
            check_accumulator(Place::Accumulator(index), accumulator)?;
        }
        let mut texts = Dense::new("text state");
        for (index, state) in states.iter().enumerate() {
            check_state(Place::State(index), state, accumulators, &mut texts)?;
        }
        texts.check()
    }

    /// How many of the columns `main` computes.
    fn check_output_columns(&self, columns: &[OutputColumn], place: fn(usize) -> Place) -> Result<usize> {
        let mut computed = Dense::new("computed column");
        for (index, column) in columns.iter().enumerate() {
            let (place, given) = (place(index), column.value_type);
            check_decimal(place, given)?;
            match column.source {
                OutputSource::Column(source) => {
                    if self.column_type(place, source)? != given {
                        return Err(ManifestError::Type { place, given, problem: "is not the column's type" });
                    }
                }
                OutputSource::Computed(element) => {
                    if !is_loadable(given) {
                        return Err(ManifestError::Type { place, given, problem: "cannot be computed" });
                    }
                    computed.insert(place, element)?;
                }
            }
        }
        computed.check()?;
        Ok(computed.places.len())
    }

    fn column_type(&self, place: Place, index: u32) -> Result<ValueType> {
        index_below(place, "column", index, self.columns.len())?;
        Ok(self.columns[index as usize].value_type)
    }

    fn parameter_type(&self, place: Place, index: u32) -> Result<ValueType> {
        index_below(place, "parameter", index, self.parameters.len())?;
        Ok(self.parameters[index as usize])
    }
}

/// Indices that must be 0, 1, 2, … in any order, and where each is.
struct Dense {
    what: &'static str,
    places: BTreeMap<u32, Place>,
}

impl Dense {
    fn new(what: &'static str) -> Self {
        Self { what, places: BTreeMap::new() }
    }

    fn insert(&mut self, place: Place, index: u32) -> Result<()> {
        match self.places.insert(index, place) {
            None => Ok(()),
            Some(_) => Err(ManifestError::Duplicate { place, what: self.what, index }),
        }
    }

    /// No index is there twice, so the last one tells whether one is missing.
    fn check(&self) -> Result<()> {
        match self.places.last_key_value() {
            Some((&index, &place)) => index_below(place, self.what, index, self.places.len()),
            None => Ok(()),
        }
    }
}

fn check_accumulator(place: Place, accumulator: &Accumulator) -> Result<()> {
    let initial = accumulator.initial;
    match accumulator.width {
        16 => Ok(()),
        8 if i64::try_from(initial).is_ok() || u64::try_from(initial).is_ok() => Ok(()),
        8 => Err(ManifestError::Incoherent { place, problem: "begins with more than its 8 bytes hold" }),
        _ => Err(ManifestError::Incoherent { place, problem: "is neither 8 nor 16 bytes wide" }),
    }
}

fn check_state(place: Place, state: &State, accumulators: &[Accumulator], texts: &mut Dense) -> Result<()> {
    let given = state.value_type;
    check_decimal(place, given)?;
    let accumulator = |index: u32| -> Result<Accumulator> {
        index_below(place, "accumulator", index, accumulators.len())?;
        Ok(accumulators[index as usize])
    };
    if let Some(seen) = state.seen {
        accumulator(seen)?;
    }
    match state.source {
        StateSource::Accumulator(index) => {
            let width = accumulator(index)?.width;
            if !is_loadable(given) || given.byte_width().is_some_and(|needed| needed > width) {
                return Err(ManifestError::Type { place, given, problem: "does not fit its accumulator" });
            }
        }
        StateSource::TotalOrderKey(index) => {
            accumulator(index)?;
            if !matches!(given, ValueType::Float32 | ValueType::Float64) {
                return Err(ManifestError::Type { place, given, problem: "has no total order key" });
            }
        }
        StateSource::Text(index) => {
            if given != ValueType::Utf8 {
                return Err(ManifestError::Type { place, given, problem: "is not text" });
            }
            texts.insert(place, index)?;
        }
    }
    Ok(())
}

fn check_symbol(place: Place, name: &str, object: &Object) -> Result<()> {
    match object.function(name) {
        Some(_) => Ok(()),
        None => Err(ManifestError::Symbol { place, name: name.chars().take(64).collect() }),
    }
}

/// Types with an interval in a proof.
fn check_interval(place: Place, given: ValueType) -> Result<()> {
    if given.is_integer() || matches!(given, ValueType::Decimal128 { .. }) {
        return Ok(());
    }
    Err(ManifestError::Type { place, given, problem: "has no place in a proof" })
}

fn check_decimal(place: Place, given: ValueType) -> Result<()> {
    match given {
        ValueType::Decimal128 { precision, scale } if !(1..=38).contains(&precision) || i16::from(scale).abs() > 38 => {
            Err(ManifestError::Type { place, given, problem: "has more digits than 38, or none" })
        }
        _ => Ok(()),
    }
}

/// Types whose values are in the cage: what byte code loads and computes.
fn is_loadable(value_type: ValueType) -> bool {
    !matches!(value_type, ValueType::Utf8 | ValueType::Opaque)
}

/// One type; decimals: one scale.
fn is_comparable(a: ValueType, b: ValueType) -> bool {
    match (a, b) {
        (ValueType::Decimal128 { scale: a, .. }, ValueType::Decimal128 { scale: b, .. }) => a == b,
        _ => a == b,
    }
}

fn at_most(what: &'static str, given: usize, limit: usize) -> Result<()> {
    if given <= limit { Ok(()) } else { Err(ManifestError::TooMany { what, given, limit }) }
}

fn index_below(place: Place, what: &'static str, index: u32, len: usize) -> Result<()> {
    if (index as usize) < len { Ok(()) } else { Err(ManifestError::Index { place, what, index, len }) }
}
