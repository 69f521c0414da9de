//! Up the chain, as far as a fragment goes.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::conjunction;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::super::shape::{Shape, ShapeOutput, conjuncts};
use super::{Chain, aggregate, over, round_robin};
use crate::config::NearsideOptions;
use crate::offload::Stayed;
use crate::reason::Reason;

/// Whether a program can be made of a shape; the reason if not.
pub(crate) type Supports<'a> = &'a dyn Fn(&Shape) -> Result<(), Reason>;

/// How far a fragment reaches up a chain.
pub(crate) struct Climb {
    /// What is pushed.
    pub shape: Shape,
    /// The plan that computes the same: without repartitions.
    pub plan: Arc<dyn ExecutionPlan>,
    /// Partitions that a repartition inside of it made, if there was one.
    pub repartition: Option<usize>,
    /// Operators that stay above, lowest first; their inputs are to be replaced.
    pub above: Vec<Arc<dyn ExecutionPlan>>,
    /// What stayed, and why.
    pub stayed: Vec<Stayed>,
}

impl Climb {
    /// From the scan, which must be supported, up to the highest operator that is.
    pub(crate) fn new(chain: &Chain, scan: Shape, options: &NearsideOptions, supports: Supports<'_>) -> Result<Self> {
        let mut climb =
            Self { shape: scan, plan: Arc::clone(chain.scan()), repartition: None, above: Vec::new(), stayed: Vec::new() };
        let mut pending: Vec<Arc<dyn ExecutionPlan>> = chain.nodes[1..].iter().rev().cloned().collect();
        // Repartitions are only inside if something above them is; `skipped` are those since the last accepted operator.
        let mut skipped = Vec::new();
        while let Some(node) = pending.pop() {
            if round_robin(&node).is_some() || node.is::<CooperativeExec>() {
                skipped.push(node);
                continue;
            }
            match climb.step(&node, options, supports)? {
                Step::Accepted { shape, plan, rest } => {
                    climb.repartition = skipped.iter().rev().find_map(round_robin).or(climb.repartition);
                    skipped.clear();
                    (climb.shape, climb.plan) = (shape, plan);
                    if let Some(rest) = rest {
                        climb.above.push(rest);
                        break;
                    }
                }
                Step::Refused(reason) => {
                    climb.stayed.push((node.name().to_owned(), reason));
                    skipped.push(node);
                    break;
                }
            }
        }
        // `rest` of a split operator comes first, then what was skipped or never looked at.
        climb.above.extend(skipped);
        climb.above.extend(pending.into_iter().rev());
        Ok(climb)
    }

    /// Replaces what was pushed by `offloaded`, under the operators that stay.
    pub(crate) fn rebuild(&self, offloaded: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        self.above.iter().try_fold(offloaded, |input, node| over(node, input))
    }

