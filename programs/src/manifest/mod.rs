//! What an object says of itself beside its code: target, ABI version, columns, parameters, entry points, outputs.
//!
//! Stored as JSON in the object's `.nearside` section, which other eBPF tools ignore. Everything here is an allegation of
//! whoever wrote the object: [`Manifest::check`] is the one place that turns it into something a device may index with.

mod check;
mod json;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use check::{
    ACCUMULATORS_MAX, BOUNDS_MAX, COLUMNS_MAX, KEYS_MAX, ManifestError, OUTPUTS_MAX, PARAMETERS_MAX, PROOF_LEN_MAX, Place,
    SCRATCH_BITMAPS_MAX, SELECTS_MAX, STATES_MAX,
};
pub use json::ReadError;

use crate::types::ValueType;

/// Kind of data a program runs over, and with it context, helpers and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A batch of decoded columns; see [`crate::abi::columnar`].
    Columnar,
    /// Records in raw blocks or zones.
    Block,
    /// A network packet (`xdp_md`).
    Packet,
}

impl Manifest {
    /// All of them: the conjuncts', and `main`.
    pub fn entry_points(&self) -> impl Iterator<Item = &EntryPoint> {
        self.selects.iter().chain(&self.main)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Columnar => "columnar",
            Self::Block => "block",
            Self::Packet => "packet",
        })
    }
}

/// The manifest of a `columnar` object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which ABI the code was written for.
    pub target: Target,
    /// Version of that ABI; see [`crate::abi::columnar::VERSION`].
    pub abi_version: u32,
    /// The table's columns the program uses, in the order of the context's column array.
    pub columns: Vec<ColumnSpec>,
    /// Types of the parameter slots.
    pub parameters: Vec<ValueType>,
    /// What every selected row satisfies: conjuncts a device may prune files, row groups and pages with. Never needed for
    /// the answer.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// Conjuncts of the filter, one entry point each; a row is selected if all select it. A device may reorder them.
    #[serde(default)]
    pub selects: Vec<EntryPoint>,
    /// What is made of the selected rows. `None` in an aggregate or computed projection is refused; a projection of plain columns has none.
    pub main: Option<EntryPoint>,
    /// What leaves the device.
    pub output: Output,
    /// Remarks by instruction slot, for people: column names, source expressions. Not part of the digest.
    #[serde(default)]
    pub notes: BTreeMap<u32, String>,
}

/// A column of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name in the table; not part of the digest.
    pub name: String,
    /// Its type as the program sees it.
    pub value_type: ValueType,
    /// Whether the program looks at its validity bitmap.
    pub nullable: bool,
}

/// A function of the object, by symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    /// The symbol that is right for all values: decimals are 16 bytes wide in the cage.
    pub general: String,
    /// The symbol for batches that pass `proof`: decimals are 8 bytes wide in the cage.
    #[serde(default)]
    pub narrow: Option<Narrow>,
    /// Columns whose values must be in the cage.
    #[serde(default)]
    pub loads: Vec<u32>,
    /// Columns that only helpers read, by index; their validity bitmap is in the cage all the same.
    #[serde(default)]
    pub handles: Vec<u32>,
    /// How many bitmaps of scratch the code uses.
    #[serde(default)]
    pub scratch_bitmaps: u32,
}

/// A 64-bit version of an entry point, and what proves that it computes the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrow {
    /// The symbol.
    pub symbol: String,
    /// Stack machine over intervals: the version is right for a batch if every interval it pushes, before any rounding, fits `i64`.
    pub proof: Vec<RangeStep>,
}

/// One step of a [`Narrow::proof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeStep {
    /// Pushes the smallest and largest non-null value of this column in the batch (`[0, 0]` if there is none).
    Column(u32),
    /// Pushes the value of this parameter.
    Parameter(u32),
    /// Pushes a constant.
    Constant(i64),
    /// Pops b, then a; pushes `a + b`.
    Add,
    /// Pops b, then a; pushes `a - b`.
    Sub,
    /// Pops b, then a; pushes `a × b`.
    Mul,
    /// Pops b, then a; pushes the smallest interval that holds both.
    Union,
    /// Pops a and throws it away.
    Drop,
}

/// A fact about every row of the result: `column op parameter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Index into [`Manifest::columns`].
    pub column: u32,
    /// How they compare.
    pub op: BoundOp,
    /// Parameter slot; ignored by the NULL tests.
    pub parameter: u32,
}

/// Comparison of a [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum BoundOp {
    Eq,
    Lt,
    Le,
    Gt,
    Ge,
    /// One of the texts of a list parameter.
    In,
    IsNull,
    IsNotNull,
}

/// What leaves the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// One row for each selected row.
    Project(Vec<OutputColumn>),
    /// One row for each group (exactly one if there are no keys): keys first, then states.
    Aggregate {
        /// Group keys.
        keys: Vec<OutputColumn>,
        /// Arrays in the cage, one element a group, that `main` updates.
        accumulators: Vec<Accumulator>,
        /// Columns made of accumulators.
        states: Vec<State>,
    },
}

/// A column of the result, or a group key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputColumn {
    /// Its name; not part of the digest.
    pub name: String,
    /// Where its values come from.
    pub source: OutputSource,
    /// Its type.
    pub value_type: ValueType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// Where a column's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputSource {
    /// A column of the table, as it is.
    Column(u32),
    /// The `main` entry point computes it, aligned with the batch's rows, into this element of the context's output array.
    Computed(u32),
}

/// An array with one fixed-width element a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    /// 8 or 16 bytes an element.
    pub width: u32,
    /// What a new group starts with: the element's low `width` bytes, little-endian.
    pub initial: i128,
}

/// A column of an aggregate's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name; not part of the digest.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// How it is read.
    pub source: StateSource,
    /// The accumulator that must be above zero for the state to be non-NULL; `None`: never NULL.
    pub seen: Option<u32>,
}

/// How a state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateSource {
    /// The low bytes of an accumulator are the value; floats by their bits.
    Accumulator(u32),
    /// The accumulator holds a float's total-order key ([`total_order_key`]).
    TotalOrderKey(u32),
    /// State of the helper `text_min` or `text_max` with this index (dense, from 0).
    Text(u32),
}

/// Maps the bits of a binary64 to a signed integer that orders as IEEE 754 `totalOrder` does; its own inverse.
///
/// For binary32 the same with 32 bits, see [`total_order_key_f32`].
pub fn total_order_key(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// [`total_order_key`] of a binary32.
pub fn total_order_key_f32(bits: i32) -> i32 {
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// Maps the bits of a binary64 to a signed integer that orders as SQL's comparisons do: by `totalOrder`, but zero has no sign.
///
/// Sign and magnitude become a two's complement. For binary32 the same with 32 bits, see [`comparison_key_f32`].
pub fn comparison_key(bits: i64) -> i64 {
    let sign = bits >> 63;
    ((bits & i64::MAX) ^ sign) - sign
}

/// [`comparison_key`] of a binary32.
pub fn comparison_key_f32(bits: i32) -> i32 {
    let sign = bits >> 31;
    ((bits & i32::MAX) ^ sign) - sign
}
