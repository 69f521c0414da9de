//! A fragment in DataFusion's terms, and its way to the planner's.
//!
//! A [`Shape`] grows as the recogniser climbs the plan: every expression in it is over the columns of the *table*, whatever projections lie between.
//! [`Shape::lower`] translates it, at planning and again at run time, when dynamic filters and scalar subqueries have values.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::projection::{ProjectionExpr, update_expr};
use datafusion::physical_expr::split_conjunction;
use nearside_planner::Fragment;
use nearside_planner::fragment::{Aggregate, Function, Named, Output};
use nearside_programs::ValueType;

use crate::config::NearsideOptions;
use crate::expression::{Moment, Translator, weaker};
use crate::reason::Reason;
use crate::types::column;

/// Most conjuncts taken from dynamic filters: they only spare work.
const OPTIONAL_CONJUNCTS_MAX: usize = 32;

/// What is pushed of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    /// The table: the files' columns, then those that files do not hold.
    pub table: SchemaRef,
    /// The values of the latter, where one value holds for all files.
    pub constants: Vec<Option<ScalarValue>>,
    /// What every row must pass.
    pub filter: Vec<Arc<dyn PhysicalExpr>>,
    /// What a row may be dropped for: dynamic filters.
    pub optional: Vec<Arc<dyn PhysicalExpr>>,
    /// What is made of the rows.
    pub output: ShapeOutput,
    /// Enough rows of one partition.
    pub fetch: Option<usize>,
}

/// What is made of the rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ShapeOutput {
    /// Columns.
    Project(Vec<ProjectionExpr>),
    /// Groups.
    Aggregate {
        /// What they are made of.
        keys: Vec<ProjectionExpr>,
        /// One state column each.
        states: Vec<AggregateState>,
    },
}

/// A column of a partial aggregate's result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AggregateState {
    /// Its field in DataFusion's partial result.
    pub field: FieldRef,
    /// Which function's.
    pub function: Function,
    /// Type of the state.
    pub value_type: ValueType,
    /// Over the table.
    pub argument: Option<Arc<dyn PhysicalExpr>>,
    /// `FILTER (WHERE …)`, over the table.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

/// A shape as the planner has it.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub fragment: Fragment,
    /// The table's columns that the fragment's columns are.
    pub columns: Vec<usize>,
}

impl Shape {
    /// An expression over the output of this shape as one over the table; `None` over an aggregate.
    pub(crate) fn over_table(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        let ShapeOutput::Project(columns) = &self.output else { return None };
        update_expr(expr, columns, true).ok().flatten()
    }

    /// Whether the fragment may do more than hand over columns.
    pub(crate) fn may_reduce(&self) -> bool {
        !self.filter.is_empty()
            || !self.optional.is_empty()
            || self.fetch.is_some()
            || matches!(self.output, ShapeOutput::Aggregate { .. })
    }

    /// Whether there is something in it that has its value only while the query runs.
    pub(crate) fn is_late(&self) -> bool {
        use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
        let late = |expr: &Arc<dyn PhysicalExpr>| contains(expr, &|part| part.is::<ScalarSubqueryExpr>());
        let in_output = match &self.output {
            ShapeOutput::Project(columns) => columns.iter().any(|column| late(&column.expr)),
            ShapeOutput::Aggregate { keys, states } => {
                let parts = states.iter().flat_map(|state| [&state.argument, &state.filter]).flatten();
                keys.iter().any(|key| late(&key.expr)) || parts.into_iter().any(late)
            }
        };
        !self.optional.is_empty() || in_output || self.filter.iter().any(late)
    }

