//! What Q1 of TPC-H does with the rows that pass: a count and three sums by group, one of them of products.

use anyhow::Result;
use arrow::array::{AsArray, Int32Array, Int64Array};
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::{FilterBuilder, sum};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use nearside_programs::builder::Builder;
use nearside_programs::isa::{JumpOp, Reg, Size};

use super::{BATCH_ROWS, OUTPUT, Output, Step, assemble, begin, place, wat_place};
use crate::columns::{Column, FLAGS};
use crate::opaque::opaque;

/// Bytes of a group: the count and the sums, 8 bytes each.
const GROUP_LEN: usize = 32;
const LEN: usize = FLAGS as usize * GROUP_LEN;

pub(super) fn grouped() -> Step {
    Step {
        name: "Q1 grouped sum",
        columns: &[Column::Flag, Column::Quantity, Column::Price, Column::Discount],
        constants: Vec::new(),
        output: Output::Fixed(LEN),
        batch_rows: BATCH_ROWS,
        code: assemble(code),
        wat: wat(),
        scalar: |table, out| sums(table, out, opaque),
        vectorised: |table, out| sums(table, out, |value| value),
        kernels: Some(kernels),
        fragment: Some(
            "scan (flag: i32, quantity: i64, price: i64, discount: i64) | group by flag \
             | aggregate n: count(*), q: sum(quantity), p: sum(price), d: sum(price * (100 - discount))"
                .to_owned(),
        ),
    }
}

type Group = [u64; GROUP_LEN / 8];

#[inline(always)]
fn sums(table: &RecordBatch, out: &mut [u8], each: impl Fn(u64) -> u64) -> u64 {
    let flags = table.column(0).as_primitive::<Int32Type>().values();
    let column = |index: usize| table.column(index).as_primitive::<Int64Type>().values().iter();
    let mut groups = [Group::default(); FLAGS as usize];
    for (((flag, quantity), price), discount) in flags.iter().zip(column(1)).zip(column(2)).zip(column(3)) {
        let product = price.wrapping_mul(100 - discount);
        let group = &mut groups[*flag as usize];
        for (sum, value) in group.iter_mut().zip([1, *quantity as u64, *price as u64, product as u64]) {
            *sum = each(sum.wrapping_add(value));
        }
    }
    add(&groups, out);
    0
}

fn add(groups: &[Group], out: &mut [u8]) {
    for (out, sum) in out.as_chunks_mut::<8>().0.iter_mut().zip(groups.as_flattened()) {
        *out = u64::from_le_bytes(*out).wrapping_add(*sum).to_le_bytes();
    }
}

/// There is no kernel that groups: one pass a group.
fn kernels(batch: &RecordBatch, out: &mut [u8]) -> Result<u64> {
    let mut groups = [Group::default(); FLAGS as usize];
    for (flag, group) in groups.iter_mut().enumerate() {
        let mask = cmp::eq(batch.column(0), &Int32Array::new_scalar(flag as i32))?;
        let filter = FilterBuilder::new(&mask).optimize().build();
        let [quantity, price, discount] = [1, 2, 3].map(|index| filter.filter(batch.column(index)));
        let (quantity, price) = (quantity?, price?);
        let discounted = numeric::mul_wrapping(&price, &numeric::sub_wrapping(&Int64Array::new_scalar(100), &discount?)?)?;
        let total = |array: &dyn arrow::array::Array| sum(array.as_primitive::<Int64Type>()).unwrap_or(0) as u64;
        *group = [filter.count() as u64, total(&quantity), total(&price), total(&discounted)];
    }
    add(&groups, out);
    Ok(0)
}

fn code(b: &mut Builder) {
    let [flag, quantity, price, discount] = [Reg::R3, Reg::R4, Reg::R5, Reg::R6];
    let (group, value, sum) = (Reg::R7, Reg::R8, Reg::R9);
    begin(b, &[flag, quantity, price, discount]);
    place(b, Reg::R9, OUTPUT);
    b.mov(Reg::R1, Reg::R9);
    let row = b.label();
    b.bind(row).load(Size::W, group, flag, 0).lsh(group, 5).add(group, Reg::R1);
    b.load(Size::D, value, group, 0).add(value, 1).store(Size::D, group, 0, value);
    for (index, column) in [quantity, price].into_iter().enumerate() {
        let at = 8 + 8 * index as i16;
        b.load(Size::D, value, column, 0).load(Size::D, sum, group, at).add(sum, value).store(Size::D, group, at, sum);
    }
    b.mov(sum, 100).load(Size::D, Reg::R0, discount, 0).sub(sum, Reg::R0).mul(value, sum);
    b.load(Size::D, sum, group, 24).add(sum, value).store(Size::D, group, 24, sum);
    b.add(flag, 4).add(quantity, 8).add(price, 8).add(discount, 8);
    b.sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).mov(Reg::R0, 0).exit();
}

fn wat() -> String {
    let places: String = ["$f", "$q", "$p", "$d"].iter().zip(1..).map(|(local, index)| wat_place(local, index)).collect();
    let out = wat_place("$o", OUTPUT);
    let add = |at: usize, value: &str| {
        format!("(i64.store offset={at} (local.get $g) (i64.add (i64.load offset={at} (local.get $g)) {value}))\n")
    };
    let adds = [
        add(0, "(i64.const 1)"),
        add(8, "(i64.load (local.get $q))"),
        add(16, "(local.get $price)"),
        add(24, "(i64.mul (local.get $price) (i64.sub (i64.const 100) (i64.load (local.get $d))))"),
    ]
    .concat();
    format!(
        "(local $f i32) (local $q i32) (local $p i32) (local $d i32) (local $o i32) (local $g i32) (local $end i32) (local $price i64)
        {places}{out}
        (local.set $end (i32.add (local.get $f) (i32.shl (i32.wrap_i64 (i64.load (local.get $h))) (i32.const 2))))
        (loop $rows
            (local.set $g (i32.add (local.get $o) (i32.shl (i32.load (local.get $f)) (i32.const 5))))
            (local.set $price (i64.load (local.get $p)))
            {adds}
            (local.set $q (i32.add (local.get $q) (i32.const 8)))
            (local.set $p (i32.add (local.get $p) (i32.const 8)))
            (local.set $d (i32.add (local.get $d) (i32.const 8)))
            (local.set $f (i32.add (local.get $f) (i32.const 4)))
            (br_if $rows (i32.ne (local.get $f) (local.get $end))))
        (i64.const 0)"
    )
}
