//! What was promised, each figure with its bound.

use std::fmt;

use super::options::Memory;
use super::report::{Record, StepFigures, geometric_mean};

/// The step of most bounds.
const Q6: &str = "Q6";
const OURS: &str = "ours";
const UNCHECKED: &str = "ours unchecked";
const PLANNED: &str = "planned with helpers";
const RUST: &str = "rust, native";
const ARROW: &str = "arrow, native";
const RBPF: &str = "rbpf";
const SOLANA: &str = "solana";

/// Milliseconds to compile the program of Q6.
const COMPILE_MS: f64 = 0.3;

/// A figure and what was promised of it.
#[derive(Debug)]
pub(super) struct Bound {
    what: String,
    /// `None` if it was not measured.
    value: Option<f64>,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    /// Whether it holds; `None` if it was not measured.
    pub(super) fn holds(&self) -> Option<bool> {
        self.value.map(|value| match self.limit {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.holds() {
            Some(true) => "holds ",
            Some(false) => "MISSED",
            None => "—     ",
        };
        let value = self.value.map_or_else(|| "—".to_owned(), |value| format!("{value:.3}"));
        let limit = match self.limit {
            Limit::AtMost(limit) => format!("at most {limit}"),
            Limit::AtLeast(limit) => format!("at least {limit}"),
        };
        write!(f, "{verdict} {value:>7}, {limit:<13} {}", self.what)
    }
}

/// Every bound.
pub(super) fn bounds(record: &Record) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let mut add = |what: String, value: Option<f64>, limit: Limit| bounds.push(Bound { what, value, limit });
    let q6 = |memory: Memory| record.over(memory).find(|step| step.step == Q6);
    let ratio = |memory: Memory, of: &str, to: &str| q6(memory).and_then(|step| step.ratio(of, to));
    for (memory, limit) in [(Memory::L2, 1.25), (Memory::Dram, 1.08)] {
        let what = format!("Q6 in {memory}: byte code with cage and fuel over the same without");
        add(what, ratio(memory, OURS, UNCHECKED), Limit::AtMost(limit));
    }
    for memory in [Memory::L2, Memory::Dram] {
        let what = format!("Q6 in {memory}: with vector helpers over Rust, vectorised for this processor");
        add(what, ratio(memory, PLANNED, RUST), Limit::AtMost(1.2));
    }
    let what = "Q6 in L2: arrow-rs built for this processor over ours with vector helpers";
    add(what.into(), ratio(Memory::L2, ARROW, PLANNED), Limit::AtLeast(2.0));
    for memory in [Memory::L2, Memory::Dram] {
        let steps: Vec<&StepFigures> = record.over(memory).collect();
        let solana = ratios(&steps, SOLANA, OURS);
        let least = solana.iter().flatten().copied().reduce(f64::min);
        add(
            format!("{memory}: solana-sbpf over ours, geometric mean"),
            solana.as_deref().and_then(geometric_mean),
            Limit::AtLeast(2.3),
        );
        add(format!("{memory}: solana-sbpf over ours, least"), least, Limit::AtLeast(1.5));
        let rbpf = ratios(&steps, OURS, RBPF);
        let most = rbpf.iter().flatten().copied().reduce(f64::max);
        add(
            format!("{memory}: ours over rbpf's unchecked JIT, geometric mean"),
            rbpf.as_deref().and_then(geometric_mean),
            Limit::AtMost(1.0),
        );
        add(format!("{memory}: ours over rbpf's unchecked JIT, most"), most, Limit::AtMost(1.3));
    }
    let compiled = record.compilations.iter().find(|compilation| compilation.machine == OURS);
    add("compiling Q6's byte code (ms)".into(), compiled.map(|compilation| compilation.ns / 1e6), Limit::AtMost(COMPILE_MS));
    bounds
}

/// Of all steps; `None` if one has no figure, or there are none.
fn ratios(steps: &[&StepFigures], of: &str, to: &str) -> Option<Vec<f64>> {
    let ratios: Option<Vec<f64>> = steps.iter().map(|step| step.ratio(of, to)).collect();
    ratios.filter(|ratios| !ratios.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::build::Build;
    use super::super::report::tests::record;
    use super::*;

    /// Each bound looks at the figures it names, and at nothing if one of them is missing.
    #[test]
    fn bounds_hold_or_not() {
        let machines = [
            ("ours", Build::Any, 1.1),
            ("ours unchecked", Build::Any, 1.0),
            ("planned with helpers", Build::Any, 0.3),
            ("rust", Build::Native, 0.2),
            ("arrow", Build::Native, 0.9),
            ("solana", Build::Any, 2.2),
        ];
        let bounds = bounds(&record("Q6", &machines));
        let verdicts: Vec<Option<bool>> = bounds.iter().map(Bound::holds).collect();
        let (yes, no) = (Some(true), Some(false));
        let by_memory = [no, yes, None, None];
        let expected = [&[yes, no, no, no, yes][..], &by_memory, &by_memory, &[yes]].concat();
        assert_eq!(verdicts, expected, "{bounds:#?}");
        assert_eq!(
            bounds[1].to_string(),
            "MISSED   1.100, at most 1.08  Q6 in DRAM: byte code with cage and fuel over the same without"
        );
    }
}
