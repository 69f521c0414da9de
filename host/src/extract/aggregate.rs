//! Partial aggregates: which have a fragment's form, and the states they consist of.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::count::Count;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use nearside_planner::fragment::Function;

use super::super::shape::{AggregateState, Shape, ShapeOutput};
use crate::config::{FloatSum, NearsideOptions};
use crate::reason::Reason;
use crate::types::computed_type;

/// The shape under this aggregate with the aggregate on top.
pub(super) fn aggregate(shape: &Shape, node: &AggregateExec, options: &NearsideOptions) -> Result<Shape, Reason> {
    let groups = node.group_expr();
    if groups.has_grouping_set() || !(groups.is_single() || groups.is_true_no_grouping()) {
        return Err(operator("grouping sets"));
    }
    if node.properties().output_ordering().is_some() {
        return Err(Reason::Ordered);
    }
    let over_table = |expr: &Arc<dyn PhysicalExpr>| shape.over_table(expr).ok_or_else(|| operator("aggregate over an aggregate"));
    let key = |(expr, name): &(Arc<dyn PhysicalExpr>, String)| Ok(ProjectionExpr::new(over_table(expr)?, name.clone()));
    let keys = groups.expr().iter().map(key).collect::<Result<_, Reason>>()?;
    let mut states = Vec::new();
    for (call, filter) in node.aggr_expr().iter().zip(node.filter_expr()) {
        let argument = argument(call)?.map(|argument| over_table(&argument)).transpose()?;
        let filter = filter.as_ref().map(over_table).transpose()?;
        for (field, function) in call_states(call, options)? {
            let (argument, filter) = (argument.clone(), filter.clone());
            states.push(AggregateState { value_type: computed_type(field.data_type())?, field, function, argument, filter });
        }
    }
    Ok(Shape { output: ShapeOutput::Aggregate { keys, states }, ..shape.clone() })
}

/// The columns of a call's partial result, in DataFusion's order.
fn call_states(call: &AggregateFunctionExpr, options: &NearsideOptions) -> Result<Vec<(FieldRef, Function)>, Reason> {
    let refuse = |why| Reason::Aggregate { aggregate: call.name().to_owned(), why };
    if options.denies_function(call.fun().name()) {
        return Err(Reason::DeniedFunction { function: call.fun().name().to_owned() });
    }
    if call.is_distinct() {
        return Err(refuse("DISTINCT"));
    }
    if !call.order_bys().is_empty() {
        return Err(refuse("ORDER BY"));
    }
    // By type, not by name: a user's function may have the same.
    let implementation = call.fun().inner();
    let functions: &[Function] = if implementation.is::<Count>() {
        &[Function::Count]
    } else if implementation.is::<Sum>() {
        &[Function::Sum]
    } else if implementation.is::<Min>() {
        &[Function::Min]
    } else if implementation.is::<Max>() {
        &[Function::Max]
    } else if implementation.is::<Avg>() {
        &[Function::Count, Function::Sum]
    } else {
        return Err(refuse("no partial form on devices"));
    };
    let fields = call.state_fields().map_err(|_| refuse("unknown partial form"))?;
    if fields.len() != functions.len() {
        return Err(refuse("unknown partial form"));
    }
    let float_sum = |(field, function): &(FieldRef, Function)| *function == Function::Sum && is_float(field.data_type());
    let states: Vec<_> = fields.into_iter().zip(functions.iter().copied()).collect();
    if options.float_sum == FloatSum::Exact && states.iter().any(float_sum) {
        return Err(Reason::FloatSum);
    }
    Ok(states)
}

/// The argument whose values count; none for `COUNT(*)` and `COUNT(1)`.
fn argument(call: &AggregateFunctionExpr) -> Result<Option<Arc<dyn PhysicalExpr>>, Reason> {
    let refuse = |why| Reason::Aggregate { aggregate: call.name().to_owned(), why };
    let mut arguments = call.expressions();
    if arguments.len() > 1 {
        return Err(refuse("several arguments"));
    }
    let argument = arguments.pop();
    let is_count = call.fun().inner().is::<Count>();
    let literal = argument.as_ref().and_then(|argument| argument.downcast_ref::<Literal>());
    match literal.map(Literal::value) {
        Some(value) if is_count && !ScalarValue::is_null(value) => Ok(None),
        Some(_) => Err(refuse("constant argument")),
        None => Ok(argument),
    }
}

/// What goes below, and what goes above.
type Halves = (Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>);

/// A fused aggregate as `Partial` and `Final`: what goes below and a function of the input that goes above.
pub(super) fn split(node: &AggregateExec) -> datafusion::common::Result<Option<Halves>> {
    let final_mode = match node.mode() {
        AggregateMode::Single => AggregateMode::Final,
        AggregateMode::SinglePartitioned => AggregateMode::FinalPartitioned,
        _ => return Ok(None),
    };
    let (groups, calls) = (node.group_expr(), node.aggr_expr().to_vec());
    let (filters, input_schema) = (node.filter_expr().to_vec(), node.input_schema());
    let partial = AggregateExec::try_new(
        AggregateMode::Partial,
        groups.clone(),
        calls.clone(),
        filters,
        Arc::clone(node.input()),
        Arc::clone(&input_schema),
    )?;
    let partial: Arc<dyn ExecutionPlan> = Arc::new(partial);
    let no_filters = vec![None; calls.len()];
    let whole = AggregateExec::try_new(final_mode, groups.as_final(), calls, no_filters, Arc::clone(&partial), input_schema)?;
    let whole = whole.with_limit_options(node.limit_options());
    if whole.schema() != node.schema() {
        return Ok(None);
    }
    Ok(Some((partial, Arc::new(whole))))
}

fn is_float(data_type: &DataType) -> bool {
    data_type.is_floating()
}

fn operator(name: &str) -> Reason {
    Reason::Operator { operator: name.to_owned() }
}
