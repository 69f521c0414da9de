//! The same by group: row `i` belongs to group `ids[i]`, whose cell is the `ids[i]`-th of an array of accumulators.
//!
//! Cells are 8 bytes, of decimals 16, little-endian. Rows of one group wait for each other, so there is nothing to gain from vectors here.

use nearside_programs::ValueType;

use super::lanes::{I64, I128, Lane, U64};
use super::loops::Word;
use super::products::Factor;
use super::{Extreme, with_lane};

/// Adds 1 to the cell of each selected row.
pub(in super::super) fn count_by_group(selected: &[Word], ids: &[u32], cells: &mut [u8]) {
    let (cells, _) = cells.as_chunks_mut::<8>();
    for_each_row(selected, |row| {
        update(cells, ids, row, |cell| u64::from_le_bytes(cell).wrapping_add(1).to_le_bytes());
    });
}

/// Adds each selected value to its cell, modulo its width; `None` for types without a sum.
pub(in super::super) fn sum_by_group(
    value_type: ValueType,
    values: &[u8],
    selected: &[Word],
    ids: &[u32],
    cells: &mut [u8],
) -> Option<()> {
    match value_type {
        ValueType::Float32 | ValueType::Float64 => None,
        ValueType::Decimal128 { .. } => {
            let (values, cells) = (I128::elements(values), cells.as_chunks_mut().0);
            for_each_row(selected, |row| {
                let Some(value) = values.get(row) else { return };
                update(cells, ids, row, |cell| add_wide(cell, i128::from_le_bytes(*value)));
            });
            Some(())
        }
        _ => with_lane!(value_type, L => {
            let (values, cells) = (L::elements(values), cells.as_chunks_mut().0);
            for_each_row(selected, |row| {
                let Some(value) = values.get(row) else { return };
                let value = L::value_of(L::key(*value)) as i64;
                update(cells, ids, row, |cell| i64::from_le_bytes(cell).wrapping_add(value).to_le_bytes());
            });
        }),
    }
}

/// Adds each selected row's product to its cell, modulo its width; `Some(false)` if one does not fit, `None` for types without products.
pub(in super::super) fn products_by_group(
    value_type: ValueType,
    [left, right]: [&[u8]; 2],
    selected: &[Word],
    ids: &[u32],
    cells: &mut [u8],
) -> Option<bool> {
    fn add<L: Factor, const WIDTH: usize>(
        [left, right]: [&[u8]; 2],
        selected: &[Word],
        ids: &[u32],
        cells: &mut [u8],
        add: impl Fn([u8; WIDTH], i128) -> [u8; WIDTH],
    ) -> bool {
        let (left, right, cells) = (L::elements(left), L::elements(right), cells.as_chunks_mut().0);
        let mut fit = true;
        for_each_row(selected, |row| {
            let (Some(left), Some(right)) = (left.get(row), right.get(row)) else { return };
            match L::product(*left, *right) {
                Some(product) => update(cells, ids, row, |cell| add(cell, product)),
                None => fit = false,
            }
        });
        fit
    }
    let add_narrow = |cell: [u8; 8], product: i128| i64::from_le_bytes(cell).wrapping_add(product as i64).to_le_bytes();
    Some(match value_type {
        ValueType::Int64 => add::<I64, 8>([left, right], selected, ids, cells, add_narrow),
        ValueType::UInt64 => add::<U64, 8>([left, right], selected, ids, cells, add_narrow),
        ValueType::Decimal128 { .. } => add::<I128, 16>([left, right], selected, ids, cells, add_wide),
        _ => return None,
    })
}

/// Replaces each cell by the least or greatest of it and its group's selected values, of floats their total-order keys; `None` for types without an order.
pub(in super::super) fn extreme_by_group(
    value_type: ValueType,
    values: &[u8],
    selected: &[Word],
    ids: &[u32],
    cells: &mut [u8],
    which: Extreme,
) -> Option<()> {
    let is_better = |value: i128, known: i128| match which {
        Extreme::Least => value < known,
        Extreme::Greatest => value > known,
    };
    with_lane!(value_type, L => {
        let values = L::elements(values);
        match value_type {
            ValueType::Decimal128 { .. } => {
                let cells = cells.as_chunks_mut().0;
                for_each_row(selected, |row| {
                    let Some(value) = values.get(row).map(|raw| L::value_of(L::key(*raw))) else { return };
                    let better = |cell| if is_better(value, i128::from_le_bytes(cell)) { value.to_le_bytes() } else { cell };
                    update(cells, ids, row, better);
                });
            }
            _ => {
                let cells = cells.as_chunks_mut().0;
                for_each_row(selected, |row| {
                    let Some(value) = values.get(row).map(|raw| L::value_of(L::key(*raw))) else { return };
                    let number = |cell| if value_type == ValueType::UInt64 { u64::from_le_bytes(cell).into() } else { i64::from_le_bytes(cell).into() };
                    let better = |cell| if is_better(value, number(cell)) { (value as i64).to_le_bytes() } else { cell };
                    update(cells, ids, row, better);
                });
            }
        }
    })
}

fn add_wide(cell: [u8; 16], value: i128) -> [u8; 16] {
    i128::from_le_bytes(cell).wrapping_add(value).to_le_bytes()
}

/// Replaces the cell of a row's group, if there is one.
#[inline(always)]
fn update<const WIDTH: usize>(
    cells: &mut [[u8; WIDTH]],
    ids: &[u32],
    row: usize,
    replace: impl FnOnce([u8; WIDTH]) -> [u8; WIDTH],
) {
    if let Some(cell) = ids.get(row).and_then(|id| cells.get_mut(*id as usize)) {
        *cell = replace(*cell);
    }
}

/// Calls `visit` with each selected row, ascending.
#[inline(always)]
fn for_each_row(selected: &[Word], mut visit: impl FnMut(usize)) {
    for (index, word) in selected.iter().enumerate() {
        let mut word = u64::from_le_bytes(*word);
        while word != 0 {
            visit(index * 64 + word.trailing_zeros() as usize);
            word &= word - 1;
        }
    }
}
