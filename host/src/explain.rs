//! What `EXPLAIN` says of an offloaded fragment.

use std::fmt;

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use nearside_device::ledger::Work;
use nearside_planner::fragment::Function;
use nearside_programs::Object;
use nearside_programs::abi::helper::Kind;

use crate::offload::{Offload, Stayed};
use crate::reason::Reason;
use crate::shape::{AggregateState, ShapeOutput};

/// The one line of `EXPLAIN`: device, program, what was pushed, what stayed and why.
pub(crate) fn line(offload: &Offload, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "OffloadExec: device={}, program={}", offload.connection.url, offload.program.short_digest())?;
    for (name, text) in facts(offload) {
        write!(f, ", {name}={text}")?;
    }
    Ok(())
}

/// The one line of a scan of which nothing is offloaded: why, and what of the operators above could not have been anyway.
pub(crate) fn declined(reason: &Reason, stayed: &[Stayed], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "OffloadExec: declined, reason={reason}")?;
    match stayed {
        [] => Ok(()),
        _ => write!(f, ", stayed=[{}]", stayed.iter().map(self::stayed).collect::<Vec<_>>().join(", ")),
    }
}

/// The same for `EXPLAIN FORMAT TREE`.
pub(crate) fn declined_tree(reason: &Reason, stayed: &[Stayed], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "declined: {reason}")?;
    stayed.iter().try_for_each(|stayed| writeln!(f, "stayed: {}", self::stayed(stayed)))
}

fn stayed((what, why): &Stayed) -> String {
    format!("{what}: {why}")
}

/// The box of `EXPLAIN FORMAT TREE`.
pub(crate) fn tree(offload: &Offload, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "device={}", offload.connection.url)?;
    writeln!(f, "program={}", offload.program.short_digest())?;
    facts(offload).into_iter().try_for_each(|(name, text)| writeln!(f, "{name}={text}"))
}

fn facts(offload: &Offload) -> Vec<(&'static str, String)> {
    let shape = &offload.shape;
    let mut facts = Vec::new();
    let mut add = |name, texts: Vec<String>| {
        if !texts.is_empty() {
            facts.push((name, format!("[{}]", texts.join(", "))));
        }
    };
    add("filter", shape.filter.iter().map(text).collect());
    add("dynamic", shape.optional.iter().map(text).collect());
    match &shape.output {
        ShapeOutput::Project(columns) => add("projection", columns.iter().map(named).collect()),
        ShapeOutput::Aggregate { keys, states } => {
            add("keys", keys.iter().map(named).collect());
            add("aggregates", states.iter().map(state).collect());
        }
    }
    add("float_sum", order_dependent(offload));
    add("stayed", offload.stayed.iter().map(stayed).collect());
    if let Some(rows) = shape.fetch {
        facts.push(("fetch", rows.to_string()));
    }
    if offload.ordered {
        facts.push(("ordered", "true".to_owned()));
    }
    facts
}

/// Sums whose last digits depend on the order of batches, here as in DataFusion.
fn order_dependent(offload: &Offload) -> Vec<String> {
    let ShapeOutput::Aggregate { states, .. } = &offload.shape.output else { return Vec::new() };
    let depends = |state: &&AggregateState| state.function == Function::Sum && state.field.data_type().is_floating();
    states.iter().filter(depends).map(|state| format!("{} depends on the order of batches", state.field.name())).collect()
}

fn text(expr: &std::sync::Arc<dyn PhysicalExpr>) -> String {
    expr.to_string()
}

fn named(column: &ProjectionExpr) -> String {
    match column.expr.downcast_ref::<Column>() {
        Some(plain) if plain.name() == column.alias => plain.name().to_owned(),
        Some(plain) => format!("{} as {}", plain.name(), column.alias),
        None => format!("{} as {}", column.expr, column.alias),
    }
}

fn state(state: &AggregateState) -> String {
    let function = match state.function {
        Function::Count => "count",
        Function::Sum => "sum",
        Function::Min => "min",
        Function::Max => "max",
    };
    let argument = state.argument.as_ref().map_or_else(|| "*".to_owned(), text);
    let filter = state.filter.as_ref().map(|filter| format!(" filter (where {filter})")).unwrap_or_default();
    format!("{function}({argument}){filter}")
}

/// A line for each entry point: by which vector helpers, or by byte code alone, it does what.
fn entry_points(object: &Object, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(manifest) = &object.manifest else { return Ok(()) };
    for entry in manifest.selects.iter().chain(&manifest.main) {
        let Some(function) = object.function(&entry.general) else { continue };
        let helpers = object.helpers_of(function).into_iter().filter(|helper| helper.kind == Kind::Vector);
        let helpers: Vec<_> = helpers.map(|helper| helper.name).collect();
        let means = if helpers.is_empty() { "byte code".to_owned() } else { helpers.join(", ") };
        let what = manifest.notes.get(&function.start).map_or("", |note| note.split("; ").next().unwrap_or_default());
        write!(f, "\n      {} by {means}: {what}", entry.general)?;
    }
    Ok(())
}

/// `EXPLAIN VERBOSE`: the fragment and its program with column names; after `EXPLAIN ANALYZE VERBOSE` how often each block ran.
pub(crate) fn disassembly(offload: &Offload, work: &Work, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let program = &offload.program;
    write!(f, "\n      fragment: {}", program.fragment)?;
    entry_points(&program.object, f)?;
    for line in program.object.disassemble().with_comments().to_string().lines() {
        write!(f, "\n      {line}")?;
    }
    let executed: u64 = work.blocks.iter().map(|(_, executions, instructions)| executions * u64::from(*instructions)).sum();
    if executed > 0 {
        write!(f, "\n      instructions executed: {executed}")?;
    }
    for (slot, executions, instructions) in &work.blocks {
        write!(f, "\n      block at {slot}: {executions} executions of {instructions} instructions")?;
    }
    // DataFusion appends the metrics to the last line.
    f.write_str("\n      end of program")
}
