//! Expressions as programs compute them: casts and rescales explicit, literals in parameter slots, everything else refused.
//!
//! Made by [`resolve`](super::resolve); from then on lowering cannot be refused, except for its size.

use std::collections::BTreeSet;

use nearside_programs::ValueType;

use crate::fragment::{ArithmeticOp, CompareOp, is_decimal};

/// A value of a fixed-width type other than `bool`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) kind: NumberKind,
    pub(super) value_type: ValueType,
}

/// How a [`Number`] comes to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NumberKind {
    Column(u32),
    Parameter(u32),
    Null,
    /// 1 where it is true, 0 where it is false: a `bool` that is compared as a number.
    Truth(Box<Truth>),
    /// Integers wrap at their width, decimals of one scale (`*`: of any) fail beyond 128 bits, binary64 goes by the device's intrinsics.
    Arithmetic {
        op: ArithmeticOp,
        left: Box<Number>,
        right: Box<Number>,
    },
    /// A number of another type.
    Convert(Conversion, Box<Number>),
    Case {
        arms: Vec<(Truth, Number)>,
        otherwise: Box<Number>,
    },
}

/// How a number of one type becomes one of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Conversion {
    /// Decimal from a decimal or an integer: `× factor`, failing beyond 128 bits, or beyond `limit` if there is one.
    Scale { factor: i128, limit: Option<i128> },
    /// Decimal from a decimal: `÷ divisor`, halves away from zero, failing beyond `limit` if there is one. No divisor: more than 128 bits hold.
    Unscale { divisor: Option<i128>, limit: Option<i128> },
    /// Integer from a decimal: `÷ divisor`, towards zero, failing outside of the type.
    Truncate { divisor: i128 },
    /// Integer from an integer, failing outside of the type.
    Fit,
    /// The same bits under another type.
    Same,
    /// Binary64 from an integer.
    FloatFromInteger,
    /// Binary64 from a decimal: as an integer, `÷ divisor`.
    FloatFromDecimal { divisor: f64 },
    /// Binary64 from binary32.
    FloatFromFloat32,
    /// Binary32 from binary64.
    Float32FromFloat,
}

/// A truth value: true, false or unknown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Truth {
    Constant(Option<bool>),
    /// A boolean column.
    Column(u32),
    /// A bitmap that a helper wrote before the loop; unknown where one of the columns is NULL.
    Bitmap {
        scratch: u32,
        columns: Vec<u32>,
    },
    Compare {
        op: CompareOp,
        left: Box<Number>,
        right: Box<Number>,
    },
    /// Whether a number is one of `count` (a power of two) parameters, ascending from slot `first`.
    InSorted {
        number: Box<Number>,
        first: u32,
        count: u32,
    },
    /// Whether a number's bit is set.
    InBits {
        number: Box<Number>,
        bits: BitSet,
    },
    /// `false` before `true`.
    CompareTruths {
        op: CompareOp,
        left: Box<Truth>,
        right: Box<Truth>,
    },
    And(Box<Truth>, Box<Truth>),
    Or(Box<Truth>, Box<Truth>),
    Not(Box<Truth>),
    IsKnown(Known),
    Case {
        arms: Vec<(Truth, Truth)>,
        otherwise: Box<Truth>,
    },
}

/// A set of integers as parameters: bit *n* says whether `least` + *n* is one of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BitSet {
    /// Slot of the least.
    pub(super) least: u32,
    /// First slot of the bits, 128 in each.
    pub(super) first: u32,
    pub(super) slots: u32,
}

impl BitSet {
    /// Bits of a parameter slot.
    pub(super) const SLOT_BITS: u32 = 128;
}

/// What is not NULL.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// A nullable column of any type.
    Column(u32),
    Number(Box<Number>),
    Truth(Box<Truth>),
}

impl Number {
    /// Whether computing it may fail: then it has to be computed even where only its being NULL matters.
    pub(super) fn can_fail(&self) -> bool {
        match &self.kind {
            NumberKind::Column(_) | NumberKind::Parameter(_) | NumberKind::Null => false,
            NumberKind::Arithmetic { left, right, .. } => is_decimal(self.value_type) || left.can_fail() || right.can_fail(),
            NumberKind::Truth(truth) => truth.can_fail(),
            NumberKind::Convert(conversion, inner) => conversion.can_fail() || inner.can_fail(),
            NumberKind::Case { arms, otherwise } => {
                otherwise.can_fail() || arms.iter().any(|(condition, value)| condition.can_fail() || value.can_fail())
            }
        }
    }
}

