//! Q6 of TPC-H: four columns, three predicates, one sum of products; 1.9 % of the rows pass.

use std::ops::{Range, RangeInclusive};

use anyhow::Result;
use arrow::array::{AsArray, Date32Array, Int64Array};
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::{FilterBuilder, and, sum};
use arrow::datatypes::{Date32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use nearside_programs::builder::Builder;
use nearside_programs::isa::{JumpOp, Reg, Size};

use super::{BATCH_ROWS, Output, Step, assemble, begin, wat_place};
use crate::columns::Column;
use crate::opaque::opaque;

/// The year 1994.
const DATES: Range<i32> = 8_766..9_131;
const DISCOUNTS: RangeInclusive<i64> = 5..=7;
const QUANTITY_END: i64 = 2_400;

pub(super) fn q6() -> Step {
    Step {
        name: "Q6",
        columns: &[Column::Quantity, Column::Price, Column::Discount, Column::Date],
        constants: Vec::new(),
        output: Output::Fixed(0),
        batch_rows: BATCH_ROWS,
        code: assemble(code),
        wat: wat(),
        scalar: |table, _| revenue(table, opaque),
        vectorised: |table, _| revenue(table, |value| value),
        kernels: Some(kernels),
        fragment: Some(
            "scan (quantity: i64, price: i64, discount: i64, shipdate: date) \
             | filter shipdate >= date '1994-01-01' and shipdate < date '1995-01-01' | filter discount >= 5 and discount <= 7 | filter quantity < 2400 \
             | aggregate revenue: sum(price * discount)"
                .to_owned(),
        ),
    }
}

/// All three predicates for every row, and a product of which nothing is left if one is false.
#[inline(always)]
fn revenue(table: &RecordBatch, each: impl Fn(u64) -> u64) -> u64 {
    let column = |index: usize| table.column(index).as_primitive::<Int64Type>().values().iter();
    let dates = table.column(3).as_primitive::<Date32Type>().values();
    let rows = column(0).zip(column(1)).zip(column(2)).zip(dates.iter());
    rows.fold(0, |sum, (((quantity, price), discount), date)| {
        let passes = DATES.contains(date) & DISCOUNTS.contains(discount) & (*quantity < QUANTITY_END);
        let product = price.wrapping_mul(*discount) as u64;
        sum.wrapping_add(each(product & u64::from(passes).wrapping_neg()))
    })
}

fn kernels(batch: &RecordBatch, _: &mut [u8]) -> Result<u64> {
    let [quantity, price, discount, date] = [0, 1, 2, 3].map(|index| batch.column(index));
    let number = Int64Array::new_scalar;
    let dates =
        and(&cmp::gt_eq(date, &Date32Array::new_scalar(DATES.start))?, &cmp::lt(date, &Date32Array::new_scalar(DATES.end))?)?;
    let discounts = and(&cmp::gt_eq(discount, &number(*DISCOUNTS.start()))?, &cmp::lt_eq(discount, &number(*DISCOUNTS.end()))?)?;
    let passes = and(&and(&dates, &discounts)?, &cmp::lt(quantity, &number(QUANTITY_END))?)?;
    let filter = FilterBuilder::new(&passes).optimize().build();
    let products = numeric::mul_wrapping(&filter.filter(price)?, &filter.filter(discount)?)?;
    Ok(sum(products.as_primitive::<Int64Type>()).unwrap_or(0) as u64)
}

const QUANTITY: Reg = Reg::R3;
const PRICE: Reg = Reg::R4;
const DISCOUNT: Reg = Reg::R5;
const DATE: Reg = Reg::R6;

/// A row is selected if none of five differences is negative: their signs are gathered in r8.
fn code(b: &mut Builder) {
    begin(b, &[QUANTITY, PRICE, DISCOUNT, DATE]);
    let row = b.label();
    b.bind(row).load(Size::W, Reg::R7, DATE, 0);
    b.mov(Reg::R8, Reg::R7).sub(Reg::R8, DATES.start);
    b.mov(Reg::R9, DATES.end - 1).sub(Reg::R9, Reg::R7).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R7, DISCOUNT, 0);
    b.mov(Reg::R9, Reg::R7).sub(Reg::R9, *DISCOUNTS.start() as i32).or(Reg::R8, Reg::R9);
    b.mov(Reg::R9, *DISCOUNTS.end() as i32).sub(Reg::R9, Reg::R7).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R1, QUANTITY, 0);
    b.mov(Reg::R9, QUANTITY_END as i32 - 1).sub(Reg::R9, Reg::R1).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R9, PRICE, 0).mul(Reg::R9, Reg::R7);
    b.arsh(Reg::R8, 63).xor(Reg::R8, -1).and(Reg::R9, Reg::R8).add(Reg::R0, Reg::R9);
    b.add(QUANTITY, 8).add(PRICE, 8).add(DISCOUNT, 8).add(DATE, 4);
    b.sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).exit();
}

fn wat() -> String {
    let places: String = ["$q", "$p", "$c", "$d"].iter().zip(1..).map(|(local, index)| wat_place(local, index)).collect();
    let (from, to) = (DATES.start, DATES.end);
    let (least, most) = (DISCOUNTS.start(), DISCOUNTS.end());
    format!(
        "(local $q i32) (local $p i32) (local $c i32) (local $d i32) (local $end i32) (local $date i32) (local $discount i64) (local $sum i64)
        {places}
        (local.set $end (i32.add (local.get $d) (i32.shl (i32.wrap_i64 (i64.load (local.get $h))) (i32.const 2))))
        (loop $rows
            (local.set $date (i32.load (local.get $d)))
            (local.set $discount (i64.load (local.get $c)))
            (local.set $sum (i64.add (local.get $sum) (i64.and
                (i64.mul (i64.load (local.get $p)) (local.get $discount))
                (i64.sub (i64.const 0) (i64.extend_i32_u (i32.and
                    (i32.and
                        (i32.and (i32.ge_s (local.get $date) (i32.const {from})) (i32.lt_s (local.get $date) (i32.const {to})))
                        (i32.and (i64.ge_s (local.get $discount) (i64.const {least})) (i64.le_s (local.get $discount) (i64.const {most}))))
                    (i64.lt_s (i64.load (local.get $q)) (i64.const {QUANTITY_END}))))))))
            (local.set $q (i32.add (local.get $q) (i32.const 8)))
            (local.set $p (i32.add (local.get $p) (i32.const 8)))
            (local.set $c (i32.add (local.get $c) (i32.const 8)))
            (local.set $d (i32.add (local.get $d) (i32.const 4)))
            (br_if $rows (i32.ne (local.get $d) (local.get $end))))
        (local.get $sum)"
    )
}
