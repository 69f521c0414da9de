//! What is run: six steps of queries, each as byte code, as WebAssembly, in Rust, by arrow-rs, and as a fragment for the planner.
//!
//! A program gets the address of its header (see [`crate::data`]) in r1, returns a number in r0 and may write an output. It uses only what all machines have:
//! 64-bit arithmetic without `lddw`, loads, stores and jumps. What a step answers is the sum of r0 over its batches, and the output.

mod bitmaps;
mod bytes;
mod grouped;
mod q6;

use std::sync::OnceLock;

use anyhow::Result;
use arrow::record_batch::RecordBatch;
use nearside_programs::builder::Builder;
use nearside_programs::isa::{Reg, Size, Slot};

use crate::columns::Column;

/// Rows of a batch of columns: the most a `columnar` program gets.
const BATCH_ROWS: usize = nearside_programs::abi::columnar::BATCH_ROWS_MAX as usize;

/// What a step writes beside r0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// A bit a row, in words of 64.
    Bitmap,
    /// So many bytes, which begin zero and are added to by all batches.
    Fixed(usize),
}

impl Output {
    pub(crate) fn len(self, rows: usize) -> usize {
        match self {
            Self::Bitmap => rows / 8,
            Self::Fixed(len) => len,
        }
    }
}

/// The step in Rust, over all rows at once: returns r0, writes the output.
pub(crate) type Native = fn(&RecordBatch, &mut [u8]) -> u64;

/// The step by arrow-rs's kernels, over one batch.
pub(crate) type Kernels = fn(&RecordBatch, &mut [u8]) -> Result<u64>;

/// One step of a query.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// What the program reads beside columns.
    pub(crate) constants: Vec<u8>,
    pub(crate) output: Output,
    /// A multiple of 64.
    pub(crate) batch_rows: usize,
    pub(crate) code: Vec<Slot>,
    /// Locals and body of a function of the header's address, `$h`.
    pub(crate) wat: String,
    /// Each value by itself.
    pub(crate) scalar: Native,
    /// As rustc vectorises it for the processor it compiles for.
    pub(crate) vectorised: Native,
    /// `None` if arrow-rs has none for it.
    pub(crate) kernels: Option<Kernels>,
    /// The same for the planner, with the columns in the same order; `None` if SQL cannot say it.
    pub(crate) fragment: Option<String>,
}

impl Step {
    /// Bytes of a row.
    pub(crate) fn row_len(&self) -> usize {
        self.columns.iter().map(|column| column.width()).sum()
    }
}

/// All of them.
pub(crate) fn steps() -> &'static [Step] {
    static STEPS: OnceLock<Vec<Step>> = OnceLock::new();
    STEPS.get_or_init(|| {
        vec![bitmaps::filter(), q6::q6(), grouped::grouped(), bitmaps::dictionary(), bytes::histogram(), bytes::checksum()]
    })
}

fn assemble(code: fn(&mut Builder)) -> Vec<Slot> {
    let mut builder = Builder::new();
    code(&mut builder);
    builder.finish().expect("the programs here assemble").code
}

/// r0 = 0, r2 = rows, the columns' addresses in registers.
fn begin(b: &mut Builder, columns: &[Reg]) {
    b.mov(Reg::R0, 0).load(Size::D, Reg::R2, Reg::R1, 0);
    for (index, pointer) in columns.iter().enumerate() {
        place(b, *pointer, 1 + index as i16);
    }
}

/// The address of what word `index` of the header says.
fn place(b: &mut Builder, pointer: Reg, index: i16) {
    b.load(Size::D, pointer, Reg::R1, 8 * index).add(pointer, Reg::R1);
}

/// Words of the header.
const CONSTANTS: i16 = 6;
const OUTPUT: i16 = 7;

/// In WebAssembly, what [`place`] does.
fn wat_place(local: &str, index: i16) -> String {
    format!("(local.set {local} (i32.add (local.get $h) (i32.wrap_i64 (i64.load offset={} (local.get $h)))))\n", 8 * index)
}
