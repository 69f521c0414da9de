//! Steps over bytes: how often each value occurs, and the sum an Internet checksum is folded from (RFC 1071 §2, in words of 32 bits).

use anyhow::Result;
use arrow::array::AsArray;
use arrow::compute::{cast, sum};
use arrow::datatypes::{DataType, UInt8Type, UInt32Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use nearside_programs::builder::Builder;
use nearside_programs::isa::{JumpOp, Reg, Size};

use super::{BATCH_ROWS, OUTPUT, Output, Step, assemble, begin, place, wat_place};
use crate::columns::Column;
use crate::opaque::opaque;

/// Bytes of the counters, 8 each.
const COUNTERS_LEN: usize = 256 * 8;

pub(super) fn histogram() -> Step {
    Step {
        name: "byte histogram",
        columns: &[Column::Byte],
        constants: Vec::new(),
        output: Output::Fixed(COUNTERS_LEN),
        batch_rows: 8 * BATCH_ROWS,
        code: assemble(|b| {
            begin(b, &[Reg::R3]);
            place(b, Reg::R4, OUTPUT);
            let row = b.label();
            b.bind(row).load(Size::B, Reg::R7, Reg::R3, 0).lsh(Reg::R7, 3).add(Reg::R7, Reg::R4);
            b.load(Size::D, Reg::R8, Reg::R7, 0).add(Reg::R8, 1).store(Size::D, Reg::R7, 0, Reg::R8);
            next(b, 1, row);
        }),
        wat: wat(
            1,
            "(local.set $t (i32.add (local.get $o) (i32.shl (i32.load8_u (local.get $p)) (i32.const 3))))
            (i64.store (local.get $t) (i64.add (i64.load (local.get $t)) (i64.const 1)))",
        ),
        scalar: counts,
        vectorised: counts_in_turn,
        kernels: None,
        fragment: None,
    }
}

pub(super) fn checksum() -> Step {
    Step {
        name: "checksum",
        columns: &[Column::Word],
        constants: Vec::new(),
        output: Output::Fixed(0),
        batch_rows: 2 * BATCH_ROWS,
        code: assemble(|b| {
            begin(b, &[Reg::R3]);
            let row = b.label();
            b.bind(row).load(Size::W, Reg::R7, Reg::R3, 0).add(Reg::R0, Reg::R7);
            next(b, 4, row);
        }),
        wat: wat(4, "(local.set $sum (i64.add (local.get $sum) (i64.load32_u (local.get $p))))"),
        scalar: |table, _| words(table).iter().fold(0, |sum, word| opaque(sum + u64::from(*word))),
        vectorised: |table, _| words(table).iter().map(|word| u64::from(*word)).sum(),
        kernels: Some(checksum_kernels),
        fragment: None,
    }
}

/// Goes to the next value, if there is one, and ends otherwise.
fn next(b: &mut Builder, width: i32, row: nearside_programs::builder::Label) {
    b.add(Reg::R3, width).sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).exit();
}

fn words(table: &RecordBatch) -> &[u32] {
    table.column(0).as_primitive::<UInt32Type>().values()
}

fn counts(table: &RecordBatch, out: &mut [u8]) -> u64 {
    let mut counters = [0_u64; 256];
    for byte in bytes(table) {
        counters[usize::from(*byte)] += 1;
    }
    write(&[counters], out)
}

/// In four tables, so that an increment need not wait for the one before: there is nothing more for vectors to do.
fn counts_in_turn(table: &RecordBatch, out: &mut [u8]) -> u64 {
    let mut counters = [[0_u64; 256]; 4];
    let (chunks, rest) = bytes(table).as_chunks::<4>();
    for chunk in chunks {
        for (counters, byte) in counters.iter_mut().zip(chunk) {
            counters[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        counters[0][usize::from(*byte)] += 1;
    }
    write(&counters, out)
}

fn bytes(table: &RecordBatch) -> &[u8] {
    table.column(0).as_primitive::<UInt8Type>().values()
}

fn write(tables: &[[u64; 256]], out: &mut [u8]) -> u64 {
    for (value, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *out = tables.iter().map(|counters| counters[value]).sum::<u64>().to_le_bytes();
    }
    0
}

/// 64-bit sums want 64-bit values.
fn checksum_kernels(batch: &RecordBatch, _: &mut [u8]) -> Result<u64> {
    let wide = cast(batch.column(0), &DataType::UInt64)?;
    Ok(sum(wide.as_primitive::<UInt64Type>()).unwrap_or(0))
}

fn wat(width: usize, row: &str) -> String {
    let (p, o) = (wat_place("$p", 1), wat_place("$o", OUTPUT));
    format!(
        "(local $p i32) (local $o i32) (local $t i32) (local $end i32) (local $sum i64)
        {p}{o}
        (local.set $end (i32.add (local.get $p) (i32.mul (i32.wrap_i64 (i64.load (local.get $h))) (i32.const {width}))))
        (loop $rows
            {row}
            (local.set $p (i32.add (local.get $p) (i32.const {width})))
            (br_if $rows (i32.ne (local.get $p) (local.get $end))))
        (local.get $sum)"
    )
}
