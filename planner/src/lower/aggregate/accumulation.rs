//! What is accumulated: arrays of accumulators, what they read, and what their narrow version must prove.

use std::collections::BTreeSet;

use nearside_programs::ValueType;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::manifest::Accumulator;

use super::super::node::{Known, Number, NumberKind, Reads, Truth};
use super::super::proof::Proof;
use crate::fragment::{Column, integer_range, is_decimal};

/// Which of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Extreme {
    Min,
    Max,
}

/// One array of accumulators.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Accumulation {
    /// How many rows are counted.
    Count(Counted),
    Sum {
        number: Number,
        filter: Option<Truth>,
    },
    Extreme {
        which: Extreme,
        number: Number,
        filter: Option<Truth>,
    },
}

/// Which of the selected rows are counted.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Counted {
    pub(in super::super) filter: Option<Truth>,
    pub(in super::super) known: NonNull,
}

/// Where an argument is not NULL, in a form that is equal where the answer is.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum NonNull {
    /// Where none of these is; none: everywhere.
    Columns(BTreeSet<u32>),
    /// Where this is true.
    Computed(Truth),
}

impl NonNull {
    pub(in super::super) const ALWAYS: Self = Self::Columns(BTreeSet::new());

    /// Where a number is not NULL.
    pub(in super::super) fn of(number: &Number, columns: &[Column]) -> Self {
        let mut nullable = BTreeSet::new();
        match gather_columns(number, columns, &mut nullable) {
            true => Self::Columns(nullable),
            false => Self::Computed(Truth::IsKnown(Known::Number(Box::new(number.clone())))),
        }
    }
}

/// Adds the nullable columns a number depends on; `false` if its being NULL depends on more than that.
fn gather_columns(number: &Number, columns: &[Column], nullable: &mut BTreeSet<u32>) -> bool {
    match &number.kind {
        NumberKind::Column(column) => {
            nullable.extend(Some(*column).filter(|column| columns[*column as usize].nullable));
            true
        }
        NumberKind::Parameter(_) => true,
        NumberKind::Null => false,
        NumberKind::Truth(truth) => match **truth {
            Truth::Column(column) => {
                nullable.extend(Some(column).filter(|column| columns[*column as usize].nullable));
                true
            }
            _ => false,
        },
        NumberKind::Arithmetic { left, right, .. } => {
            gather_columns(left, columns, nullable) && gather_columns(right, columns, nullable)
        }
        NumberKind::Convert(_, inner) => gather_columns(inner, columns, nullable),
        NumberKind::Case { arms, otherwise } => {
            let mut inside = BTreeSet::new();
            let values = arms.iter().map(|(_, value)| value).chain([&**otherwise]);
            values.into_iter().all(|value| gather_columns(value, columns, &mut inside)) && inside.is_empty()
        }
    }
}

impl Accumulation {
    /// Its array.
    pub(in super::super) fn array(&self) -> Accumulator {
        match self {
            Self::Count(_) => Accumulator { width: 8, initial: 0 },
            Self::Sum { number, .. } => Accumulator { width: width_of(number.value_type), initial: 0 },
            Self::Extreme { which, number, .. } => {
                Accumulator { width: width_of(number.value_type), initial: initial(*which, number.value_type) }
            }
        }
    }

    pub(in super::super) fn read(&self, reads: &mut Reads) {
        let filter = match self {
            Self::Count(counted) => {
                match &counted.known {
                    NonNull::Columns(columns) => reads.handles.extend(columns),
                    NonNull::Computed(truth) => reads.truth(truth),
                }
                &counted.filter
            }
            Self::Sum { number, filter } | Self::Extreme { number, filter, .. } => {
                reads.number(number);
                filter
            }
        };
        if let Some(filter) = filter {
            reads.truth(filter);
        }
    }

    pub(in super::super) fn prove(&self, grouped: bool, proof: &mut Proof) {
        let filter = match self {
            Self::Count(counted) => {
                if let NonNull::Computed(truth) = &counted.known {
                    proof.truth(truth);
                }
                &counted.filter
            }
            Self::Sum { number, filter } => {
                // Without groups, a batch's sum is made in 64 bits.
                proof.times(number, if grouped { 1 } else { i64::from(BATCH_ROWS_MAX) });
                filter
            }
            Self::Extreme { number, filter, .. } => {
                proof.number(number);
                filter
            }
        };
        if let Some(filter) = filter {
            proof.truth(filter);
        }
    }

    pub(super) fn words(&self) -> usize {
        self.array().width as usize / 8
    }
}

pub(super) fn width_of(value_type: ValueType) -> u32 {
    if is_decimal(value_type) { 16 } else { 8 }
}

/// What every value of the type replaces, as its accumulator holds it.
fn initial(which: Extreme, value_type: ValueType) -> i128 {
    let range = match value_type {
        ValueType::Bool => Some(0..=1),
        ValueType::Float32 => integer_range(ValueType::Int32),
        ValueType::Float64 => integer_range(ValueType::Int64),
        value_type => integer_range(value_type),
    };
    let range = range.unwrap_or(i128::MIN..=i128::MAX);
    match which {
        Extreme::Min => *range.end(),
        Extreme::Max => *range.start(),
    }
}
