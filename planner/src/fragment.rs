//! The fragment IR.
//!
//! Semantics are DataFusion 55's: three-valued logic, wrapping integer `+ - *`, decimal scales as arrow-rs computes them, floats compared by total order but for the sign of zero.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use nearside_programs::{Scalar, ValueType};

/// Most levels an expression has: its recursion is bounded wherever it is walked.
pub const DEPTH_MAX: usize = 128;

/// Most digits of a decimal, before or after the point.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

/// The part of a query that filters, projects or aggregates one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// The table's columns that the fragment uses.
    pub columns: Vec<Column>,
    /// Conjuncts; a row passes if every one is true.
    pub filter: Vec<Expr>,
    /// What is made of the rows that pass.
    pub output: Output,
}

/// A column of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the table.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// What is made of the rows that pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// One row for each, with these columns.
    Project(Vec<Named>),
    /// One row a group: keys, then the aggregates' states.
    Aggregate {
        /// Group keys; none: one group, also over no rows. Text groups by its bytes, NULL is a group, a float groups by its bits after `-0.0` became `+0.0` (which is
        /// also what the result shows), so that each NaN is a group of its own (DataFusion 55.2 `group_values`, `canonicalize`).
        keys: Vec<Named>,
        /// The aggregates.
        aggregates: Vec<Aggregate>,
    },
}

/// An expression with the name its column has in the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Name in the result.
    pub name: String,
    /// What it is.
    pub expr: Expr,
}

/// One aggregate; its state is one column, of the type that DataFusion's partial aggregation gives it. `AVG` is a count and a sum.
///
/// What DataFusion 55.2 does (`datafusion-functions-aggregate`), and so what a state holds:
///
/// | function | argument | state | over the values |
/// |---|---|---|---|
/// | `count` | any, or none | `Int64`; inside `AVG` `UInt64`, with group keys NULL over nothing | |
/// | `sum` | signed; unsigned | `Int64`; `UInt64` (the plan casts the argument) | wraps |
/// | `sum` | float | `Float64` (the plan casts `Float32`) | starts from `+0.0`; the order of additions is arrow-rs' own |
/// | `sum` | `decimal(p,s)` | `decimal(min(38, p + 10),s)` | wraps 128 bits, never checks digits |
/// | `sum` in `AVG` | integer, float | `Float64` (the plan casts the argument) | |
/// | `sum` in `AVG` | `decimal(p,s)` | `decimal(38,s)` for `p` to 25; above, DataFusion sums in 256 bits, which no fragment can say | wraps |
/// | `min`, `max` | any | as the argument | text by bytes, `false` before `true` |
/// | `min`, `max` of floats, no keys | | as the argument | total order: -NaN, -inf, …, -0.0, +0.0, …, inf, NaN |
/// | `min`, `max` of floats, keys | | as the argument | *not* total order, and dependent on the order of rows, see below |
///
/// With group keys, `min` of floats starts from the largest *finite* value and takes each value that is less than **or not comparable with** what it has (`max`
/// the same from the smallest): the least of `{inf}` is `f64::MAX`, the first of `-0.0` and `+0.0` stays, and any value replaces a NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Name in the result.
    pub name: String,
    /// Which.
    pub function: Function,
    /// Its argument, if it has one; NULLs are left out.
    pub argument: Option<Expr>,
    /// Only rows for which this is true count (`FILTER (WHERE …)`). The argument is evaluated on every selected row all the same, as
    /// DataFusion does with group keys.
    pub filter: Option<Expr>,
    /// Type of the state.
    pub value_type: ValueType,
}

impl Aggregate {
    /// Whether a count is NULL over nothing: DataFusion merges the states of `AVG` by group so that it tells by the count whether there was anything.
    pub(crate) fn count_may_be_null(&self, grouped: bool) -> bool {
        grouped && self.function == Function::Count && self.value_type == ValueType::UInt64
    }
}

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Rows, or rows where the argument is not NULL. `Int64`, never NULL; or `UInt64` inside an `AVG`, then with group keys NULL over nothing.
    Count,
    /// NULL over nothing.
    Sum,
    /// NULL over nothing.
    Min,
    /// NULL over nothing.
    Max,
}

