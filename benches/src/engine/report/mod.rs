//! What the rounds came to.
//!
//! [`Record`] is all of it, and what is written as JSON; `table` is for a terminal, `plot` for a page.

mod plot;
mod table;

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::build::Build;
use super::options::Memory;
use crate::place::{Machine, today};

/// A run of the bench.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Of the start, UTC.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) steps: Vec<StepFigures>,
    /// Of the program of Q6, medians.
    pub(crate) compilations: Vec<Compilation>,
}

/// One step over columns from one place.
#[derive(Debug, Serialize)]
pub(crate) struct StepFigures {
    pub(crate) step: String,
    pub(crate) memory: Memory,
    pub(crate) rows: usize,
    /// Bytes of a row.
    pub(crate) row_len: usize,
    pub(crate) rounds: usize,
    pub(crate) machines: Vec<Figure>,
}

/// One machine.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) machine: String,
    pub(crate) build: Build,
    /// Nanoseconds a row: the median of what [`Self::processes`] took.
    pub(crate) ns: f64,
    /// By process, the least of its rounds: what else the processor does only disturbs. But where a process has its memory stays as it is, and some places are
    /// worse than others, so that one process does not speak for all.
    pub(crate) processes: Vec<f64>,
}

/// How long a compiler takes.
#[derive(Debug, Serialize)]
pub(crate) struct Compilation {
    pub(crate) machine: String,
    /// Nanoseconds.
    pub(crate) ns: f64,
}

impl Figure {
    pub(crate) fn new(machine: String, build: Build) -> Self {
        Self { machine, build, ns: f64::INFINITY, processes: Vec::new() }
    }

    /// Adds a process by its rounds.
    pub(crate) fn add(&mut self, rounds: impl IntoIterator<Item = f64>) {
        self.processes.push(rounds.into_iter().fold(f64::INFINITY, f64::min));
        let mut sorted = self.processes.clone();
        sorted.sort_by(f64::total_cmp);
        self.ns = f64::midpoint(sorted[sorted.len() / 2], sorted[(sorted.len() - 1) / 2]);
    }

    /// For people.
    pub(crate) fn title(&self) -> String {
        match self.build {
            Build::Any => self.machine.clone(),
            Build::Native => format!("{}, native", self.machine),
        }
    }
}

impl StepFigures {
    /// Nanoseconds a row of a machine, by its [title](Figure::title).
    pub(crate) fn ns(&self, title: &str) -> Option<f64> {
        self.machines.iter().find(|figure| figure.title() == title).map(|figure| figure.ns)
    }

    /// Adds what a process has measured of a machine.
    pub(crate) fn add(&mut self, machine: String, build: Build, rounds: Vec<f64>) {
        match self.machines.iter_mut().find(|figure| figure.machine == machine && figure.build == build) {
            Some(figure) => figure.add(rounds),
            None => {
                let mut figure = Figure::new(machine, build);
                figure.add(rounds);
                self.machines.push(figure);
            }
        }
    }

    /// How many times as long one machine takes as another.
    pub(crate) fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        Some(self.ns(of)? / self.ns(to)?)
    }
}

impl Record {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { date: today(), machine, steps: Vec::new(), compilations: Vec::new() }
    }

    /// The steps over columns from there.
    pub(crate) fn over(&self, memory: Memory) -> impl Iterator<Item = &StepFigures> {
        self.steps.iter().filter(move |step| step.memory == memory)
    }

    /// Writes JSON, plot and table as files named by date.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let path = |extension| folder.join(format!("{}-engine.{extension}", self.date));
        fs::write(path("json"), serde_json::to_string(self)? + "\n")?;
        fs::write(path("txt"), self.to_string())?;
        plot::write(self, &path("svg"))?;
        eprintln!("wrote {} and beside it .txt and .svg", path("json").display());
        Ok(())
    }
}

/// The geometric mean; `None` of nothing.
pub(crate) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (sum / ratios.len() as f64).exp())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record with one step over columns from each place, and these machines.
    pub(crate) fn record(step: &str, machines: &[(&str, Build, f64)]) -> Record {
        let machine = Machine { processor: "a processor".into(), kernel: "a kernel".into(), cores: 2, load: "0.00".into() };
        let mut record = Record::new(machine);
        for memory in [Memory::L2, Memory::Dram] {
            let mut figures = StepFigures { step: step.into(), memory, rows: 1, row_len: 1, rounds: 1, machines: Vec::new() };
            for (machine, build, ns) in machines {
                let mut figure = Figure::new((*machine).into(), *build);
                figure.add([*ns * 3.0, *ns * 2.0]);
                figure.add([*ns * 2.0, *ns]);
                figure.add([*ns / 2.0]);
                figures.machines.push(figure);
            }
            record.steps.push(figures);
        }
        record.compilations = vec![Compilation { machine: "ours".into(), ns: 250_000.0 }];
        record
    }

    /// The least round of a process counts, and the median of all processes; a machine is known by its build as well.
    #[test]
    fn figures_are_medians_of_the_least() {
        let record = record("Q6", &[("rust", Build::Any, 3.0), ("rust", Build::Native, 1.0)]);
        assert_eq!(record.steps[0].ns("rust"), Some(3.0));
        assert_eq!(record.steps[1].ratio("rust", "rust, native"), Some(3.0));
        assert_eq!(record.steps[0].ns("rbpf"), None);
    }

    /// Of reciprocals, it is 1.
    #[test]
    fn means() {
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[4.0, 0.25, 1.0]).unwrap() - 1.0).abs() < 1e-12);
    }

    /// The three files are there, and say the same.
    #[test]
    fn records_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let record = record("Q6", &[("ours", Build::Any, 1.5), ("rust", Build::Native, 0.25)]);
        record.write(folder.path()).unwrap();
        let read = |extension| fs::read_to_string(folder.path().join(format!("{}-engine.{extension}", record.date))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&read("json")).unwrap();
        assert_eq!(json["steps"][1]["machines"][0]["ns"], 1.5);
        assert!(read("txt").contains("1.50"), "{}", read("txt"));
        assert!(read("svg").contains("Q6"));
    }
}
