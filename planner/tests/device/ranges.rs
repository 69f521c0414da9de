//! The proof of a narrow entry point, evaluated over a batch.

use nearside_programs::manifest::RangeStep;
use nearside_programs::{Manifest, Parameters, Scalar};

/// Whether every interval that the proof pushes fits 64 bits.
pub(crate) fn holds(proof: &[RangeStep], manifest: &Manifest, parameters: &Parameters, rows: &[Vec<Scalar>]) -> bool {
    assert!(manifest.columns.len() == rows.first().map_or(manifest.columns.len(), Vec::len));
    let mut stack: Vec<(i128, i128)> = Vec::new();
    for step in proof {
        let pushed = match *step {
            RangeStep::Column(index) => range_of(rows, index as usize),
            RangeStep::Parameter(index) => (parameters.slots[index as usize].0, parameters.slots[index as usize].0),
            RangeStep::Constant(value) => (i128::from(value), i128::from(value)),
            RangeStep::Drop => {
                stack.pop().unwrap();
                continue;
            }
            step => {
                let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
                combined(step, a, b)
            }
        };
        if i64::try_from(pushed.0).is_err() || i64::try_from(pushed.1).is_err() {
            return false;
        }
        stack.push(pushed);
    }
    assert!(stack.is_empty(), "a proof leaves nothing behind");
    true
}

fn range_of(rows: &[Vec<Scalar>], column: usize) -> (i128, i128) {
    let values = rows.iter().filter_map(|row| match row[column] {
        Scalar::Int(_, value) | Scalar::Decimal { value, .. } => Some(value),
        _ => None,
    });
    values
        .fold(None, |range: Option<(i128, i128)>, value| {
            range.map_or(Some((value, value)), |(a, b)| Some((a.min(value), b.max(value))))
        })
        .unwrap_or((0, 0))
}

/// Both operands fit 64 bits, so that nothing overflows here.
fn combined(step: RangeStep, a: (i128, i128), b: (i128, i128)) -> (i128, i128) {
    match step {
        RangeStep::Add => (a.0 + b.0, a.1 + b.1),
        RangeStep::Sub => (a.0 - b.1, a.1 - b.0),
        RangeStep::Mul => {
            let products = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            (products.into_iter().min().unwrap(), products.into_iter().max().unwrap())
        }
        RangeStep::Union => (a.0.min(b.0), a.1.max(b.1)),
        step => panic!("{step:?} combines nothing"),
    }
}
