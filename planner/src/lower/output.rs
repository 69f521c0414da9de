//! The output of a fragment: `main`, and what the manifest says of the columns that leave the device.

use nearside_programs::ValueType;
use nearside_programs::abi::helper::{F64_ADD, GROUP_IDS, TEXT_MAX, TEXT_MIN};
use nearside_programs::manifest::{EntryPoint, Output as ManifestOutput, OutputColumn, OutputSource, State, StateSource};

use super::aggregate::{self, Accumulation, Counted, Extreme, NonNull, Plan, Reduction};
use super::entry::{Context, Outline};
use super::node::{Known, Number, NumberKind, Reads, Truth};
use super::project::{self, Computed, ComputedValue};
use super::proof::Proof;
use super::resolve::{BitmapCall, Resolver};
use crate::check::TypeError;
use crate::fragment::{Aggregate, Column, Expr, Function, Named, Output, is_decimal, is_float};
use crate::refusal::Refusal;

impl Context<'_> {
    /// Writes `main`, unless every output is a plain column.
    pub(super) fn output(&mut self, output: &Output) -> Result<(Option<EntryPoint>, ManifestOutput), Refusal> {
        match output {
            Output::Project(outputs) => self.project(outputs),
            Output::Aggregate { keys, aggregates } => self.aggregate(keys, aggregates),
        }
    }

    fn project(&mut self, outputs: &[Named]) -> Result<(Option<EntryPoint>, ManifestOutput), Refusal> {
        let mut resolver = self.resolver();
        let mut computed = Vec::new();
        let columns = outputs
            .iter()
            .map(|output| output_column("an output column", output, &mut resolver, &mut computed))
            .collect::<Result<_, _>>()?;
        let bitmaps = resolver.bitmaps;
        if computed.is_empty() {
            return Ok((None, ManifestOutput::Project(columns)));
        }
        let (mut reads, mut proof) = (Reads::default(), Proof::default());
        computed.iter().for_each(|computed| computed.gather(&mut reads, &mut proof));
        let note = listed(outputs.iter().map(|output| output.expr.display(self.columns)));
        let outline = Outline { symbol: "main", note: &note, reads, bitmaps: &bitmaps, is_in_place: false, proof };
        let main = self.entry_point(outline, |body| project::lower(body, &computed))?;
        Ok((Some(main), ManifestOutput::Project(columns)))
    }

    fn aggregate(&mut self, keys: &[Named], aggregates: &[Aggregate]) -> Result<(Option<EntryPoint>, ManifestOutput), Refusal> {
        if !keys.is_empty() {
            self.capabilities.need(GROUP_IDS)?;
        }
        let resolver = self.resolver();
        let mut planner = Planner {
            resolver,
            plan: Plan {
                keys: Vec::new(),
                grouped: !keys.is_empty(),
                accumulations: Vec::new(),
                reductions: None,
                texts: Vec::new(),
            },
        };
        let key_columns: Vec<OutputColumn> = keys
            .iter()
            .map(|key| output_column("a group key", key, &mut planner.resolver, &mut planner.plan.keys))
            .collect::<Result<_, _>>()?;
        let states = aggregates.iter().map(|aggregate| planner.state(aggregate)).collect::<Result<_, _>>()?;
        let Planner { mut plan, resolver } = planner;
        let bitmaps: Vec<BitmapCall> = resolver.bitmaps;
        plan.reductions = aggregate::reductions(&plan.accumulations, plan.grouped, self.capabilities);
        let (reads, proof) = requirements(&plan, &key_columns);
        let note = listed(aggregates.iter().map(|aggregate| &aggregate.name));
        let outline = Outline { symbol: "main", note: &note, reads, bitmaps: &bitmaps, is_in_place: false, proof };
        let main = self.entry_point(outline, |body| aggregate::lower(body, &plan))?;
        let accumulators = plan.accumulations.iter().map(Accumulation::array).collect();
        Ok((Some(main), ManifestOutput::Aggregate { keys: key_columns, accumulators, states }))
    }
}

