//! The helpers that join bitmaps and accumulate, a row at a time.

use std::cmp::Ordering;

use nearside_engine::{HelperFault, Memory};
use nearside_programs::abi::columnar::BITMAP_LEN;
use nearside_programs::abi::helper;
use nearside_programs::manifest::{total_order_key, total_order_key_f32};
use nearside_programs::{Scalar, ValueType};

use super::layout::{Helpers, View, bit};

/// What an accumulator's helper is called with.
#[derive(Clone, Copy)]
struct Call {
    columns: [Option<usize>; 2],
    bitmap: u64,
    end: usize,
    cells: u64,
}

impl Helpers<'_, '_> {
    /// Calls one of them; `None` if the number is not theirs.
    pub(super) fn reduce(
        &mut self,
        number: u32,
        arguments: [u64; 5],
        memory: &mut Memory<'_>,
    ) -> Option<Result<u64, HelperFault>> {
        let [a, b, c, d, e] = arguments;
        let column = |argument: u64| (argument != u64::MAX).then_some(argument as usize);
        let one = Call { columns: [column(a), None], bitmap: b, end: c as usize, cells: d };
        let two = Call { columns: [column(a), column(b)], bitmap: c, end: d as usize, cells: e };
        Some(match number {
            helper::BITMAP_COMBINE => combine(a, [b, c, d], memory),
            helper::GROUP_COUNT => self.accumulate(two, 8, memory, |_, known| Some(known + 1)),
            helper::GROUP_SUM => {
                let [Some(column), _] = one.columns else { return None };
                let width = self.view.width(column);
                self.accumulate(one, width, memory, |values, known| Some(known.wrapping_add(key(values[0]))))
            }
            helper::GROUP_SUM_PRODUCTS => {
                let [Some(column), _] = two.columns else { return None };
                let width = self.view.width(column);
                self.accumulate(two, width, memory, |values, known| {
                    let product = key(values[0]).checked_mul(key(values[1]));
                    Some(known.wrapping_add(product?))
                })
            }
            helper::GROUP_MIN | helper::GROUP_MAX => {
                let [Some(column), _] = one.columns else { return None };
                let (width, wanted) =
                    (self.view.width(column), if number == helper::GROUP_MIN { Ordering::Less } else { Ordering::Greater });
                self.accumulate(one, width, memory, |values, known| {
                    let value = key(values[0]);
                    // An accumulator of 64 bits that are unsigned comes here sign-extended.
                    let known =
                        if matches!(values[0], Scalar::Int(ValueType::UInt64, _)) { i128::from(known as u64) } else { known };
                    Some(if value.cmp(&known) == wanted { value } else { known })
                })
            }
            _ => return None,
        })
    }

    /// Goes through the rows; returns 1 if `step` failed for one of them.
    fn accumulate(
        &self,
        call: Call,
        width: usize,
        memory: &mut Memory<'_>,
        step: impl Fn(&[&Scalar], i128) -> Option<i128>,
    ) -> Result<u64, HelperFault> {
        let selected = memory.read(call.bitmap, BITMAP_LEN as usize)?.to_vec();
        for row in (self.view.first_row..call.end).filter(|row| bit(&selected, *row)) {
            let values: Option<Vec<_>> = call.columns.into_iter().flatten().map(|column| self.view.value(row, column)).collect();
            let Some(values) = values else { continue };
            let cell = call.cells + (self.group(memory, row)? * width) as u64;
            let cell = memory.write(cell, width)?;
            let Some(next) = step(&values, signed(cell)) else { return Ok(1) };
            cell.copy_from_slice(&next.to_le_bytes()[..width]);
        }
        Ok(0)
    }
}

impl View<'_> {
    /// Bytes of an accumulator of a column's values.
    fn width(&self, column: usize) -> usize {
        if matches!(self.manifest.columns[column].value_type, ValueType::Decimal128 { .. }) { 16 } else { 8 }
    }
}

fn combine(op: u64, [left, right, target]: [u64; 3], memory: &mut Memory<'_>) -> Result<u64, HelperFault> {
    let [left, right] = [memory.read(left, BITMAP_LEN as usize)?.to_vec(), memory.read(right, BITMAP_LEN as usize)?.to_vec()];
    let target = memory.write(target, BITMAP_LEN as usize)?;
    for (byte, (left, right)) in target.iter_mut().zip(left.iter().zip(&right)) {
        *byte = match op {
            0 => left & right,
            1 => left | right,
            _ => left & !right,
        };
    }
    Ok(0)
}

/// A number as accumulators hold it: a float's total-order key.
fn key(value: &Scalar) -> i128 {
    match value {
        Scalar::Int(_, value) | Scalar::Decimal { value, .. } => *value,
        Scalar::Float32(bits) => total_order_key_f32(*bits as i32).into(),
        Scalar::Float64(bits) => total_order_key(*bits as i64).into(),
        other => panic!("{other:?} is no number"),
    }
}

fn signed(cell: &[u8]) -> i128 {
    match cell.len() {
        8 => i64::from_le_bytes(cell.try_into().unwrap()).into(),
        _ => i128::from_le_bytes(cell.try_into().unwrap()),
    }
}
