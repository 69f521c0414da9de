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

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let column = |name: &str, value_type, nullable| Column { name: name.into(), value_type, nullable };
        vec![
            column("k", ValueType::Int64, true),
            column("d", ValueType::Decimal128 { precision: 15, scale: 2 }, false),
            column("s", ValueType::Utf8, false),
            column("o", ValueType::Opaque, true),
            column("t", ValueType::Date32, false),
        ]
    }

    #[track_caller]
    fn check(expr: &Expr, expected: Result<ValueType, &str>) {
        assert_eq!(expr.value_type(&columns()).map_err(|error| error.to_string()), expected.map_err(String::from));
    }

    fn column(index: usize) -> Box<Expr> {
        Expr::Column(index).into()
    }

    fn arithmetic(op: ArithmeticOp, left: usize, right: usize, value_type: ValueType) -> Expr {
        Expr::Arithmetic { op, left: column(left), right: column(right), value_type }
    }

    fn cast(index: usize, to: ValueType) -> Expr {
        Expr::Cast { expr: column(index), to }
    }

    /// The result of arithmetic is what arrow-rs computes, nothing else.
    #[test]
    fn arithmetic_has_one_type() {
        let decimal = |precision, scale| ValueType::Decimal128 { precision, scale };
        check(&arithmetic(ArithmeticOp::Add, 0, 0, ValueType::Int64), Ok(ValueType::Int64));
        check(&arithmetic(ArithmeticOp::Add, 0, 0, ValueType::Int32), Err("the result of arithmetic is of type i32, not i64"));
        check(&arithmetic(ArithmeticOp::Mul, 1, 1, decimal(31, 4)), Ok(decimal(31, 4)));
        check(
            &arithmetic(ArithmeticOp::Mul, 1, 1, decimal(30, 4)),
            Err("the result of arithmetic is of type decimal(30,4), not decimal(31,4)"),
        );
        check(&arithmetic(ArithmeticOp::Sub, 1, 1, decimal(16, 2)), Ok(decimal(16, 2)));
        for operands in [(0, 1), (2, 2), (3, 3), (4, 4)] {
            assert!(matches!(
                arithmetic(ArithmeticOp::Add, operands.0, operands.1, ValueType::Int64).value_type(&columns()),
                Err(TypeError::Operands { op: "+", .. })
            ));
        }
    }

    /// Hive's rules as arrow-arith has them: `(p1, s1) op (p2, s2)`.
    #[test]
    fn decimal_results() {
        let decimal = |(precision, scale)| ValueType::Decimal128 { precision, scale };
        for (op, left, right, expected) in [
            (ArithmeticOp::Add, (15, 2), (10, 4), Some((18, 4))),
            (ArithmeticOp::Sub, (20, 0), (15, 2), Some((23, 2))),
            (ArithmeticOp::Add, (38, 0), (38, 10), Some((38, 10))),
            (ArithmeticOp::Add, (4, -2), (4, -2), Some((5, -2))),
            (ArithmeticOp::Mul, (15, 2), (23, 2), Some((38, 4))),
            (ArithmeticOp::Mul, (38, 20), (38, 20), None),
            (ArithmeticOp::Mul, (38, 19), (38, 19), Some((38, 38))),
            (ArithmeticOp::Mul, (3, -20), (3, -20), None),
            (ArithmeticOp::Add, (38, 38), (38, -1), None),
        ] {
            assert_eq!(
                decimal_result(op, decimal(left), decimal(right)),
                expected.map(decimal),
                "{left:?} {} {right:?}",
                op.symbol()
            );
        }
    }

    /// What no operator takes is refused with the place.
    #[test]
    fn refusals() {
        let literal = |scalar| Expr::Literal(scalar);
        check(&Expr::Column(9), Err("column 9 does not exist: there are 5"));
        check(&literal(Scalar::Int(ValueType::Int8, 128)), Err("a literal is not a value of its type i8"));
        check(&literal(Scalar::Int(ValueType::Utf8, 1)), Err("a literal is not a value of its type utf8"));
        check(&literal(Scalar::Null(ValueType::Decimal128 { precision: 0, scale: 0 })), Err("decimal(0,0) is not a type"));
        check(&literal(Scalar::Decimal { value: 1, precision: 3, scale: 4 }), Err("decimal(3,4) is not a type"));
        check(&literal(Scalar::Decimal { value: 1, precision: 3, scale: i8::MIN }), Err("decimal(3,-128) is not a type"));
        check(&Expr::Not(column(0)), Err("NOT is of type i64, not bool"));
        check(&Expr::IsNull(column(3)), Ok(ValueType::Bool));
        check(
            &Expr::Compare { op: CompareOp::Eq, left: column(3), right: column(3) },
            Err("operator = is not defined for opaque and opaque"),
        );
        check(
            &Expr::Compare { op: CompareOp::Eq, left: column(0), right: column(4) },
            Err("operator = is not defined for i64 and date"),
        );
        check(&Expr::InList { expr: column(0), list: vec![], negated: false }, Err("an IN list is empty"));
        let mixed = vec![Scalar::Int(ValueType::Int64, 1), Scalar::Null(ValueType::Int32)];
        check(
            &Expr::InList { expr: column(0), list: mixed, negated: true },
            Err("an item of an IN list is of type i32, not i64"),
        );
        check(&Expr::Case { arms: vec![], otherwise: None }, Err("a CASE is empty"));
        let like = |pattern: &str, case_insensitive| Expr::Like {
            expr: column(2),
            pattern: pattern.into(),
            negated: false,
            case_insensitive,
        };
        check(&like("é", false), Ok(ValueType::Bool));
        check(&like("é", true), Err("ILIKE with a pattern beyond ASCII"));
        check(&cast(4, ValueType::Int64), Ok(ValueType::Int64));
        check(&cast(4, ValueType::Int8), Err("there is no cast from date to i8"));
        check(&cast(0, ValueType::Utf8), Err("there is no cast from i64 to utf8"));
        check(&cast(3, ValueType::Opaque), Err("there is no cast from opaque to opaque"));
        let deep = (0..DEPTH_MAX).fold(Expr::IsNull(column(0)), |expr, _| Expr::Not(expr.into()));
        check(&deep, Err("an expression is deeper than 128 levels"));
    }

    /// NULL comes from columns, literals, missing arms and lists, never from a NULL test.
    #[test]
    fn nullability() {
        let nullable = |expr: Expr| expr.nullable(&columns());
        let one = || Scalar::Int(ValueType::Int64, 1);
        let case = |otherwise| Expr::Case { arms: vec![(Expr::IsNull(column(0)), Expr::Column(1))], otherwise };
        assert!(nullable(Expr::Column(0)) && !nullable(Expr::Column(1)));
        assert!(nullable(arithmetic(ArithmeticOp::Add, 0, 0, ValueType::Int64)));
        assert!(!nullable(Expr::IsNull(column(0))) && !nullable(Expr::Not(Expr::IsNotNull(column(0)).into())));
        assert!(nullable(case(None)) && !nullable(case(Some(column(1)))) && nullable(case(Some(column(0)))));
        let in_list = |list| Expr::InList { expr: column(1), list, negated: false };
        assert!(nullable(in_list(vec![one(), Scalar::Null(ValueType::Int64)])) && !nullable(in_list(vec![one()])));
    }

    /// A state has the type DataFusion's partial aggregation gives it.
    #[test]
    fn states() {
        let check = |function, argument: Option<usize>, value_type| {
            Aggregate { name: "a".into(), function, argument: argument.map(Expr::Column), filter: None, value_type }
                .check(&columns())
        };
        let decimal = |precision, scale| ValueType::Decimal128 { precision, scale };
        assert_eq!(check(Function::Count, Some(3), ValueType::UInt64), Ok(()));
        assert!(check(Function::Count, None, ValueType::Int32).is_err());
        assert_eq!(check(Function::Sum, None, ValueType::Int64), Err(TypeError::Argument));
        assert_eq!(check(Function::Sum, Some(1), decimal(25, 2)), Ok(()));
        assert_eq!(check(Function::Sum, Some(1), decimal(38, 2)), Ok(()));
        assert!(check(Function::Sum, Some(1), decimal(38, 3)).is_err());
        assert!(check(Function::Sum, Some(0), ValueType::Float64).is_err());
        assert!(check(Function::Sum, Some(4), ValueType::Int64).is_err());
        assert_eq!(check(Function::Min, Some(4), ValueType::Date32), Ok(()));
        assert!(check(Function::Max, Some(3), ValueType::Opaque).is_err());
    }
}
