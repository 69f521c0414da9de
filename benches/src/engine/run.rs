//! Drives both builds, a round each in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::build::{Build, build};
use super::child::{Child, Reply, Request, unexpected};
use super::options::{Memory, Options};
use super::report::{Compilation, Figure, Record, StepFigures};
use crate::place::{self, Machine};

/// Rounds of a step at least.
const ROUNDS_MIN: usize = 3;

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
    let children = programs.iter().zip(builds).map(|(program, build)| Ok((build, Child::start(program)?)));
    let mut children = children.collect::<Result<Vec<_>>>()?;
    let steps = steps(&mut children[0].1)?;
    for (index, name) in steps.iter().enumerate().filter(|(_, name)| options.wants(name)) {
        for &memory in &options.memory {
            eprintln!("{name}, {memory}");
            record.steps.push(measure(&mut children, (index, name), memory, options)?);
        }
        if name == COMPILED {
            record.compilations = compile(&mut children[0].1, index)?;
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
    children: &mut [(Build, Child)],
    (index, name): (usize, &str),
    memory: Memory,
    options: &Options,
) -> Result<StepFigures> {
    let mut figures = StepFigures { step: name.to_owned(), memory, rows: 0, row_len: 0, rounds: 0, machines: Vec::new() };
    let mut answers = Vec::new();
    for (build, child) in &mut *children {
        let sandboxes = *build == Build::Any;
        let request = Request::Prepare { step: index, bytes: memory.bytes(), sandboxes, interpreters: memory == Memory::L2 };
        match child.ask(request)? {
            Reply::Prepared { machines, rows, row_len, answer } => {
                answers.push(answer);
                (figures.rows, figures.row_len) = (rows, row_len);
                figures.machines.extend(machines.into_iter().map(|machine| Figure::new(machine, *build)));
            }
            other => return unexpected(&other),
        }
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{name}: the builds do not agree");
    let seconds = options.seconds * if memory == Memory::Dram { 3.0 } else { 1.0 };
    let (begin, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    while figures.rounds < ROUNDS_MIN || begin.elapsed() < time {
        figures.rounds += 1;
        for (build, child) in &mut *children {
            let mut machines = figures.machines.iter_mut().filter(|figure| figure.build == *build);
            match child.ask(Request::Round)? {
                Reply::Round(times) => times.iter().for_each(|time| {
                    if let Some(figure) = machines.next() {
                        figure.add(*time);
                    }
                }),
                other => return unexpected(&other),
            }
        }
    }
    Ok(figures)
}
