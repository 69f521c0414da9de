//! Whether two answers are the same.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Floating-point sums depend on the order of additions, in DataFusion itself.
const RELATIVE_TOLERANCE: f64 = 1e-12;

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Cell {
    Text(Option<String>),
    Float(Option<f64>),
}

/// The first difference between two answers as sets of rows, if there is one; floating-point sums may be apart by what the order of additions does.
///
/// # Errors
/// A value that Arrow cannot print.
pub fn difference(expected: &[RecordBatch], actual: &[RecordBatch]) -> Result<Option<String>, ArrowError> {
    let (expected, actual) = (rows(expected)?, rows(actual)?);
    if expected.len() != actual.len() {
        return Ok(Some(format!("{} rows expected, {} found", expected.len(), actual.len())));
    }
    let different = expected.iter().zip(&actual).find(|(expected, actual)| !same(expected, actual));
    Ok(different.map(|(expected, actual)| format!("expected {expected:?}, found {actual:?}")))
}

fn rows(batches: &[RecordBatch]) -> Result<Vec<Vec<Cell>>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| cells(column)).collect::<Result<Vec<_>, _>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>()));
    }
    rows.sort_by(|a: &Vec<Cell>, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    Ok(rows)
}

fn cells(column: &dyn Array) -> Result<Vec<Cell>, ArrowError> {
    if *column.data_type() == DataType::Float64 {
        return Ok(column.as_primitive::<Float64Type>().iter().map(Cell::Float).collect());
    }
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    Ok((0..column.len()).map(|row| Cell::Text(column.is_valid(row).then(|| formatter.value(row).to_string()))).collect())
}

fn same(expected: &[Cell], actual: &[Cell]) -> bool {
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|cells| match cells {
            (Cell::Float(Some(a)), Cell::Float(Some(b))) => a == b || (a - b).abs() <= RELATIVE_TOLERANCE * a.abs().max(b.abs()),
            (a, b) => a == b,
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int32Array};

    use super::*;

    fn batch(ints: Vec<Option<i32>>, floats: Vec<Option<f64>>) -> RecordBatch {
        let ints: ArrayRef = Arc::new(Int32Array::from(ints));
        RecordBatch::try_from_iter([("a", ints), ("b", Arc::new(Float64Array::from(floats)) as ArrayRef)]).unwrap()
    }

    /// The order of rows does not matter; values, NULLs and counts do.
    #[test]
    fn differences_are_found() {
        let one = [batch(vec![Some(1), None], vec![Some(0.1), None])];
        let check = |ints, floats| difference(&one, &[batch(ints, floats)]).unwrap().is_none();
        assert!(check(vec![None, Some(1)], vec![None, Some(0.1)]));
        assert!(check(vec![Some(1), None], vec![Some(0.1 + 1e-16), None]));
        assert!(!check(vec![Some(1), None], vec![Some(0.1 + 1e-9), None]));
        assert!(!check(vec![Some(1), Some(0)], vec![Some(0.1), None]));
        assert!(!check(vec![Some(1)], vec![Some(0.1)]));
    }
}
