//! What share of a table's rows filters leave, as far as the table's statistics and the filters' own values say.
//!
//! For dynamic filters, which have values when the query runs and which DataFusion's estimates, made with the plan, do not know. Values are taken to be spread evenly
//! between a column's least and greatest, columns to be independent, and what is not understood to leave everything.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

/// Rows that pass all conjuncts, of all rows: from 0 to 1.
pub(crate) fn share(conjuncts: &[Arc<dyn PhysicalExpr>], statistics: &Statistics) -> f64 {
    let mut windows: HashMap<usize, Window> = HashMap::new();
    let mut others = 1.0;
    for conjunct in conjuncts.iter().flat_map(split_conjunction) {
        match Window::of(conjunct, statistics) {
            Some((column, window)) => windows.entry(column).or_default().narrow(&window),
            None => others *= alternatives(conjunct, statistics),
        }
    }
    others * windows.values().map(Window::share).product::<f64>()
}

/// Rows that pass an `OR`; all of anything else.
fn alternatives(expr: &Arc<dyn PhysicalExpr>, statistics: &Statistics) -> f64 {
    match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) if *binary.op() == Operator::Or => {
            let sides = [binary.left(), binary.right()];
            sides.into_iter().map(|side| share(std::slice::from_ref(side), statistics)).sum::<f64>().min(1.0)
        }
        _ => 1.0,
    }
}

/// The part of a column's range that is left: from 0, its least value, to 1, its greatest.
struct Window {
    from: f64,
    to: f64,
    /// Of the distinct values.
    listed: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self { from: 0.0, to: 1.0, listed: 1.0 }
    }
}

impl Window {
    /// What a comparison of a column leaves of it.
    fn of(expr: &Arc<dyn PhysicalExpr>, statistics: &Statistics) -> Option<(usize, Self)> {
        let column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            let index = column(list.expr()).filter(|_| !list.negated())?;
            return Some((index, Self::listed(list.list().len(), statistics.column_statistics.get(index)?)?));
        }
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        let (index, op, literal) = match (column(binary.left()), column(binary.right())) {
            (Some(index), None) => (index, *binary.op(), binary.right()),
            (None, Some(index)) => (index, binary.op().swap()?, binary.left()),
            _ => return None,
        };
        let literal = literal.downcast_ref::<Literal>()?.value();
        let column = statistics.column_statistics.get(index)?;
        let window = match op {
            Operator::Eq => Self::listed(1, column)?,
            Operator::Gt | Operator::GtEq => Self { from: position(literal, column)?, ..Self::default() },
            Operator::Lt | Operator::LtEq => Self { to: position(literal, column)?, ..Self::default() },
            _ => return None,
        };
        Some((index, window))
    }

    fn listed(values: usize, column: &ColumnStatistics) -> Option<Self> {
        Some(Self { listed: (values as f64 / distinct_values(column)?.max(1.0)).min(1.0), ..Self::default() })
    }

    fn narrow(&mut self, other: &Self) {
        self.from = self.from.max(other.from);
        self.to = self.to.min(other.to);
        self.listed = self.listed.min(other.listed);
    }

    fn share(&self) -> f64 {
        (self.to - self.from).clamp(0.0, 1.0).min(self.listed)
    }
}

/// Where a value lies in a column's range.
fn position(value: &ScalarValue, column: &ColumnStatistics) -> Option<f64> {
    let (least, greatest) = (column.min_value.get_value()?, column.max_value.get_value()?);
    if value.partial_cmp(least)?.is_le() {
        return Some(0.0);
    }
    if value.partial_cmp(greatest)?.is_ge() {
        return Some(1.0);
    }
    Some(value.distance(least)? as f64 / greatest.distance(least)? as f64)
}

/// From distinct counts, or the range of an integer.
pub(crate) fn distinct_values(column: &ColumnStatistics) -> Option<f64> {
    if let Some(count) = column.distinct_count.get_value() {
        return Some(*count as f64);
    }
    let (least, greatest) = (column.min_value.get_value()?, column.max_value.get_value()?);
    greatest.distance(least).map(|distance| distance as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::stats::Precision;
    use datafusion::physical_expr::expressions::{binary, col, in_list, lit};

    use super::*;

    /// A column from 0 to 999, one from 0 to 9, and one that nothing is known of.
    fn share_of(make: impl Fn(&Schema) -> Vec<Arc<dyn PhysicalExpr>>) -> f64 {
        let schema = Schema::new(["wide", "narrow", "unknown"].map(|name| Field::new(name, DataType::Int64, false)).to_vec());
        let mut statistics = Statistics::new_unknown(&schema);
        for (column, greatest) in [(0, 999_i64), (1, 9)] {
            statistics.column_statistics[column].min_value = Precision::Exact(0_i64.into());
            statistics.column_statistics[column].max_value = Precision::Inexact(greatest.into());
        }
        share(&make(&schema), &statistics)
    }

    fn compare(schema: &Schema, column: &str, op: Operator, value: i64) -> Arc<dyn PhysicalExpr> {
        binary(col(column, schema).unwrap(), op, lit(value), schema).unwrap()
    }

    fn list(schema: &Schema, column: &str, items: std::ops::Range<i64>) -> Arc<dyn PhysicalExpr> {
        in_list(col(column, schema).unwrap(), items.map(lit).collect(), &false, schema).unwrap()
    }

    #[test]
    fn ranges_and_lists_are_shares_of_the_columns() {
        let nearly = |share: f64, expected: f64| assert!((share - expected).abs() < 0.01, "{share}, not {expected}");
        nearly(share_of(|_| Vec::new()), 1.0);
        nearly(
            share_of(|schema| vec![compare(schema, "wide", Operator::GtEq, 250), compare(schema, "wide", Operator::LtEq, 350)]),
            0.1,
        );
        nearly(share_of(|schema| vec![compare(schema, "wide", Operator::Lt, -5)]), 0.0);
        nearly(share_of(|schema| vec![compare(schema, "wide", Operator::Gt, i64::MIN)]), 1.0);
        nearly(share_of(|schema| vec![list(schema, "wide", 0..100)]), 0.1);
        nearly(share_of(|schema| vec![list(schema, "wide", 0..100), compare(schema, "narrow", Operator::Eq, 3)]), 0.01);
        nearly(share_of(|schema| vec![list(schema, "narrow", 0..100)]), 1.0);
        nearly(share_of(|schema| vec![list(schema, "unknown", 0..2), compare(schema, "unknown", Operator::Eq, 3)]), 1.0);
    }

    /// As a join's filter is: an alternative for each partition of its build side.
    #[test]
    fn alternatives_add_up() {
        let either = |schema: &Schema| {
            let side = |from: i64| {
                let bounds = compare(schema, "wide", Operator::GtEq, from);
                binary(bounds, Operator::And, list(schema, "wide", from..from + 50), schema).unwrap()
            };
            vec![binary(side(0), Operator::Or, side(500), schema).unwrap()]
        };
        assert!((share_of(either) - 0.1).abs() < 0.01);
        let all = |schema: &Schema| {
            let (low, high) = (compare(schema, "wide", Operator::Lt, 800), compare(schema, "wide", Operator::Gt, 100));
            vec![binary(low, Operator::Or, high, schema).unwrap()]
        };
        assert!((share_of(all) - 1.0).abs() < 1e-9);
    }
}