    fn step(&mut self, node: &Arc<dyn ExecutionPlan>, options: &NearsideOptions, supports: Supports<'_>) -> Result<Step> {
        if let Some(filter) = node.downcast_ref::<FilterExec>() {
            return self.filter(node, filter, supports);
        }
        if let Some(fused) = node.downcast_ref::<AggregateExec>() {
            return self.aggregate(node, fused, options, supports);
        }
        let shape = if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            project(&self.shape, projection.expr())
        } else if let Some(limit) = node.downcast_ref::<LocalLimitExec>() {
            Ok(with_fetch(self.shape.clone(), Some(limit.fetch())))
        } else {
            Err(Reason::Operator { operator: node.name().to_owned() })
        };
        self.accept(node, shape, supports)
    }

    fn accept(&self, node: &Arc<dyn ExecutionPlan>, shape: Result<Shape, Reason>, supports: Supports<'_>) -> Result<Step> {
        match shape.and_then(|shape| supports(&shape).map(|()| shape)) {
            Ok(shape) => Ok(Step::Accepted { shape, plan: over(node, Arc::clone(&self.plan))?, rest: None }),
            Err(reason) => Ok(Step::Refused(reason)),
        }
    }

    fn aggregate(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        fused: &AggregateExec,
        options: &NearsideOptions,
        supports: Supports<'_>,
    ) -> Result<Step> {
        if self.shape.fetch.is_some() {
            return Ok(Step::Refused(Reason::Scan("a limit below")));
        }
        let shape = aggregate::aggregate(&self.shape, fused, options);
        match aggregate::split(fused)? {
            None => self.accept(node, shape, supports),
            Some((partial, whole)) => Ok(match self.accept(&partial, shape, supports)? {
                Step::Accepted { shape, plan, .. } => Step::Accepted { shape, plan, rest: Some(whole) },
                refused => refused,
            }),
        }
    }

    /// All of the filter, or those conjuncts that can be pushed, with the rest in a filter above.
    fn filter(&mut self, node: &Arc<dyn ExecutionPlan>, filter: &FilterExec, supports: Supports<'_>) -> Result<Step> {
        if self.shape.fetch.is_some() {
            return Ok(Step::Refused(Reason::Scan("a limit below")));
        }
        let (fixed, dynamic) = conjuncts(filter.predicate());
        let mut pushed = Vec::new();
        let mut kept = Vec::new();
        for conjunct in fixed {
            match self.shape.over_table(&conjunct).map(|expr| (supports(&only_filter(&self.shape, &expr)), expr)) {
                Some((Ok(()), expr)) => pushed.push((conjunct, expr)),
                Some((Err(reason), _)) => {
                    self.stayed.push((conjunct.to_string(), reason));
                    kept.push(conjunct);
                }
                None => kept.push(conjunct),
            }
        }
        if pushed.is_empty() && (!kept.is_empty() || dynamic.is_empty()) {
            return Ok(Step::Refused(Reason::Operator { operator: "this filter".into() }));
        }
        let mut shape = self.shape.clone();
        shape.filter.extend(pushed.iter().map(|(_, expr)| Arc::clone(expr)));
        shape.optional.extend(dynamic.iter().filter_map(|conjunct| self.shape.over_table(conjunct)));
        if kept.is_empty() {
            let shape = project_indices(shape, filter.projection().as_deref());
            return self.accept(node, Ok(with_fetch(shape, filter.fetch())), supports);
        }
        self.split_filter(shape, filter, pushed.into_iter().map(|(conjunct, _)| conjunct).collect(), kept, supports)
    }

    fn split_filter(
        &self,
        shape: Shape,
        filter: &FilterExec,
        pushed: Vec<Arc<dyn PhysicalExpr>>,
        kept: Vec<Arc<dyn PhysicalExpr>>,
        supports: Supports<'_>,
    ) -> Result<Step> {
        let lower = FilterExecBuilder::new(conjunction(pushed), Arc::clone(&self.plan))
            .with_default_selectivity(filter.default_selectivity())
            .with_batch_size(filter.batch_size())
            .build()?;
        let lower: Arc<dyn ExecutionPlan> = Arc::new(lower);
        let upper = FilterExecBuilder::from(filter).with_predicate(conjunction(kept)).build()?;
        Ok(match supports(&shape) {
            Ok(()) => Step::Accepted { shape, plan: lower, rest: Some(Arc::new(upper)) },
            Err(reason) => Step::Refused(reason),
        })
    }
}

enum Step {
    /// The operator, or the lower part of it, is in; `rest` is its upper part.
    Accepted {
        shape: Shape,
        plan: Arc<dyn ExecutionPlan>,
        rest: Option<Arc<dyn ExecutionPlan>>,
    },
    Refused(Reason),
}

/// The shape under a projection, projected.
fn project(shape: &Shape, columns: &[ProjectionExpr]) -> Result<Shape, Reason> {
    let column = |column: &ProjectionExpr| {
        let expr = shape.over_table(&column.expr);
        let expr = expr.ok_or_else(|| Reason::Operator { operator: "projection over an aggregate".into() })?;
        Ok::<_, Reason>(ProjectionExpr::new(expr, column.alias.clone()))
    };
    let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
    Ok(Shape { output: ShapeOutput::Project(columns), ..shape.clone() })
}

fn project_indices(mut shape: Shape, indices: Option<&[usize]>) -> Shape {
    if let (ShapeOutput::Project(columns), Some(indices)) = (&mut shape.output, indices) {
        *columns = indices.iter().map(|index| columns[*index].clone()).collect();
    }
    shape
}

fn with_fetch(mut shape: Shape, fetch: Option<usize>) -> Shape {
    shape.fetch = shape.fetch.into_iter().chain(fetch).min();
    shape
}

/// A shape that does nothing but this conjunct: to ask whether it is supported.
fn only_filter(shape: &Shape, conjunct: &Arc<dyn PhysicalExpr>) -> Shape {
    Shape { filter: vec![Arc::clone(conjunct)], output: ShapeOutput::Project(Vec::new()), ..shape.clone() }
}
