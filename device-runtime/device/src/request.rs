//! What is asked of a device.

use std::fmt;

use arrow::datatypes::SchemaRef;
use nearside_programs::Parameters;
use serde::{Deserialize, Serialize};

/// SHA-256 of what makes a program itself: code, relocations, ABI, types. In lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProgramDigest(pub String);

impl fmt::Display for ProgramDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a device is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// For people: `nearsided 0.1.0`, `embedded`.
    pub name: String,
    /// Version of the wire protocol.
    pub protocol_version: u32,
    /// Version of the `columnar` ABI.
    pub columnar_abi: u32,
    /// Numbers of the helpers a `columnar` program may call.
    pub helpers: Vec<u32>,
    /// Worker threads.
    pub workers: u32,
    /// Most groups in a worker's table before it emits its partials early.
    pub groups_max: u64,
    /// Largest object a `load` takes, bytes.
    pub object_bytes_max: u64,
}

/// One execution of a loaded program.
#[derive(Clone, Debug)]
pub struct Request {
    /// The program.
    pub program: ProgramDigest,
    /// What it runs over.
    pub input: Input,
    /// Its literals.
    pub parameters: Parameters,
    /// How to run it.
    pub options: Options,
}

/// What a program runs over.
#[derive(Clone, Debug)]
pub enum Input {
    /// Parquet objects.
    Objects {
        /// The table's fields for the manifest's columns, in that order: the Arrow types (layouts included) that plain columns leave with.
        schema: SchemaRef,
        /// The objects, in the order of the partition.
        objects: Vec<ObjectSlice>,
    },
}

/// The part of an object that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSlice {
    /// Path below the device's root, as `object_store` spells it.
    pub path: String,
    /// Size the caller has seen, bytes.
    pub size: u64,
    /// ETag the caller has seen, if it has.
    pub etag: Option<String>,
    /// Which row groups.
    pub row_groups: RowGroups,
}

/// Which row groups of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowGroups {
    /// All of them.
    All,
    /// Those whose first column's first page (dictionary page, if there is one) starts in `[start, end)`: DataFusion's rule.
    Starting {
        /// First byte.
        start: u64,
        /// Byte after the last.
        end: u64,
    },
    /// Exactly these.
    Only(Vec<u32>),
}

/// A row group of the input: the unit of parallelism, of the ledger and of fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MorselId {
    /// Index into [`Input::Objects::objects`].
    pub object: u32,
    /// Row group of that object.
    pub row_group: u32,
}

/// How to run a program. The default is what a query wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Rows leave in the order of the input: by object, row group, row.
    pub ordered: bool,
    /// Enough rows: a projection may stop early once it has sent so many.
    pub limit: Option<u64>,
    /// Run byte code by the plain interpreter.
    pub interpreter: bool,
    /// LZ4 on the wire.
    pub compress: bool,
    /// Give up with [`Unselective`](crate::DeviceError::Unselective) as soon as rows take more bytes than the columns they come from take in the
    /// object: the caller had better read those.
    pub push_back: bool,
    /// Also count executed instructions per basic block (slow): [`crate::ledger::Work::blocks`].
    pub count_instructions: bool,
    /// Budget of one call of an entry point; `None`: the device's own, which is enough for any honest program.
    pub fuel: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ordered: false,
            limit: None,
            interpreter: false,
            compress: true,
            push_back: false,
            count_instructions: false,
            fuel: None,
        }
    }
}
