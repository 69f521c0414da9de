//! DataFusion's physical expressions as the planner's.
//!
//! [`Translator::computed`] gives an expression that computes exactly what DataFusion does, or a [`Reason`]. [`Translator::passed`] also takes a plain column of a
//! type that nothing computes with. [`weaker`] makes of a filter that may be applied, but need not be, whatever part of it can be translated.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NegativeExpr, NotExpr,
};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use nearside_planner::fragment::{ArithmeticOp, CompareOp, Expr, decimal_result};
use nearside_programs::{Scalar, ValueType};

use crate::config::NearsideOptions;
use crate::reason::Reason;
use crate::types::{computed_type, scalar};

/// When an expression is translated, and with it what a scalar subquery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The plan is made: subqueries have no value yet; any value of their type stands for them.
    Plan,
    /// The query runs: subqueries have been evaluated.
    Run,
}

/// Translates expressions over one table, and remembers which of its columns they use.
pub(crate) struct Translator<'a> {
    /// The table.
    schema: &'a Schema,
    /// For each column of the table that the files do not hold: its value, if it is one and the same everywhere.
    constants: &'a [Option<ScalarValue>],
    options: &'a NearsideOptions,
    moment: Moment,
    /// Columns of the table, in the order of the fragment.
    used: Vec<usize>,
}

impl<'a> Translator<'a> {
    /// `constants` belong to the table's last columns: those the files do not hold.
    pub(crate) fn new(
        schema: &'a Schema,
        constants: &'a [Option<ScalarValue>],
        options: &'a NearsideOptions,
        moment: Moment,
    ) -> Self {
        Self { schema, constants, options, moment, used: Vec::new() }
    }

    /// The table's columns that were used, in the order of the fragment's.
    pub(crate) fn into_used(self) -> Vec<usize> {
        self.used
    }

