//! Steps that make a bit a row: a filter of 32-bit integers, and one of strings by their dictionary's keys.

use anyhow::Result;
use arrow::array::{Array, AsArray, Date32Array, Datum, StringArray};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{Date32Type, Int32Type};
use arrow::record_batch::RecordBatch;
use arrow::{array::BooleanArray, compute::or};
use nearside_programs::builder::Builder;
use nearside_programs::isa::{JumpOp, Reg, Size};

use super::{BATCH_ROWS, CONSTANTS, OUTPUT, Output, Step, assemble, begin, place, wat_place};
use crate::columns::{Column, MODES};
use crate::opaque::opaque;

/// 1995-01-01: 43 % of the rows are before.
const END: i32 = 9_131;

/// What `IN` lists.
const WANTED: [&str; 2] = ["MAIL", "SHIP"];

pub(super) fn filter() -> Step {
    Step {
        name: "filter i32",
        columns: &[Column::Date],
        constants: Vec::new(),
        output: Output::Bitmap,
        batch_rows: BATCH_ROWS,
        code: assemble(|b| {
            bits(b, |b| {
                b.load(Size::W, Reg::R7, Reg::R3, 0).sub(Reg::R7, END).and(Reg::R7, Reg::R9);
            });
        }),
        wat: wat(&format!("(i64.extend_i32_u (i32.lt_s (i32.load (local.get $p)) (i32.const {END})))")),
        scalar: |table, out| {
            words(dates(table), out, |date| opaque(u64::from(*date < END)));
            0
        },
        vectorised: |table, out| {
            words(dates(table), out, |date| u64::from(*date < END));
            0
        },
        kernels: Some(|batch, out| {
            write(&cmp::lt(batch.column(0), &Date32Array::new_scalar(END))?, out);
            Ok(0)
        }),
        fragment: Some("scan (shipdate: date) | filter shipdate < date '1995-01-01' | emit shipdate".to_owned()),
    }
}

pub(super) fn dictionary() -> Step {
    Step {
        name: "string dictionary filter",
        columns: &[Column::Mode],
        constants: is_wanted().to_vec(),
        output: Output::Bitmap,
        batch_rows: BATCH_ROWS,
        code: assemble(|b| {
            place(b, Reg::R6, CONSTANTS);
            bits(b, |b| {
                b.load(Size::W, Reg::R7, Reg::R3, 0).add(Reg::R7, Reg::R6).load(Size::B, Reg::R7, Reg::R7, 0).lsh(Reg::R7, 63);
            });
        }),
        wat: wat("(i64.load8_u (i32.add (local.get $t) (i32.load (local.get $p))))"),
        scalar: |table, out| {
            let wanted = is_wanted();
            words(modes(table), out, |mode| opaque(u64::from(wanted[*mode as usize])));
            0
        },
        vectorised: |table, out| {
            // Seven values: their truths are the bits of a number.
            let wanted = is_wanted().iter().rev().fold(0_u32, |bits, wanted| bits << 1 | u32::from(*wanted));
            words(modes(table), out, |mode| u64::from(wanted >> (*mode as u32 & 31) & 1));
            0
        },
        kernels: Some(dictionary_kernels),
        fragment: Some("scan (mode: utf8) | filter mode in ('MAIL', 'SHIP') | emit mode".to_owned()),
    }
}

fn is_wanted() -> [u8; MODES.len()] {
    MODES.map(|mode| u8::from(WANTED.contains(&mode)))
}

/// By key: the kernels compare the dictionary's values, and take the truths by key.
fn dictionary_kernels(batch: &RecordBatch, out: &mut [u8]) -> Result<u64> {
    let equal = |mode: &str| cmp::eq(batch.column(0), &StringArray::new_scalar(mode) as &dyn Datum);
    write(&or(&equal(WANTED[0])?, &equal(WANTED[1])?)?, out);
    Ok(0)
}

fn dates(table: &RecordBatch) -> &[i32] {
    table.column(0).as_primitive::<Date32Type>().values()
}

fn modes(table: &RecordBatch) -> &[i32] {
    table.column(0).as_dictionary::<Int32Type>().keys().values()
}

#[inline(always)]
fn words(values: &[i32], out: &mut [u8], bit: impl Fn(&i32) -> u64) {
    let (values, _) = values.as_chunks::<64>();
    let (out, _) = out.as_chunks_mut::<8>();
    for (values, out) in values.iter().zip(out) {
        let word = (0..64).zip(values).fold(0, |word, (row, value)| word | bit(value) << row);
        *out = word.to_le_bytes();
    }
}

fn write(truths: &BooleanArray, out: &mut [u8]) {
    debug_assert_eq!(truths.null_count(), 0);
    for (out, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(truths.values().bit_chunks().iter()) {
        *out = word.to_le_bytes();
    }
}

/// For each 64 values of 4 bytes at r3 a word of what `bit` leaves in the highest bit of r7, the others zero; r9 has that bit, and r6 is free.
fn bits(b: &mut Builder, bit: impl Fn(&mut Builder)) {
    begin(b, &[Reg::R3]);
    place(b, Reg::R4, OUTPUT);
    b.mov(Reg::R9, 1).lsh(Reg::R9, 63);
    let (word, row) = (b.label(), b.label());
    b.bind(word).mov(Reg::R8, 0).mov(Reg::R5, Reg::R3).add(Reg::R5, 256);
    b.bind(row);
    bit(b);
    b.rsh(Reg::R8, 1).or(Reg::R8, Reg::R7).add(Reg::R3, 4).branch(JumpOp::Ne, Reg::R3, Reg::R5, row);
    b.store(Size::D, Reg::R4, 0, Reg::R8).add(Reg::R4, 8);
    b.sub(Reg::R2, 64).branch(JumpOp::Ne, Reg::R2, 0, word).exit();
}

/// The same of `bit`, 0 or 1 for the value at `$p`; `$t` is where the constants are.
fn wat(bit: &str) -> String {
    let (p, o, t) = (wat_place("$p", 1), wat_place("$o", OUTPUT), wat_place("$t", CONSTANTS));
    format!(
        "(local $p i32) (local $o i32) (local $t i32) (local $end i32) (local $n i64) (local $word i64)
        {p}{o}{t}
        (local.set $n (i64.load (local.get $h)))
        (loop $words
            (local.set $word (i64.const 0))
            (local.set $end (i32.add (local.get $p) (i32.const 256)))
            (loop $rows
                (local.set $word (i64.or (i64.shr_u (local.get $word) (i64.const 1)) (i64.shl {bit} (i64.const 63))))
                (local.set $p (i32.add (local.get $p) (i32.const 4)))
                (br_if $rows (i32.ne (local.get $p) (local.get $end))))
            (i64.store (local.get $o) (local.get $word))
            (local.set $o (i32.add (local.get $o) (i32.const 8)))
            (local.set $n (i64.sub (local.get $n) (i64.const 64)))
            (br_if $words (i64.ne (local.get $n) (i64.const 0))))
        (i64.const 0)"
    )
}
