//! What the parent and its two builds say to each other: a line of JSON each way, by standard input and output.
//!
//! The parent asks one of them at a time, so that only one runs. Its side is `benches/src/engine/child.rs`.

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::compile;
use crate::data::Data;
use crate::machine::{Answer, Machine, Named, Which, machines};
use crate::steps::{Step, steps};

/// A round runs a program until this has passed: shorter than a scheduler's slice.
const ROUND: Duration = Duration::from_millis(2);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// The names of all steps.
    Steps,
    /// Makes a step's data, so many bytes, and its machines, Rust and arrow-rs alone or sandboxes and interpreters as well; all must answer the same.
    Prepare { step: usize, bytes: usize, sandboxes: bool, interpreters: bool },
    /// Runs each machine for a while.
    Round,
    /// Compiles a step's program by every compiler.
    Compile { step: usize },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Steps(Vec<&'static str>),
    Prepared {
        machines: Vec<&'static str>,
        rows: usize,
        row_len: usize,
        /// Of all machines: r0, and a sum over the output.
        answer: (u64, u64),
    },
    /// Nanoseconds a row, by machine.
    Round(Vec<f64>),
    /// Nanoseconds, by machine.
    Compiled(Vec<(&'static str, f64)>),
}

/// What [`Request::Prepare`] made.
struct Prepared {
    rows: usize,
    machines: Vec<Named>,
}

/// Answers until the input ends.
pub(crate) fn serve() -> Result<()> {
    let mut prepared = None;
    for line in stdin().lock().lines() {
        let reply = answer(serde_json::from_str(&line?)?, &mut prepared)?;
        writeln!(stdout(), "{}", serde_json::to_string(&reply)?)?;
    }
    Ok(())
}

fn answer(request: Request, prepared: &mut Option<Prepared>) -> Result<Reply> {
    Ok(match request {
        Request::Steps => Reply::Steps(steps().iter().map(|step| step.name).collect()),
        Request::Prepare { step, bytes, sandboxes, interpreters } => {
            // First, or memory would be needed twice.
            *prepared = None;
            let data = Arc::new(Data::new(self::step(step)?, bytes)?);
            let mut machines = machines(&data, Which { sandboxes, interpreters })?;
            let answer = agreed(&mut machines)?;
            let names = machines.iter().map(|named| named.name).collect();
            let rows = data.places.rows;
            *prepared = Some(Prepared { rows, machines });
            Reply::Prepared { machines: names, rows, row_len: data.step.row_len(), answer: (answer.value, sum(&answer.output)) }
        }
        Request::Round => {
            let Prepared { rows, machines } = prepared.as_mut().context("nothing is prepared")?;
            let times = machines.iter_mut().map(|named| Ok(round(named.machine.as_mut())? / *rows as f64));
            Reply::Round(times.collect::<Result<_>>()?)
        }
        Request::Compile { step } => Reply::Compiled(compile::measure(self::step(step)?)?),
    })
}

fn step(index: usize) -> Result<&'static Step> {
    steps().get(index).context("there is no such step")
}

/// What all machines answer.
fn agreed(machines: &mut [Named]) -> Result<Answer> {
    let (first, others) = machines.split_first_mut().context("there are no machines")?;
    let expected = first.answer()?;
    for named in others {
        let answer = named.answer()?;
        let names = (named.name, first.name);
        ensure!(
            answer == expected,
            "{} and {} answer {:#x} and {:#x}, or wrote other bytes",
            names.0,
            names.1,
            answer.value,
            expected.value
        );
    }
    Ok(expected)
}

/// Nanoseconds a run.
fn round(machine: &mut dyn Machine) -> Result<f64> {
    let begin = Instant::now();
    let mut runs = 0_u32;
    while runs == 0 || begin.elapsed() < ROUND {
        std::hint::black_box(machine.run()?);
        runs += 1;
    }
    Ok(begin.elapsed().as_nanos() as f64 / f64::from(runs))
}

/// Tells outputs apart.
fn sum(output: &[u8]) -> u64 {
    output.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
