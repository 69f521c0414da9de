//! The figures for a terminal: ns a row, and how often that is ours; then what was promised.

use std::fmt;

use super::super::bounds::bounds;
use super::super::options::Memory;
use super::{Record, StepFigures, geometric_mean};

/// What others are compared with.
const OURS: &str = "ours";

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crate::place::Machine { processor, kernel, cores, load } = &self.machine;
        writeln!(f, "{}: {processor}, {cores} cores, Linux {kernel}, load {load}", self.date)?;
        for memory in [Memory::L2, Memory::Dram] {
            let steps: Vec<&StepFigures> = self.over(memory).collect();
            if !steps.is_empty() {
                times(f, &steps, memory)?;
                ratios(f, &steps, memory)?;
            }
        }
        if !self.compilations.is_empty() {
            writeln!(f, "\nQ6, from byte code to machine code (ms)")?;
            for compilation in &self.compilations {
                writeln!(f, "{:<26}{:>10.3}", compilation.machine, compilation.ns / 1e6)?;
            }
        }
        writeln!(f)?;
        bounds(self).iter().try_for_each(|bound| writeln!(f, "{bound}"))
    }
}

/// Every machine that has a figure, in the order of the first step that has it.
fn titles(steps: &[&StepFigures]) -> Vec<String> {
    let mut titles: Vec<String> = Vec::new();
    for figure in steps.iter().flat_map(|step| &step.machines) {
        if !titles.contains(&figure.title()) {
            titles.push(figure.title());
        }
    }
    titles
}

fn head(f: &mut fmt::Formatter<'_>, steps: &[&StepFigures], what: &str, last: &str) -> fmt::Result {
    writeln!(f, "\n{what}")?;
    write!(f, "{:<26}", "")?;
    for step in steps {
        write!(f, "{:>10}", step.step.split(' ').next().unwrap_or_default())?;
    }
    writeln!(f, "{last:>10}")
}

fn times(f: &mut fmt::Formatter<'_>, steps: &[&StepFigures], memory: Memory) -> fmt::Result {
    head(f, steps, &format!("columns in {memory}: ns a row"), "")?;
    for title in titles(steps) {
        write!(f, "{title:<26}")?;
        for step in steps {
            cell(f, step.ns(&title), 3)?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn ratios(f: &mut fmt::Formatter<'_>, steps: &[&StepFigures], memory: Memory) -> fmt::Result {
    head(f, steps, &format!("columns in {memory}: times ours"), "mean")?;
    for title in titles(steps) {
        write!(f, "{title:<26}")?;
        let ratios: Vec<Option<f64>> = steps.iter().map(|step| step.ratio(&title, OURS)).collect();
        ratios.iter().try_for_each(|ratio| cell(f, *ratio, 2))?;
        // A mean over some steps would be compared with one over all.
        let whole: Option<Vec<f64>> = ratios.into_iter().collect();
        cell(f, whole.and_then(|ratios| geometric_mean(&ratios)), 2)?;
        writeln!(f)?;
    }
    Ok(())
}

fn cell(f: &mut fmt::Formatter<'_>, value: Option<f64>, digits: usize) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{value:>10.digits$}"),
        None => write!(f, "{:>10}", "—"),
    }
}
