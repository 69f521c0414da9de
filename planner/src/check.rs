//! The type check: what a fragment must satisfy before anything is made of it.
//!
//! [`Fragment::check`] is the one place that turns a fragment, however it was made, into something that the evaluator and the lowering may index and
//! recurse with. Types are never coerced here: the host hands over the casts that DataFusion put into its plan. Start at [`Fragment::check`].
//! Not here: what a device can run; that is `compile`'s refusal.

use nearside_programs::{Scalar, ValueType};

use crate::fragment::{
    Aggregate, ArithmeticOp, Column, CompareOp, DECIMAL_DIGITS_MAX, DEPTH_MAX, Expr, Fragment, Function, Output, decimal_result,
    integer_range, is_decimal, is_decimal_type,
};

/// A fragment that means nothing: the fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// An index beyond [`Fragment::columns`].
    #[error("column {index} does not exist: there are {count}")]
    Column {
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A decimal type outside of precision 1 to 38 and scale -38 to its precision.
    #[error("{0} is not a type")]
    Decimal(ValueType),
    /// A literal outside of its type.
    #[error("a literal is not a value of its type {0}")]
    Literal(ValueType),
    /// Operands an operator is not defined for.
    #[error("operator {op} is not defined for {left} and {right}")]
    Operands {
        /// The operator as SQL writes it.
        op: &'static str,
        /// Type of the left operand.
        left: ValueType,
        /// Type of the right operand.
        right: ValueType,
    },
    /// An operand, argument or key of a type that cannot be there.
    #[error("{place} cannot be of type {given}")]
    Operand {
        /// Where.
        place: &'static str,
        /// What is there.
        given: ValueType,
    },
    /// Two types that must be one.
    #[error("{place} is of type {given}, not {expected}")]
    Mismatch {
        /// Where.
        place: &'static str,
        /// What is there.
        given: ValueType,
        /// What must be there.
        expected: ValueType,
    },
    /// A cast that is not part of the language.
    #[error("there is no cast from {from} to {to}")]
    Cast {
        /// From.
        from: ValueType,
        /// To.
        to: ValueType,
    },
    /// `IN ()`, or a `CASE` without an arm.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// `SUM`, `MIN` or `MAX` of nothing.
    #[error("an aggregate lacks its argument")]
    Argument,
    /// `ILIKE` with a pattern that folds by Unicode's tables, which differ by version.
    #[error("ILIKE with a pattern beyond ASCII")]
    CaseFolding,
    /// An expression deeper than [`DEPTH_MAX`].
    #[error("an expression is deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl Fragment {
    /// Whether every expression has a type, every condition is a truth value and every state has a type that its function can have.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the text form.
    pub fn check(&self) -> Result<(), TypeError> {
        self.columns.iter().try_for_each(|column| check_type(column.value_type))?;
        self.filter.iter().try_for_each(|conjunct| check_condition(conjunct, &self.columns))?;
        match &self.output {
            Output::Project(outputs) => outputs.iter().try_for_each(|output| output.expr.value_type(&self.columns).map(drop)),
            Output::Aggregate { keys, aggregates } => {
                keys.iter().try_for_each(|key| check_key(&key.expr, &self.columns))?;
                aggregates.iter().try_for_each(|aggregate| aggregate.check(&self.columns))
            }
        }
    }
}

impl Aggregate {
    pub(crate) fn check(&self, columns: &[Column]) -> Result<(), TypeError> {
        check_type(self.value_type)?;
        if let Some(filter) = &self.filter {
            check_condition(filter, columns)?;
        }
        let argument = self.argument.as_ref().map(|argument| argument.value_type(columns)).transpose()?;
        let given = self.value_type;
        let fits = match (self.function, argument) {
            (Function::Count, _) => matches!(given, ValueType::Int64 | ValueType::UInt64),
            (_, None) => return Err(TypeError::Argument),
            (Function::Sum, Some(argument)) => check_sum(argument, given)?,
            (Function::Min | Function::Max, Some(argument)) => {
                concrete("the argument of MIN or MAX", argument)?;
                given == argument
            }
        };
        if fits { Ok(()) } else { Err(TypeError::Operand { place: "the state of an aggregate", given }) }
    }
}

/// Whether the sum of an argument can have that state; an error if such an argument has no sum at all.
fn check_sum(argument: ValueType, state: ValueType) -> Result<bool, TypeError> {
    use ValueType::*;
    match argument {
        Int8 | Int16 | Int32 | Int64 => Ok(state == Int64),
        UInt8 | UInt16 | UInt32 | UInt64 => Ok(state == UInt64),
        Float32 | Float64 => Ok(state == Float64),
        Decimal128 { scale, .. } => Ok(matches!(state, Decimal128 { scale: given, .. } if given == scale)),
        Bool | Date32 | Utf8 | Opaque => Err(TypeError::Operand { place: "the argument of SUM", given: argument }),
    }
}

