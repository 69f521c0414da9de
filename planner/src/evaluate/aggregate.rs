//! Groups and the states of aggregates; see [`Aggregate`] for what DataFusion does.

use std::cmp::Ordering;
use std::collections::HashMap;

use nearside_programs::{Scalar, ValueType};

use crate::fragment::{Aggregate, Function, Named};

use super::cast::widen;
use super::expression::{float64_add, is_null, order, unsigned_zero, wrap};
use super::{EvaluationError, Row};

/// One row a group, in the order of their first rows; no keys: one row.
pub(super) fn aggregate(keys: &[Named], aggregates: &[Aggregate], rows: &[Row<'_>]) -> Result<Vec<Vec<Scalar>>, EvaluationError> {
    let mut groups = Groups::default();
    if keys.is_empty() {
        groups.find(Vec::new());
    }
    for row in rows {
        let key = row.evaluate_all(keys)?.into_iter().map(unsigned_zero).collect();
        groups.find(key).push(*row);
    }
    groups.groups.into_iter().map(|(key, rows)| result_row(key, aggregates, &rows)).collect()
}

/// Keys and their rows, in the order of first rows.
#[derive(Default)]
struct Groups<'a> {
    groups: Vec<(Vec<Scalar>, Vec<Row<'a>>)>,
    by_key: HashMap<String, usize>,
}

impl<'a> Groups<'a> {
    fn find(&mut self, key: Vec<Scalar>) -> &mut Vec<Row<'a>> {
        // Scalars are equal exactly if their debug forms are: floats are bits there.
        let index = *self.by_key.entry(format!("{key:?}")).or_insert(self.groups.len());
        if index == self.groups.len() {
            self.groups.push((key, Vec::new()));
        }
        &mut self.groups[index].1
    }
}

fn result_row(key: Vec<Scalar>, aggregates: &[Aggregate], rows: &[Row<'_>]) -> Result<Vec<Scalar>, EvaluationError> {
    let grouped = !key.is_empty();
    let mut result = key;
    for aggregate in aggregates {
        result.push(aggregate.state(&aggregate.values(rows)?, grouped));
    }
    Ok(result)
}

impl Aggregate {
    /// The values that count; for `count(*)`, something for each row that does.
    fn values(&self, rows: &[Row<'_>]) -> Result<Vec<Scalar>, EvaluationError> {
        let mut values = Vec::new();
        for row in rows {
            let value = self.argument.as_ref().map_or(Ok(Scalar::Bool(true)), |argument| row.evaluate(argument))?;
            let counts = self.filter.as_ref().map_or(Ok(true), |filter| row.is_true(filter))?;
            if counts && !is_null(&value) {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn state(&self, values: &[Scalar], grouped: bool) -> Scalar {
        match self.function {
            Function::Count if values.is_empty() && self.count_may_be_null(grouped) => Scalar::Null(self.value_type),
            Function::Count => Scalar::Int(self.value_type, values.len() as i128),
            _ if values.is_empty() => Scalar::Null(self.value_type),
            Function::Sum => sum(values, self.value_type),
            Function::Min => extreme(values, Ordering::Less, grouped),
            Function::Max => extreme(values, Ordering::Greater, grouped),
        }
    }
}

/// Integers and decimals wrap; floats are added in the order of rows, from `+0.0`.
fn sum(values: &[Scalar], state: ValueType) -> Scalar {
    if state == ValueType::Float64 {
        return Scalar::Float64(values.iter().fold(0, |sum, value| float64_add(sum, float_bits(value))));
    }
    let sum = values.iter().fold(0_i128, |sum, value| sum.wrapping_add(whole(value)));
    match state {
        ValueType::Decimal128 { precision, scale } => Scalar::Decimal { value: sum, precision, scale },
        _ => Scalar::Int(state, wrap(state, sum)),
    }
}

fn float_bits(value: &Scalar) -> u64 {
    match value {
        Scalar::Float32(bits) => widen(*bits),
        Scalar::Float64(bits) => *bits,
        _ => unreachable!("checked: a float state has a float argument"),
    }
}

fn whole(value: &Scalar) -> i128 {
    match value {
        Scalar::Int(_, value) | Scalar::Decimal { value, .. } => *value,
        _ => unreachable!("checked: the argument of SUM is a number"),
    }
}

/// The value that is `wanted` compared with all others. `values` is not empty.
fn extreme(values: &[Scalar], wanted: Ordering, grouped: bool) -> Scalar {
    let replace = |best: Scalar, value: &Scalar| if order(value, &best) == Some(wanted) { value.clone() } else { best };
    match &values[0] {
        Scalar::Float64(_) if grouped => {
            let start = if wanted.is_lt() { f64::MAX } else { f64::MIN };
            let floats = values.iter().map(|value| f64::from_bits(float_bits(value)));
            Scalar::Float64(floats.fold(start, |best, value| grouped_extreme(best, value, wanted)).to_bits())
        }
        Scalar::Float32(_) if grouped => {
            let start = if wanted.is_lt() { f32::MAX } else { f32::MIN };
            let floats = values.iter().map(|value| if let Scalar::Float32(bits) = value { f32::from_bits(*bits) } else { start });
            Scalar::Float32(floats.fold(start, |best, value| grouped_extreme(best, value, wanted)).to_bits())
        }
        first => values[1..].iter().fold(first.clone(), replace),
    }
}

/// `primitive_min_accumulator`, `primitive_max_accumulator`: what does not compare replaces.
fn grouped_extreme<T: PartialOrd>(best: T, value: T, wanted: Ordering) -> T {
    match value.partial_cmp(&best) {
        None => value,
        Some(order) if order == wanted => value,
        Some(_) => best,
    }
}