fn listed(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// A column of the result, its computation (if it takes one) added to `computed`.
fn output_column(
    place: &'static str,
    output: &Named,
    resolver: &mut Resolver<'_>,
    computed: &mut Vec<Computed>,
) -> Result<OutputColumn, Refusal> {
    let value_type = resolver.type_of(&output.expr)?;
    let nullable = output.expr.nullable(resolver.columns);
    let source = match &output.expr {
        Expr::Column(column) => OutputSource::Column(*column as u32),
        expr => {
            let value = match value_type {
                ValueType::Bool => ComputedValue::Truth(resolver.truth(expr)?),
                ValueType::Utf8 => return Err(Refusal::ComputedText { place }),
                _ => ComputedValue::Number(resolver.number(expr)?),
            };
            computed.push(Computed { value, nullable });
            OutputSource::Computed(computed.len() as u32 - 1)
        }
    };
    Ok(OutputColumn { name: output.name.clone(), source, value_type, nullable })
}

impl Computed {
    fn gather(&self, reads: &mut Reads, proof: &mut Proof) {
        match &self.value {
            ComputedValue::Number(number) => {
                reads.number(number);
                proof.number(number);
            }
            ComputedValue::Truth(truth) => {
                reads.truth(truth);
                proof.truth(truth);
            }
        }
    }
}

/// What `main` of an aggregate reads, and what its narrow version must prove.
fn requirements(plan: &Plan, keys: &[OutputColumn]) -> (Reads, Proof) {
    let (mut reads, mut proof) = (Reads::default(), Proof::default());
    plan.keys.iter().for_each(|key| key.gather(&mut reads, &mut proof));
    match &plan.reductions {
        Some(reductions) => reads.handles.extend(reductions.iter().flat_map(Reduction::columns)),
        None => plan.accumulations.iter().for_each(|accumulation| {
            accumulation.read(&mut reads);
            accumulation.prove(plan.grouped, &mut proof);
        }),
    }
    let key_columns = keys.iter().filter_map(|key| match key.source {
        OutputSource::Column(column) => Some(column),
        OutputSource::Computed(_) => None,
    });
    reads.handles.extend(key_columns.chain(plan.texts.iter().map(|(column, _)| *column)));
    (reads, proof)
}

/// Gathers what is accumulated, each thing once.
struct Planner<'a> {
    resolver: Resolver<'a>,
    plan: Plan,
}

