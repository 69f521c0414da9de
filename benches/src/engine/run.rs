//! Drives both builds, a round each in turn.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::build::{Build, build};
use super::child::{Child, Reply, Request, unexpected};
use super::options::{Memory, Options};
use super::report::{Compilation, Record, StepFigures};
use crate::place::{self, Machine};

/// Rounds of a process at least.
const ROUNDS_MIN: usize = 1;

/// The step whose compile time is promised.
const COMPILED: &str = "Q6";

/// Runs the bench.
///
/// # Errors
/// Whatever kept it from its end; machines that answer differently.
pub(super) fn run(options: &Options, scratch: &Path) -> Result<()> {
    let builds = [Build::Any, Build::Native];
    let programs = builds.map(|which| build(which, !options.without_peers, scratch));
    let programs = programs.into_iter().collect::<Result<Vec<_>>>()?;
    if options.build_only {
        return Ok(());
    }
    let mut record = Record::new(Machine::this()?);
    // Only one of all processes works at a time, always on the same core.
    place::pin(place::cores()?.pop().context("no core")?)?;
    let programs: Vec<(Build, PathBuf)> = builds.into_iter().zip(programs).collect();
    let mut child = Child::start(&programs[0].1)?;
    let steps = steps(&mut child)?;
    for (index, name) in steps.iter().enumerate().filter(|(_, name)| options.wants(name)) {
        for &memory in &options.memory {
            eprintln!("{name}, {memory}");
            record.steps.push(measure(&programs, (index, name), memory, options)?);
        }
        if name == COMPILED {
            record.compilations = compile(&mut child, index)?;
        }
    }
    print!("{record}");
    if let Some(folder) = options.record_folder() {
        record.write(&folder).with_context(|| format!("writing to {}", folder.display()))?;
    }
    Ok(())
}

fn steps(child: &mut Child) -> Result<Vec<String>> {
    match child.ask(Request::Steps)? {
        Reply::Steps(names) => Ok(names),
        other => unexpected(&other),
    }
}

fn compile(child: &mut Child, step: usize) -> Result<Vec<Compilation>> {
    match child.ask(Request::Compile { step })? {
        Reply::Compiled(times) => Ok(times.into_iter().map(|(machine, ns)| Compilation { machine, ns }).collect()),
        other => unexpected(&other),
    }
}

fn measure(
    programs: &[(Build, PathBuf)],
    (index, name): (usize, &str),
    memory: Memory,
    options: &Options,
) -> Result<StepFigures> {
    let mut figures = StepFigures { step: name.to_owned(), memory, rows: 0, row_len: 0, rounds: 0, machines: Vec::new() };
    for _ in 0..options.processes.get() {
        measure_once(programs, index, options, &mut figures)?;
    }
    Ok(figures)
}

/// One process of each build, a round each in turn.
fn measure_once(programs: &[(Build, PathBuf)], index: usize, options: &Options, figures: &mut StepFigures) -> Result<()> {
    let memory = figures.memory;
    let mut answers = Vec::new();
    let mut measured = Vec::new();
    for (build, program) in programs {
        let mut child = Child::start(program)?;
        let sandboxes = *build == Build::Any;
        let request = Request::Prepare { step: index, bytes: memory.bytes(), sandboxes, interpreters: memory == Memory::L2 };
        match child.ask(request)? {
            Reply::Prepared { machines, rows, row_len, answer } => {
                answers.push(answer);
                (figures.rows, figures.row_len) = (rows, row_len);
                let rounds = vec![Vec::new(); machines.len()];
                measured.push((*build, child, machines, rounds));
            }
            other => return unexpected(&other),
        }
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{}: the builds do not agree", figures.step);
    let seconds = options.seconds * if memory == Memory::Dram { 3.0 } else { 1.0 };
    let (begin, time) = (Instant::now(), Duration::from_secs_f64(seconds / options.processes.get() as f64));
    let mut count = 0;
    while count < ROUNDS_MIN || begin.elapsed() < time {
        count += 1;
        for (_, child, _, rounds) in &mut measured {
            match child.ask(Request::Round)? {
                Reply::Round(times) => rounds.iter_mut().zip(times).for_each(|(rounds, time)| rounds.push(time)),
                other => return unexpected(&other),
            }
        }
    }
    figures.rounds += count;
    for (build, _, machines, rounds) in measured {
        machines.into_iter().zip(rounds).for_each(|(machine, rounds)| figures.add(machine, build, rounds));
    }
    Ok(())
}
