//! Aggregates over whole columns: what vector helpers accumulate for all selected rows of the batch, by group or not.
//!
//! As with conjuncts, `main` is taken whole or stays byte code: one accumulation that needs single rows looks at them anyway.

use nearside_programs::ValueType;
use nearside_programs::abi::columnar::SELECTION;
use nearside_programs::abi::helper::{GROUP_COUNT, GROUP_MAX, GROUP_MIN, GROUP_SUM, GROUP_SUM_PRODUCTS};

use super::super::function::Body;
use super::super::machine::{Argument, Op, Source, Value};
use super::super::node::{Conversion, Number, NumberKind};
use super::super::rows::Place;
use super::accumulation::{Accumulation, Counted, Extreme, NonNull};
use super::array_address;
use crate::capabilities::Capabilities;
use crate::fragment::{ArithmeticOp, is_decimal, is_float};

/// What a helper takes for no column.
const NO_COLUMN: i32 = -1;

/// A helper's call that makes one accumulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Reduction {
    helper: u32,
    /// Its first arguments, of which the helper has one or two.
    columns: [Option<u32>; 2],
}

impl Reduction {
    /// The columns it reads, NULLs or values.
    pub(in super::super) fn columns(&self) -> impl Iterator<Item = u32> {
        self.columns.into_iter().flatten()
    }

    fn of(accumulation: &Accumulation, grouped: bool) -> Option<Self> {
        match accumulation {
            Accumulation::Count(Counted { filter: None, known: NonNull::Columns(columns) }) if columns.len() <= 2 => {
                let mut columns = columns.iter().copied();
                Some(Self { helper: GROUP_COUNT, columns: [columns.next(), columns.next()] })
            }
            Accumulation::Sum { number, filter: None } => sum(number),
            // By group, floats may order otherwise in DataFusion, which is a matter of single rows.
            Accumulation::Extreme { which, number, filter: None } if !(grouped && is_float(number.value_type)) => {
                let helper = if *which == Extreme::Min { GROUP_MIN } else { GROUP_MAX };
                Some(Self { helper, columns: [Some(plain(number)?), None] })
            }
            _ => None,
        }
    }

    fn columns_as_arguments(&self) -> Vec<Source> {
        let all = self.columns.map(|column| Source::Imm(column.map_or(NO_COLUMN, |column| column as i32)));
        match self.helper {
            GROUP_COUNT | GROUP_SUM_PRODUCTS => all.into(),
            _ => all[..1].into(),
        }
    }
}

/// The calls that make all accumulations, if helpers the device has can.
pub(in super::super) fn reductions(
    accumulations: &[Accumulation],
    grouped: bool,
    capabilities: &Capabilities,
) -> Option<Vec<Reduction>> {
    let reduction =
        |accumulation| Reduction::of(accumulation, grouped).filter(|call| capabilities.helpers.contains(&call.helper));
    accumulations.iter().map(reduction).collect()
}

/// Calls them, for rows before `end`.
pub(super) fn lower(body: &mut Body<'_>, reductions: &[Reduction], end: Value) {
    let selection = body.emitter.rows.field(SELECTION);
    for (index, reduction) in reductions.iter().enumerate() {
        let array = array_address(index, true, body);
        let rest = [selection, end, array].map(Source::Value);
        let arguments = reduction.columns_as_arguments().into_iter().chain(rest).map(Argument::Source).collect();
        let failed = (reduction.helper == GROUP_SUM_PRODUCTS).then(|| body.emitter.rows.fresh(Place::Batch));
        body.emitter.rows.push(Place::Batch, Op::Call { helper: reduction.helper, arguments, dst: failed });
        if let Some(failed) = failed {
            body.note_failure(failed);
        }
    }
}

fn sum(number: &Number) -> Option<Reduction> {
    let value_type = number.value_type;
    match &number.kind {
        _ if is_float(value_type) => None,
        NumberKind::Arithmetic { op: ArithmeticOp::Mul, left, right } => {
            let columns = [Some(plain(left)?), Some(plain(right)?)];
            let is_known = is_decimal(value_type) || matches!(value_type, ValueType::Int64 | ValueType::UInt64);
            let helper = GROUP_SUM_PRODUCTS;
            is_known.then_some(Reduction { helper, columns })
        }
        // The helper extends integers as it adds them up.
        NumberKind::Convert(Conversion::Same, inner) if value_type.is_integer() && inner.value_type.is_integer() => sum_of(inner),
        _ => sum_of(number),
    }
}

fn sum_of(number: &Number) -> Option<Reduction> {
    Some(Reduction { helper: GROUP_SUM, columns: [Some(plain(number)?), None] })
}

/// The column, if that is all a number is.
fn plain(number: &Number) -> Option<u32> {
    match number.kind {
        NumberKind::Column(column) => Some(column),
        _ => None,
    }
}