impl Expr {
    /// The type of this expression's value, all of it checked.
    ///
    /// # Errors
    /// The first rule that is broken, innermost first.
    pub fn value_type(&self, columns: &[Column]) -> Result<ValueType, TypeError> {
        Checker { columns, depth: 0 }.expr(self)
    }

    /// Whether this expression's value may be NULL, as DataFusion says it of its physical expressions (of a `CASE`, DataFusion may know better: it proves some
    /// NULL arms unreachable). A column that does not exist may be NULL.
    pub fn nullable(&self, columns: &[Column]) -> bool {
        match self {
            Self::Column(index) => columns.get(*index).is_none_or(|column| column.nullable),
            Self::Literal(scalar) => matches!(scalar, Scalar::Null(_)),
            Self::IsNull(_) | Self::IsNotNull(_) => false,
            Self::Arithmetic { left, right, .. }
            | Self::Compare { left, right, .. }
            | Self::And(left, right)
            | Self::Or(left, right) => left.nullable(columns) || right.nullable(columns),
            Self::Not(expr) | Self::Like { expr, .. } | Self::Cast { expr, .. } => expr.nullable(columns),
            Self::InList { expr, list, .. } => expr.nullable(columns) || list.iter().any(|item| matches!(item, Scalar::Null(_))),
            Self::Case { arms, otherwise } => {
                arms.iter().any(|(_, value)| value.nullable(columns))
                    || otherwise.as_ref().is_none_or(|value| value.nullable(columns))
            }
        }
    }
}

/// Walks one expression; `depth` bounds the recursion.
#[derive(Clone, Copy)]
struct Checker<'a> {
    columns: &'a [Column],
    depth: usize,
}

impl Checker<'_> {
    fn expr(self, expr: &Expr) -> Result<ValueType, TypeError> {
        if self.depth >= DEPTH_MAX {
            return Err(TypeError::TooDeep);
        }
        let inner = Self { depth: self.depth + 1, ..self };
        match expr {
            Expr::Column(index) => {
                let unknown = TypeError::Column { index: *index, count: self.columns.len() };
                self.columns.get(*index).map(|column| column.value_type).ok_or(unknown)
            }
            Expr::Literal(literal) => check_literal(literal),
            Expr::Arithmetic { op, left, right, value_type } => inner.arithmetic(*op, left, right, *value_type),
            Expr::Compare { op, left, right } => inner.compare(*op, left, right),
            Expr::And(left, right) => inner.truth("AND", &[left, right]),
            Expr::Or(left, right) => inner.truth("OR", &[left, right]),
            Expr::Not(expr) => inner.truth("NOT", &[expr]),
            Expr::IsNull(expr) | Expr::IsNotNull(expr) => inner.expr(expr).map(|_| ValueType::Bool),
            Expr::InList { expr, list, .. } => inner.in_list(expr, list),
            Expr::Like { case_insensitive: true, pattern, .. } if !pattern.is_ascii() => Err(TypeError::CaseFolding),
            Expr::Like { expr, .. } => inner.same("the operand of LIKE", expr, ValueType::Utf8).map(|()| ValueType::Bool),
            Expr::Case { arms, otherwise } => inner.case(arms, otherwise.as_deref()),
            Expr::Cast { expr, to } => inner.cast(expr, *to),
        }
    }

    /// `expr` has exactly this type.
    fn same(self, place: &'static str, expr: &Expr, expected: ValueType) -> Result<(), TypeError> {
        same(place, self.expr(expr)?, expected)
    }

    fn truth(self, place: &'static str, operands: &[&Expr]) -> Result<ValueType, TypeError> {
        operands.iter().try_for_each(|operand| self.same(place, operand, ValueType::Bool))?;
        Ok(ValueType::Bool)
    }

    fn arithmetic(self, op: ArithmeticOp, left: &Expr, right: &Expr, given: ValueType) -> Result<ValueType, TypeError> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let computed = match (left, right) {
            (ValueType::Decimal128 { .. }, ValueType::Decimal128 { .. }) => decimal_result(op, left, right),
            (ValueType::Float32 | ValueType::Float64, _) if left == right => Some(left),
            // Dates: DataFusion knows `date - date` (days) and intervals, neither of which is in the language.
            _ if left == right && left.is_integer() && left != ValueType::Date32 => Some(left),
            _ => None,
        };
        let expected = computed.ok_or(TypeError::Operands { op: op.symbol(), left, right })?;
        same("the result of arithmetic", given, expected)?;
        Ok(given)
    }

    fn compare(self, op: CompareOp, left: &Expr, right: &Expr) -> Result<ValueType, TypeError> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let comparable = match (left, right) {
            (ValueType::Opaque, _) => false,
            (ValueType::Decimal128 { scale: left, .. }, ValueType::Decimal128 { scale: right, .. }) => left == right,
            _ => left == right,
        };
        if comparable { Ok(ValueType::Bool) } else { Err(TypeError::Operands { op: op.symbol(), left, right }) }
    }

    fn in_list(self, expr: &Expr, list: &[Scalar]) -> Result<ValueType, TypeError> {
        let expected = self.expr(expr)?;
        concrete("the operand of IN", expected)?;
        if list.is_empty() {
            return Err(TypeError::Empty("an IN list"));
        }
        list.iter().try_for_each(|item| same("an item of an IN list", check_literal(item)?, expected))?;
        Ok(ValueType::Bool)
    }

    fn case(self, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Result<ValueType, TypeError> {
        let (_, first) = arms.first().ok_or(TypeError::Empty("a CASE"))?;
        let expected = self.expr(first)?;
        concrete("the value of a CASE", expected)?;
        for (condition, value) in arms {
            self.same("the condition of a CASE", condition, ValueType::Bool)?;
            self.same("an arm of a CASE", value, expected)?;
        }
        otherwise.map_or(Ok(()), |otherwise| self.same("the last arm of a CASE", otherwise, expected))?;
        Ok(expected)
    }

    fn cast(self, expr: &Expr, to: ValueType) -> Result<ValueType, TypeError> {
        check_type(to)?;
        let from = self.expr(expr)?;
        if castable(from, to) { Ok(to) } else { Err(TypeError::Cast { from, to }) }
    }
}

