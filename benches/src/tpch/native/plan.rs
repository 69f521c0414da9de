//! A fragment as a plan of DataFusion over one Parquet file.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{avg, count, max, min, sum};
use datafusion::logical_expr::{Expr, ExprFunctionExt, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use nearside_planner::Fragment;
use nearside_planner::fragment::{Aggregate, Function, Named, Output};
use nearside_programs::ValueType;

use super::expression::translate;

/// Plans a fragment; an aggregate's result is its partial states.
pub(super) async fn plan(
    context: &SessionContext,
    fragment: &Fragment,
    file: &Path,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut frame = context.read_parquet(file.display().to_string(), ParquetReadOptions::default()).await?;
    for conjunct in &fragment.filter {
        frame = frame.filter(translate(conjunct, &fragment.columns)?)?;
    }
    match &fragment.output {
        Output::Project(outputs) => project(frame, fragment, outputs)?.limit(0, limit)?.create_physical_plan().await,
        Output::Aggregate { keys, aggregates } => {
            let keys = keys.iter().map(|key| translate(&key.expr, &fragment.columns)).collect::<Result<_>>()?;
            partial(frame.aggregate(keys, calls(fragment, aggregates)?)?.create_physical_plan().await?)
        }
    }
}

/// Columns by their place: names need not be distinct.
fn project(frame: DataFrame, fragment: &Fragment, outputs: &[Named]) -> Result<DataFrame> {
    let column =
        |(index, output): (usize, &Named)| Ok(translate(&output.expr, &fragment.columns)?.alias(format!("column {index}")));
    frame.select(outputs.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?)
}

/// The functions whose states a fragment lists: `AVG` is a count of type `u64` and the sum of the same.
fn calls(fragment: &Fragment, mut aggregates: &[Aggregate]) -> Result<Vec<Expr>> {
    let mut calls = Vec::new();
    while let Some((first, mut rest)) = aggregates.split_first() {
        let argument = first.argument.as_ref().map(|argument| translate(argument, &fragment.columns)).transpose()?;
        let argument = argument.unwrap_or_else(|| lit(1i64));
        let call = match first.function {
            Function::Count if first.value_type == ValueType::UInt64 => {
                rest = rest.get(1..).ok_or_else(|| internal_datafusion_err!("an average without its sum"))?;
                avg(argument)
            }
            Function::Count => count(argument),
            Function::Sum => sum(argument),
            Function::Min => min(argument),
            Function::Max => max(argument),
        };
        calls.push(match &first.filter {
            Some(filter) => call.filter(translate(filter, &fragment.columns)?).build()?,
            None => call,
        });
        aggregates = rest;
    }
    Ok(calls)
}

/// The aggregate's first half.
fn partial(mut plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    loop {
        if let Some(whole) = plan.downcast_ref::<AggregateExec>() {
            let partial = AggregateExec::try_new(
                AggregateMode::Partial,
                whole.group_expr().clone(),
                whole.aggr_expr().to_vec(),
                whole.filter_expr().to_vec(),
                Arc::clone(whole.input()),
                whole.input_schema(),
            )?;
            return Ok(Arc::new(partial));
        }
        plan = match plan.children().as_slice() {
            [child] => Arc::clone(child),
            _ => return Err(internal_datafusion_err!("an aggregate that is planned as none")),
        };
    }
}