    /// An expression that only leaves: a plain column may be of any type.
    pub(crate) fn passed(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Expr, Reason> {
        match expr.downcast_ref::<Column>() {
            Some(column) => self.column(column),
            None => self.computed(expr),
        }
    }

    /// An expression that is computed with.
    pub(crate) fn computed(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Expr, Reason> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            self.allowed_type(self.schema.field(column.index()).data_type())?;
            return self.column(column);
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return self.literal(literal.value());
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            return self.binary(binary, expr);
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return Ok(Expr::Not(self.boxed(not.arg())?));
        }
        if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
            return Ok(Expr::IsNull(self.boxed(test.arg())?));
        }
        if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
            return Ok(Expr::IsNotNull(self.boxed(test.arg())?));
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            return self.in_list(list);
        }
        if let Some(like) = expr.downcast_ref::<LikeExpr>() {
            return self.like(like);
        }
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            return self.case(case);
        }
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            return self.cast(cast);
        }
        if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
            return self.negative(negative.arg());
        }
        if let Some(subquery) = expr.downcast_ref::<ScalarSubqueryExpr>() {
            return self.subquery(subquery);
        }
        Err(match expr.downcast_ref::<ScalarFunctionExpr>() {
            Some(function) => Reason::Function { function: function.name().to_owned() },
            None => unknown(expr),
        })
    }

    fn boxed(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Box<Expr>, Reason> {
        self.computed(expr).map(Box::new)
    }

    fn column(&mut self, column: &Column) -> Result<Expr, Reason> {
        let file_columns = self.schema.fields().len() - self.constants.len();
        if let Some(index) = column.index().checked_sub(file_columns) {
            let constant = self.constants.get(index).and_then(Option::as_ref);
            let constant = constant.ok_or_else(|| Reason::PartitionColumn { column: column.name().to_owned() })?;
            return self.literal(constant);
        }
        let place = self.used.iter().position(|used| *used == column.index()).unwrap_or_else(|| {
            self.used.push(column.index());
            self.used.len() - 1
        });
        Ok(Expr::Column(place))
    }

    fn literal(&self, value: &ScalarValue) -> Result<Expr, Reason> {
        self.allowed_type(&value.data_type())?;
        scalar(value).map(Expr::Literal)
    }

    fn binary(&mut self, binary: &BinaryExpr, expr: &Arc<dyn PhysicalExpr>) -> Result<Expr, Reason> {
        self.allowed_function(&binary.op().to_string())?;
        let (left, right) = (self.boxed(binary.left())?, self.boxed(binary.right())?);
        match operation(*binary.op()).ok_or_else(|| unknown(expr))? {
            Operation::And => Ok(Expr::And(left, right)),
            Operation::Or => Ok(Expr::Or(left, right)),
            Operation::Compare(op) => Ok(Expr::Compare { op, left, right }),
            Operation::Arithmetic(op) => {
                // Overflow checks are a private flag of the expression: visible only as inequality with one that has none.
                let wrapping = BinaryExpr::new(Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()));
                if *binary != wrapping {
                    return Err(Reason::Function { function: format!("checked {}", binary.op()) });
                }
                Ok(Expr::Arithmetic { op, left, right, value_type: self.type_of(expr)? })
            }
        }
    }

    fn in_list(&mut self, list: &InListExpr) -> Result<Expr, Reason> {
        self.allowed_function("in")?;
        let item = |item: &Arc<dyn PhysicalExpr>| match item.downcast_ref::<Literal>() {
            Some(literal) => scalar(literal.value()),
            None => Err(unknown(item)),
        };
        let items = list.list().iter().map(item).collect::<Result<_, _>>()?;
        Ok(Expr::InList { expr: self.boxed(list.expr())?, list: items, negated: list.negated() })
    }

    fn like(&mut self, like: &LikeExpr) -> Result<Expr, Reason> {
        self.allowed_function(if like.case_insensitive() { "ilike" } else { "like" })?;
        let literal = like.pattern().downcast_ref::<Literal>().ok_or_else(|| unknown(like.pattern()))?;
        let Scalar::Utf8(pattern) = scalar(literal.value())? else {
            return Err(unknown(like.pattern()));
        };
        let expr = self.boxed(like.expr())?;
        Ok(Expr::Like { expr, pattern, negated: like.negated(), case_insensitive: like.case_insensitive() })
    }

    fn case(&mut self, case: &CaseExpr) -> Result<Expr, Reason> {
        self.allowed_function("case")?;
        let mut arms = Vec::with_capacity(case.when_then_expr().len());
        for (when, then) in case.when_then_expr() {
            let condition = match case.expr() {
                Some(subject) => self.case_value(subject, when)?,
                None => self.computed(when)?,
            };
            arms.push((condition, self.computed(then)?));
        }
        let otherwise = case.else_expr().map(|otherwise| self.boxed(otherwise)).transpose()?;
        Ok(Expr::Case { arms, otherwise })
    }

    /// `CASE subject WHEN value`: an equality that tells a float's zeros apart, unlike `=`.
    fn case_value(&mut self, subject: &Arc<dyn PhysicalExpr>, value: &Arc<dyn PhysicalExpr>) -> Result<Expr, Reason> {
        let (left, right) = (self.boxed(subject)?, self.boxed(value)?);
        if !matches!(self.type_of(subject)?, ValueType::Float32 | ValueType::Float64) {
            return Ok(Expr::Compare { op: CompareOp::Eq, left, right });
        }
        match *right {
            Expr::Literal(value) => Ok(Expr::InList { expr: left, list: vec![value], negated: false }),
            _ => Err(unknown(value)),
        }
    }

    fn cast(&mut self, cast: &CastExpr) -> Result<Expr, Reason> {
        self.allowed_function("cast")?;
        self.allowed_type(cast.cast_type())?;
        let to = computed_type(cast.cast_type())?;
        let from = self.type_of(cast.expr())?;
        let expr = self.boxed(cast.expr())?;
        if from == to {
            return Ok(*expr); // only the layout differs, and programs do not see it
        }
        if cast.cast_options().safe {
            return Err(Reason::Function { function: "try_cast".into() });
        }
        Ok(Expr::Cast { expr, to })
    }

    /// `0 - x` is what DataFusion's wrapping negation of an integer gives; of a decimal too, whose type the cast gives back. Not of a float, because of the
    /// signs of zeros and NaNs.
    fn negative(&mut self, argument: &Arc<dyn PhysicalExpr>) -> Result<Expr, Reason> {
        self.allowed_function("-")?;
        let value_type = self.type_of(argument)?;
        let refused = Reason::Function { function: format!("- of {value_type}") };
        let (zero, difference) = match value_type {
            ValueType::Decimal128 { precision, scale } => {
                let zero = Scalar::Decimal { value: 0, precision, scale };
                (zero, decimal_result(ArithmeticOp::Sub, value_type, value_type).ok_or(refused)?)
            }
            _ if value_type.is_integer() && value_type != ValueType::Date32 => (Scalar::Int(value_type, 0), value_type),
            _ => return Err(refused),
        };
        let (left, right) = (Box::new(Expr::Literal(zero)), self.boxed(argument)?);
        let negated = Expr::Arithmetic { op: ArithmeticOp::Sub, left, right, value_type: difference };
        Ok(if difference == value_type { negated } else { Expr::Cast { expr: negated.into(), to: value_type } })
    }

    fn subquery(&self, subquery: &ScalarSubqueryExpr) -> Result<Expr, Reason> {
        let value = match self.moment {
            Moment::Plan => {
                let data_type =
                    PhysicalExpr::data_type(subquery, self.schema).map_err(|error| Reason::Unresolved(error.to_string()))?;
                ScalarValue::new_default(&data_type)
            }
            Moment::Run => match subquery.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
                Ok(ColumnarValue::Scalar(value)) => Ok(value),
                Ok(ColumnarValue::Array(_)) => return Err(Reason::Unresolved(subquery.to_string())),
                Err(error) => Err(error),
            },
        };
        self.literal(&value.map_err(|error| Reason::Unresolved(error.to_string()))?)
    }

    fn type_of(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<ValueType, Reason> {
        let data_type = expr.data_type(self.schema).map_err(|_| unknown(expr))?;
        computed_type(&data_type)
    }

    fn allowed_type(&self, data_type: &DataType) -> Result<(), Reason> {
        computed_type(data_type)?;
        let name = data_type.to_string();
        if self.options.denies_type(&name) { Err(Reason::DeniedType { data_type: name }) } else { Ok(()) }
    }

    fn allowed_function(&self, name: &str) -> Result<(), Reason> {
        if self.options.denies_function(name) { Err(Reason::DeniedFunction { function: name.to_owned() }) } else { Ok(()) }
    }
}

