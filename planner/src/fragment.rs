//! The fragment IR.
//!
//! Semantics are DataFusion 55's: three-valued logic, wrapping integer `+ - *`, decimal scales as arrow-rs computes them, floats compared by total order.

use nearside_programs::{Scalar, ValueType};

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