    /// The planner's fragment, without the optional filters at planning, with what is usable of them at run time.
    pub(crate) fn lower(&self, options: &NearsideOptions, moment: Moment) -> Result<Lowered, Reason> {
        let mut translator = Translator::new(&self.table, &self.constants, options, moment);
        let mut filter = self.filter.iter().map(|conjunct| translator.computed(conjunct)).collect::<Result<Vec<_>, _>>()?;
        // Which rows dynamic filters leave depends on when they are asked: nothing to compare.
        if moment == Moment::Run && !options.verify {
            for conjunct in self.current_filters(options) {
                filter.push(translator.computed(&conjunct)?);
            }
        }
        let output = self.lower_output(&mut translator)?;
        let columns = translator.into_used();
        let fields = columns.iter().map(|index| column(&self.table.fields()[*index])).collect();
        Ok(Lowered { fragment: Fragment { columns: fields, filter, output }, columns })
    }

    fn lower_output(&self, translator: &mut Translator<'_>) -> Result<Output, Reason> {
        let mut named = |column: &ProjectionExpr| {
            Ok::<_, Reason>(Named { name: column.alias.clone(), expr: translator.passed(&column.expr)? })
        };
        match &self.output {
            ShapeOutput::Project(columns) => Ok(Output::Project(columns.iter().map(named).collect::<Result<_, _>>()?)),
            ShapeOutput::Aggregate { keys, states } => {
                let keys = keys.iter().map(&mut named).collect::<Result<_, _>>()?;
                let aggregates = states.iter().map(|state| state.lower(translator)).collect::<Result<_, _>>()?;
                Ok(Output::Aggregate { keys, aggregates })
            }
        }
    }

    /// What the dynamic filters say now, as far as it can be translated.
    pub(crate) fn current_filters(&self, options: &NearsideOptions) -> Vec<Arc<dyn PhysicalExpr>> {
        let translates = |expr: &Arc<dyn PhysicalExpr>| {
            Translator::new(&self.table, &self.constants, options, Moment::Run).computed(expr).is_ok()
        };
        let current = self.optional.iter().filter_map(|filter| match filter.downcast_ref::<DynamicFilterPhysicalExpr>() {
            Some(dynamic) => dynamic.current().ok(),
            None => Some(Arc::clone(filter)),
        });
        current.flat_map(|filter| weaker(&filter, &translates)).take(OPTIONAL_CONJUNCTS_MAX).collect()
    }
}

impl AggregateState {
    fn lower(&self, translator: &mut Translator<'_>) -> Result<Aggregate, Reason> {
        let mut part = |expr: &Option<Arc<dyn PhysicalExpr>>| expr.as_ref().map(|expr| translator.computed(expr)).transpose();
        Ok(Aggregate {
            name: self.field.name().clone(),
            function: self.function,
            argument: part(&self.argument)?,
            filter: part(&self.filter)?,
            value_type: self.value_type,
        })
    }
}

/// Expressions that all hold.
type Conjuncts = Vec<Arc<dyn PhysicalExpr>>;

/// Conjuncts of a scan's or filter's predicate: those that must hold, and those that are dynamic.
pub(crate) fn conjuncts(predicate: &Arc<dyn PhysicalExpr>) -> (Conjuncts, Conjuncts) {
    let all = split_conjunction(predicate).into_iter().cloned();
    let (dynamic, fixed): (Vec<_>, Vec<_>) = all.partition(|conjunct| conjunct.is::<DynamicFilterPhysicalExpr>());
    (fixed, dynamic)
}

/// Whether a part of the expression is such.
pub(crate) fn contains(expr: &Arc<dyn PhysicalExpr>, such: &dyn Fn(&Arc<dyn PhysicalExpr>) -> bool) -> bool {
    such(expr) || expr.children().into_iter().any(|child| contains(child, such))
}

/// All columns of a schema, as a projection that changes nothing.
pub(crate) fn all_columns(schema: &SchemaRef) -> Vec<ProjectionExpr> {
    let column =
        |(index, field): (usize, &FieldRef)| ProjectionExpr::new(Arc::new(Column::new(field.name(), index)), field.name());
    schema.fields().iter().enumerate().map(column).collect()
}