impl Planner<'_> {
    fn state(&mut self, aggregate: &Aggregate) -> Result<State, Refusal> {
        let filter = aggregate.filter.as_ref().map(|filter| self.resolver.truth(filter)).transpose()?;
        let state = |source, seen| State { name: aggregate.name.clone(), value_type: aggregate.value_type, source, seen };
        if aggregate.function == Function::Count {
            let known = aggregate.argument.as_ref().map_or(Ok(NonNull::ALWAYS), |argument| self.known(argument))?;
            let counted = Counted { filter, known };
            let seen = if aggregate.count_may_be_null(self.plan.grouped) { self.seen_where(counted.clone()) } else { None };
            let count = self.accumulate(Accumulation::Count(counted));
            return Ok(state(StateSource::Accumulator(count), seen));
        }
        let argument = aggregate.argument.as_ref().ok_or(TypeError::Argument)?;
        if self.resolver.type_of(argument)? == ValueType::Utf8 {
            return self.text_state(aggregate, argument, filter.is_some());
        }
        let number = self.argument(aggregate, argument)?;
        let seen = self.seen(&number, filter.clone());
        let is_key = is_float(number.value_type) && aggregate.function != Function::Sum;
        let accumulation = match aggregate.function {
            Function::Min => Accumulation::Extreme { which: Extreme::Min, number, filter },
            Function::Max => Accumulation::Extreme { which: Extreme::Max, number, filter },
            Function::Count | Function::Sum => Accumulation::Sum { number, filter },
        };
        let index = self.accumulate(accumulation);
        Ok(state(if is_key { StateSource::TotalOrderKey(index) } else { StateSource::Accumulator(index) }, seen))
    }

    /// The argument of `SUM`, `MIN` or `MAX` as it is accumulated.
    fn argument(&mut self, aggregate: &Aggregate, argument: &Expr) -> Result<Number, Refusal> {
        let given = self.resolver.type_of(argument)?;
        if given == ValueType::Bool {
            let truth = self.resolver.truth(argument)?;
            return Ok(Number { kind: NumberKind::Truth(Box::new(truth)), value_type: given });
        }
        if aggregate.function != Function::Sum {
            return self.resolver.number(argument);
        }
        let number = self.resolver.number(argument)?;
        if aggregate.value_type == ValueType::Float64 {
            self.resolver.capabilities.need(F64_ADD)?;
        }
        if given == ValueType::Float32 {
            return self.resolver.widened(number);
        }
        debug_assert!(is_decimal(given) == is_decimal(aggregate.value_type));
        Ok(number)
    }

    /// `MIN` or `MAX` of text: a helper's state.
    fn text_state(&mut self, aggregate: &Aggregate, argument: &Expr, filtered: bool) -> Result<State, Refusal> {
        let operator = aggregate.function.name();
        let Expr::Column(column) = argument else {
            return Err(Refusal::ComputedText { place: "the argument of MIN or MAX" });
        };
        if filtered {
            // The helpers know the selection, not the aggregate's own filter.
            return Err(Refusal::Operator { operator: "MIN or MAX with FILTER", value_type: ValueType::Utf8 });
        }
        let helper = match aggregate.function {
            Function::Min => TEXT_MIN,
            Function::Max => TEXT_MAX,
            Function::Count | Function::Sum => return Err(Refusal::Operator { operator, value_type: ValueType::Utf8 }),
        };
        self.resolver.capabilities.need(helper)?;
        let known = self.known(argument)?;
        let seen = self.seen_where(Counted { filter: None, known });
        let text = (*column as u32, helper);
        let texts = &mut self.plan.texts;
        texts.push(text);
        let index = texts.len() as u32 - 1;
        Ok(State { name: aggregate.name.clone(), value_type: aggregate.value_type, source: StateSource::Text(index), seen })
    }

    /// The counter that tells whether anything was accumulated.
    fn seen(&mut self, number: &Number, filter: Option<Truth>) -> Option<u32> {
        let known = NonNull::of(number, self.resolver.columns);
        self.seen_where(Counted { filter, known })
    }

    fn seen_where(&mut self, counted: Counted) -> Option<u32> {
        // A group exists because a row of it was selected.
        let always = self.plan.grouped && counted.filter.is_none() && counted.known == NonNull::ALWAYS;
        (!always).then(|| self.accumulate(Accumulation::Count(counted)))
    }

    fn accumulate(&mut self, accumulation: Accumulation) -> u32 {
        let accumulations = &mut self.plan.accumulations;
        let index = accumulations.iter().position(|known| *known == accumulation).unwrap_or_else(|| {
            accumulations.push(accumulation);
            accumulations.len() - 1
        });
        index as u32
    }

    /// Where an argument is not NULL, computed if that may fail.
    fn known(&mut self, argument: &Expr) -> Result<NonNull, Refusal> {
        let columns: &[Column] = self.resolver.columns;
        Ok(match self.resolver.is_known(argument)? {
            Truth::IsKnown(Known::Column(column)) => NonNull::Columns([column].into()),
            Truth::IsKnown(Known::Number(number)) if !number.can_fail() => NonNull::of(&number, columns),
            Truth::Constant(Some(true)) => NonNull::ALWAYS,
            truth => NonNull::Computed(truth),
        })
    }
}