/// The casts of the language. What a value that does not fit does is `evaluate`'s to say.
fn castable(from: ValueType, to: ValueType) -> bool {
    use ValueType::*;
    let is_float = |t| matches!(t, Float32 | Float64);
    let is_number = |t: ValueType| t.is_integer() && t != Date32;
    match (from, to) {
        (Opaque, _) | (_, Opaque) => false,
        _ if from == to => true,
        // Days as they are; arrow-rs casts no other integers to dates, and dates to no others.
        (Date32, Int32 | Int64) | (Int32 | Int64, Date32) => true,
        _ if is_number(from) => is_number(to) || is_float(to) || is_decimal(to),
        (Float32, Float64) | (Float64, Float32) => true,
        (Decimal128 { .. }, Float32 | Float64) => true,
        // arrow-rs cannot express a larger factor, and fails even over no rows.
        (Decimal128 { scale: from, .. }, Decimal128 { scale: to, .. }) => {
            i16::from(to) - i16::from(from) <= i16::from(DECIMAL_DIGITS_MAX)
        }
        _ if is_decimal(from) => is_number(to),
        _ => false,
    }
}

fn same(place: &'static str, given: ValueType, expected: ValueType) -> Result<(), TypeError> {
    if given == expected { Ok(()) } else { Err(TypeError::Mismatch { place, given, expected }) }
}

fn concrete(place: &'static str, given: ValueType) -> Result<(), TypeError> {
    if given == ValueType::Opaque { Err(TypeError::Operand { place, given }) } else { Ok(()) }
}

pub(crate) fn check_key(key: &Expr, columns: &[Column]) -> Result<(), TypeError> {
    concrete("a group key", key.value_type(columns)?)
}

pub(crate) fn check_condition(condition: &Expr, columns: &[Column]) -> Result<(), TypeError> {
    same("a filter", condition.value_type(columns)?, ValueType::Bool)
}

pub(crate) fn check_type(value_type: ValueType) -> Result<(), TypeError> {
    match value_type {
        ValueType::Decimal128 { precision, scale } if !is_decimal_type(precision, scale) => Err(TypeError::Decimal(value_type)),
        _ => Ok(()),
    }
}

fn check_literal(literal: &Scalar) -> Result<ValueType, TypeError> {
    let value_type = literal.value_type();
    check_type(value_type)?;
    match literal {
        Scalar::Int(value_type, value) if !integer_range(*value_type).is_some_and(|range| range.contains(value)) => {
            Err(TypeError::Literal(*value_type))
        }
        Scalar::Null(ValueType::Opaque) => Err(TypeError::Literal(value_type)),
        _ => Ok(value_type),
    }
}