/// An expression over the columns of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// By index into [`Fragment::columns`].
    Column(usize),
    /// A constant.
    Literal(Scalar),
    /// Arithmetic. Operands of integers and floats have the same type, which is the result's. For decimals the result's type is given.
    Arithmetic {
        /// Which.
        op: ArithmeticOp,
        /// Left operand.
        left: Box<Self>,
        /// Right operand.
        right: Box<Self>,
        /// The type DataFusion gives the result.
        value_type: ValueType,
    },
    /// Comparison of two operands of one type (decimals: one scale). Floats by total order, except that zeros are equal.
    Compare {
        /// Which.
        op: CompareOp,
        /// Left operand.
        left: Box<Self>,
        /// Right operand.
        right: Box<Self>,
    },
    /// Kleene's conjunction. Both operands are evaluated, so that an overflow in one is an error whatever the other is; DataFusion spares the right
    /// one in some batches.
    And(Box<Self>, Box<Self>),
    /// Kleene's disjunction; both operands are evaluated.
    Or(Box<Self>, Box<Self>),
    /// Kleene's negation.
    Not(Box<Self>),
    /// Never NULL. The operand is evaluated, so that it may fail, even if it [cannot be NULL](Expr::nullable).
    IsNull(Box<Self>),
    /// As [`Expr::IsNull`], negated.
    IsNotNull(Box<Self>),
    /// `expr IN (list)`; the list's items are literals of the expression's type, NULLs allowed: true if an item is equal, else NULL if the expression or any item is
    /// NULL, else false (`InListExpr`). Floats are equal if their bits are.
    InList {
        /// What is looked for.
        expr: Box<Self>,
        /// Where.
        list: Vec<Scalar>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `expr LIKE pattern`, as arrow-string's `like`: `%` any text, `_` one Unicode scalar value (also a line break), `\` makes the next character stand for
    /// itself, whatever it is; at the end it stands for itself. `ILIKE` folds case as the `regex` crate does (`k` also matches the Kelvin sign, `s` the
    /// long s); its pattern is ASCII.
    Like {
        /// Text.
        expr: Box<Self>,
        /// The pattern.
        pattern: String,
        /// `NOT LIKE`.
        negated: bool,
        /// `ILIKE`.
        case_insensitive: bool,
    },
    /// The first arm whose condition is true; `otherwise`, or NULL. Conditions after it and the values of other arms are not evaluated.
    Case {
        /// Conditions and values.
        arms: Vec<(Self, Self)>,
        /// The last resort.
        otherwise: Option<Box<Self>>,
    },
    /// A cast that fails the query where the value does not fit (`CastOptions { safe: false }`); NULL stays NULL.
    ///
    /// As arrow-cast 59.3: integer to integer fails out of range; to a float, rounds to nearest, ties to even; to a decimal, fails beyond the precision. Decimal to
    /// integer truncates and fails out of range; to a float it is divided by a power of ten, in binary64; to a decimal of a
    /// smaller scale it rounds half away from zero. A decimal to decimal cast that no value *of its type* can fail is not checked: a value with more digits than
    /// its type says (arithmetic makes them) wraps there.
    Cast {
        /// From.
        expr: Box<Self>,
        /// To.
        to: ValueType,
    },
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum ArithmeticOp {
    Add,
    Sub,
    Mul,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl ArithmeticOp {
    /// As SQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
        }
    }
}

impl CompareOp {
    /// As SQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether operands of this order compare so.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

    /// The operator with its operands exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// The operator that holds where this one does not.
    pub(crate) fn inverse(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }
}

/// Whether this is a decimal type, of whatever precision and scale.
pub fn is_decimal(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Decimal128 { .. })
}