impl Conversion {
    fn can_fail(self) -> bool {
        match self {
            Self::Scale { .. } | Self::Truncate { .. } | Self::Fit => true,
            Self::Unscale { limit, .. } => limit.is_some(),
            Self::Same
            | Self::FloatFromInteger
            | Self::FloatFromDecimal { .. }
            | Self::FloatFromFloat32
            | Self::Float32FromFloat => false,
        }
    }
}

impl Truth {
    /// As [`Number::can_fail`].
    pub(super) fn can_fail(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Column(_) | Self::Bitmap { .. } | Self::IsKnown(Known::Column(_)) => false,
            Self::Compare { left, right, .. } => left.can_fail() || right.can_fail(),
            Self::InSorted { number, .. } | Self::InBits { number, .. } => number.can_fail(),
            Self::CompareTruths { left, right, .. } | Self::And(left, right) | Self::Or(left, right) => {
                left.can_fail() || right.can_fail()
            }
            Self::Not(inner) | Self::IsKnown(Known::Truth(inner)) => inner.can_fail(),
            Self::IsKnown(Known::Number(number)) => number.can_fail(),
            Self::Case { arms, otherwise } => {
                otherwise.can_fail() || arms.iter().any(|(condition, value)| condition.can_fail() || value.can_fail())
            }
        }
    }

    pub(super) fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self::And(Box::new(self), Box::new(other))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self::Or(Box::new(self), Box::new(other))
    }
}

/// Which columns an entry point reads, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Values.
    pub(super) loads: BTreeSet<u32>,
    /// Validity alone, or by helpers.
    pub(super) handles: BTreeSet<u32>,
    /// Whether anything is a decimal: only then do the two widths differ.
    pub(super) decimals: bool,
}

impl Reads {
    pub(super) fn number(&mut self, number: &Number) {
        self.decimals |= matches!(number.value_type, ValueType::Decimal128 { .. });
        match &number.kind {
            NumberKind::Column(column) => {
                self.loads.insert(*column);
            }
            NumberKind::Parameter(_) | NumberKind::Null => {}
            NumberKind::Truth(truth) => self.truth(truth),
            NumberKind::Arithmetic { left, right, .. } => {
                self.number(left);
                self.number(right);
            }
            NumberKind::Convert(_, inner) => self.number(inner),
            NumberKind::Case { arms, otherwise } => {
                for (condition, value) in arms {
                    self.truth(condition);
                    self.number(value);
                }
                self.number(otherwise);
            }
        }
    }

    pub(super) fn truth(&mut self, truth: &Truth) {
        match truth {
            Truth::Constant(_) => {}
            Truth::Column(column) => {
                self.loads.insert(*column);
            }
            Truth::Bitmap { columns, .. } => self.handles.extend(columns),
            Truth::Compare { left, right, .. } => {
                self.number(left);
                self.number(right);
            }
            Truth::InSorted { number, .. } | Truth::InBits { number, .. } => self.number(number),
            Truth::CompareTruths { left, right, .. } | Truth::And(left, right) | Truth::Or(left, right) => {
                self.truth(left);
                self.truth(right);
            }
            Truth::Not(inner) => self.truth(inner),
            Truth::IsKnown(known) => self.known(known),
            Truth::Case { arms, otherwise } => {
                for (condition, value) in arms {
                    self.truth(condition);
                    self.truth(value);
                }
                self.truth(otherwise);
            }
        }
    }

    pub(super) fn known(&mut self, known: &Known) {
        match known {
            Known::Column(column) => {
                self.handles.insert(*column);
            }
            Known::Number(number) => self.number(number),
            Known::Truth(truth) => self.truth(truth),
        }
    }

    /// Columns that are loaded anyway need no handle.
    pub(super) fn handles_only(&self) -> Vec<u32> {
        self.handles.difference(&self.loads).copied().collect()
    }
}