enum Operation {
    And,
    Or,
    Compare(CompareOp),
    Arithmetic(ArithmeticOp),
}

fn operation(operator: Operator) -> Option<Operation> {
    Some(match operator {
        Operator::And => Operation::And,
        Operator::Or => Operation::Or,
        Operator::Eq => Operation::Compare(CompareOp::Eq),
        Operator::NotEq => Operation::Compare(CompareOp::Ne),
        Operator::Lt => Operation::Compare(CompareOp::Lt),
        Operator::LtEq => Operation::Compare(CompareOp::Le),
        Operator::Gt => Operation::Compare(CompareOp::Gt),
        Operator::GtEq => Operation::Compare(CompareOp::Ge),
        Operator::Plus => Operation::Arithmetic(ArithmeticOp::Add),
        Operator::Minus => Operation::Arithmetic(ArithmeticOp::Sub),
        Operator::Multiply => Operation::Arithmetic(ArithmeticOp::Mul),
        _ => return None,
    })
}

fn unknown(expr: &Arc<dyn PhysicalExpr>) -> Reason {
    Reason::Expression { expression: expr.to_string() }
}

/// Most arms of a `CASE` that [`weaker`] makes alternatives of: a hash join's filter has one for each partition.
const ALTERNATIVES_MAX: usize = 16;

/// Conjuncts that are true wherever `filter` is, each of which `translates`.
///
/// A hash join's dynamic filter is a `CASE` over its partitions of bounds and hash look-ups: what can be used of it are the bounds, in any partition.
pub(crate) fn weaker(
    filter: &Arc<dyn PhysicalExpr>,
    translates: &dyn Fn(&Arc<dyn PhysicalExpr>) -> bool,
) -> Vec<Arc<dyn PhysicalExpr>> {
    if let Some(binary) = filter.downcast_ref::<BinaryExpr>()
        && *binary.op() == Operator::And
    {
        return [binary.left(), binary.right()].into_iter().flat_map(|side| weaker(side, translates)).collect();
    }
    if let Some(case) = filter.downcast_ref::<CaseExpr>() {
        return weaker_case(case, translates).into_iter().collect();
    }
    let says_nothing =
        filter.downcast_ref::<Literal>().is_some_and(|literal| *literal.value() == ScalarValue::Boolean(Some(true)));
    if !says_nothing && translates(filter) { vec![Arc::clone(filter)] } else { Vec::new() }
}

/// One of the arms' values, if each of them says something.
fn weaker_case(case: &CaseExpr, translates: &dyn Fn(&Arc<dyn PhysicalExpr>) -> bool) -> Option<Arc<dyn PhysicalExpr>> {
    let arms = case.when_then_expr().iter().map(|(_, then)| then).chain(case.else_expr());
    let never = |value: &&Arc<dyn PhysicalExpr>| {
        value.downcast_ref::<Literal>().is_some_and(|literal| *literal.value() == ScalarValue::Boolean(Some(false)))
    };
    let arms: Vec<_> = arms.filter(|value| !never(value)).collect();
    if arms.len() > ALTERNATIVES_MAX {
        return None;
    }
    let join = |op, parts: Vec<Arc<dyn PhysicalExpr>>| {
        parts.into_iter().reduce(|left, right| Arc::new(BinaryExpr::new(left, op, right)) as Arc<dyn PhysicalExpr>)
    };
    let weak: Option<Vec<_>> = arms.into_iter().map(|arm| join(Operator::And, weaker(arm, translates))).collect();
    join(Operator::Or, weak?)
}