/// Whether this is a floating-point type.
pub fn is_float(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Float32 | ValueType::Float64)
}

/// Whether a decimal type can have this precision and scale: arrow-rs' rule (`validate_decimal_precision_and_scale`), and at most
/// [`DECIMAL_DIGITS_MAX`] zeros before the point.
pub fn is_decimal_type(precision: u8, scale: i8) -> bool {
    let max = DECIMAL_DIGITS_MAX as i8;
    (1..=DECIMAL_DIGITS_MAX).contains(&precision) && (-max..=precision as i8).contains(&scale)
}

/// Smallest and largest value of an integer type or a date.
pub fn integer_range(value_type: ValueType) -> Option<RangeInclusive<i128>> {
    use ValueType::*;
    let (bits, signed) = match value_type {
        Int8 => (8, true),
        Int16 => (16, true),
        Int32 | Date32 => (32, true),
        Int64 => (64, true),
        UInt8 => (8, false),
        UInt16 => (16, false),
        UInt32 => (32, false),
        UInt64 => (64, false),
        Bool | Float32 | Float64 | Decimal128 { .. } | Utf8 | Opaque => return None,
    };
    Some(if signed { -(1 << (bits - 1))..=(1 << (bits - 1)) - 1 } else { 0..=(1 << bits) - 1 })
}

/// The type of decimal arithmetic, `None` where there is none: arrow-arith `numeric.rs`, `decimal_op` (Hive's rules), which is also what
/// DataFusion's planner asks (`BinaryTypeCoercer::get_result`).
///
/// `+ -`: scale `max(s1, s2)`, one digit more before the point than the larger operand; `*`: scale `s1 + s2`, precision `p1 + p2 + 1`; precision is cut
/// to 38, so a value may have more digits than its type says.
pub fn decimal_result(op: ArithmeticOp, left: ValueType, right: ValueType) -> Option<ValueType> {
    let (ValueType::Decimal128 { precision: p1, scale: s1 }, ValueType::Decimal128 { precision: p2, scale: s2 }) = (left, right)
    else {
        return None;
    };
    let (p1, s1, p2, s2) = (i16::from(p1), i16::from(s1), i16::from(p2), i16::from(s2));
    let (precision, scale) = match op {
        ArithmeticOp::Add | ArithmeticOp::Sub => (s1.max(s2) + (p1 - s1).max(p2 - s2) + 1, s1.max(s2)),
        ArithmeticOp::Mul => (p1 + p2 + 1, s1 + s2),
    };
    // Beyond 38, arrow-rs cannot express the factor that brings both operands to one scale, and fails even over no rows.
    if op != ArithmeticOp::Mul && (s1 - s2).abs() > i16::from(DECIMAL_DIGITS_MAX) {
        return None;
    }
    let precision = u8::try_from(precision).ok()?.min(DECIMAL_DIGITS_MAX);
    let scale = i8::try_from(scale).ok()?;
    is_decimal_type(precision, scale).then_some(ValueType::Decimal128 { precision, scale })
}

/// The state that DataFusion's plain `function(argument)` has, see [`Aggregate`]; `None` if there is none. The states of an `AVG` differ.
pub fn state_type(function: Function, argument: Option<ValueType>) -> Option<ValueType> {
    use ValueType::*;
    match (function, argument) {
        (Function::Count, _) => Some(Int64),
        (Function::Min | Function::Max, argument) => argument,
        (Function::Sum, Some(Int8 | Int16 | Int32 | Int64)) => Some(Int64),
        (Function::Sum, Some(UInt8 | UInt16 | UInt32 | UInt64)) => Some(UInt64),
        (Function::Sum, Some(Float32 | Float64)) => Some(Float64),
        (Function::Sum, Some(Decimal128 { precision, scale })) => {
            Some(Decimal128 { precision: precision.saturating_add(10).min(DECIMAL_DIGITS_MAX), scale })
        }
        (Function::Sum, _) => None,
    }
}
