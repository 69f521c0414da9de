//! A fragment as DataFusion's query over table `t`.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::{BinaryExpr, Case, ExprFunctionExt, Like, Operator};
use datafusion::prelude::{DataFrame, Expr as Logical, SessionContext, cast, ident, in_list, lit};
use nearside_planner::fragment::{Aggregate, ArithmeticOp, Column, CompareOp, Expr, Fragment, Function, Named, Output};

use super::table::{data_type, scalar_value};

/// The query.
pub(crate) async fn of(context: &SessionContext, fragment: &Fragment) -> Result<DataFrame> {
    let translate = |expr: &Expr| logical(expr, &fragment.columns);
    let named = |column: &Named| translate(&column.expr).alias(&column.name);
    let mut frame = context.table("t").await?;
    if let Some(filter) = fragment.filter.iter().map(translate).reduce(Logical::and) {
        frame = frame.filter(filter)?;
    }
    match &fragment.output {
        Output::Project(columns) => frame.select(columns.iter().map(named).collect::<Vec<_>>()),
        Output::Aggregate { keys, aggregates } => {
            let aggregates = aggregates.iter().map(|one| aggregate(one, &translate)).collect::<Result<_>>()?;
            frame.aggregate(keys.iter().map(named).collect(), aggregates)
        }
    }
}

fn aggregate(aggregate: &Aggregate, translate: &dyn Fn(&Expr) -> Logical) -> Result<Logical> {
    let argument = aggregate.argument.as_ref().map_or_else(|| lit(1_i64), translate);
    let call = match aggregate.function {
        Function::Count => count(argument),
        Function::Sum => sum(argument),
        Function::Min => min(argument),
        Function::Max => max(argument),
    };
    let call = match &aggregate.filter {
        Some(filter) => call.filter(translate(filter)).build()?,
        None => call,
    };
    Ok(call.alias(&aggregate.name))
}

fn logical(expr: &Expr, columns: &[Column]) -> Logical {
    let part = |expr: &Expr| logical(expr, columns);
    let boxed = |expr: &Expr| Box::new(part(expr));
    let binary = |left: &Expr, op, right: &Expr| Logical::BinaryExpr(BinaryExpr::new(boxed(left), op, boxed(right)));
    match expr {
        Expr::Column(index) => ident(&columns[*index].name),
        Expr::Literal(scalar) => Logical::Literal(scalar_value(scalar), None),
        Expr::Arithmetic { op, left, right, .. } => binary(left, arithmetic(*op), right),
        Expr::Compare { op, left, right } => binary(left, comparison(*op), right),
        Expr::And(left, right) => part(left).and(part(right)),
        Expr::Or(left, right) => part(left).or(part(right)),
        Expr::Not(operand) => Logical::Not(boxed(operand)),
        Expr::IsNull(operand) => part(operand).is_null(),
        Expr::IsNotNull(operand) => part(operand).is_not_null(),
        Expr::InList { expr, list, negated } => {
            in_list(part(expr), list.iter().map(|item| Logical::Literal(scalar_value(item), None)).collect(), *negated)
        }
        Expr::Like { expr, pattern, negated, case_insensitive } => {
            Logical::Like(Like::new(*negated, boxed(expr), Box::new(lit(pattern.as_str())), None, *case_insensitive))
        }
        Expr::Case { arms, otherwise } => {
            let arms = arms.iter().map(|(condition, value)| (boxed(condition), boxed(value))).collect();
            Logical::Case(Case::new(None, arms, otherwise.as_deref().map(boxed)))
        }
        Expr::Cast { expr, to } => cast(part(expr), data_type(*to)),
    }
}

fn arithmetic(op: ArithmeticOp) -> Operator {
    match op {
        ArithmeticOp::Add => Operator::Plus,
        ArithmeticOp::Sub => Operator::Minus,
        ArithmeticOp::Mul => Operator::Multiply,
    }
}

fn comparison(op: CompareOp) -> Operator {
    match op {
        CompareOp::Eq => Operator::Eq,
        CompareOp::Ne => Operator::NotEq,
        CompareOp::Lt => Operator::Lt,
        CompareOp::Le => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::Ge => Operator::GtEq,
    }
}
