//! The fragment IR.
//!
//! Semantics are DataFusion 55's: three-valued logic, wrapping integer `+ - *`, decimal scales as arrow-rs computes them, floats compared by total order.

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
        /// Group keys; none: one group, also over no rows.
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

/// One aggregate; its state is one column. `AVG` is a count and a sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Name in the result.
    pub name: String,
    /// Which.
    pub function: Function,
    /// Its argument, if it has one; NULLs are left out.
    pub argument: Option<Expr>,
    /// Only rows for which this is true count (`FILTER (WHERE …)`).
    pub filter: Option<Expr>,
    /// Type of the state. `Sum`: the type DataFusion's partial state has (integers: 64 bits, wrapping; decimals: scale of the argument, wrapping 128 bits).
    pub value_type: ValueType,
}

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Rows, or rows where the argument is not NULL; `Int64`, or `UInt64` inside an `AVG`; never NULL.
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
    /// Comparison of two operands of one type (decimals: one scale).
    Compare {
        /// Which.
        op: CompareOp,
        /// Left operand.
        left: Box<Self>,
        /// Right operand.
        right: Box<Self>,
    },
    /// Kleene's conjunction.
    And(Box<Self>, Box<Self>),
    /// Kleene's disjunction.
    Or(Box<Self>, Box<Self>),
    /// Kleene's negation.
    Not(Box<Self>),
    /// Never NULL.
    IsNull(Box<Self>),
    /// Never NULL.
    IsNotNull(Box<Self>),
    /// `expr IN (list)`; the list's items are literals of the expression's type, NULLs allowed.
    InList {
        /// What is looked for.
        expr: Box<Self>,
        /// Where.
        list: Vec<Scalar>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `expr LIKE pattern` (escape character `\`, as arrow-rs).
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
    /// The first arm whose condition is true; `otherwise`, or NULL.
    Case {
        /// Conditions and values.
        arms: Vec<(Self, Self)>,
        /// The last resort.
        otherwise: Option<Box<Self>>,
    },
    /// A cast that fails the query where the value does not fit.
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
}

/// Whether this is a decimal type, of whatever precision and scale.
pub fn is_decimal(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Decimal128 { .. })
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
    let (ValueType::Decimal128 { precision: p1, scale: s1 }, ValueType::Decimal128 { precision: p2, scale: s2 }) = (left, right) else {
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
