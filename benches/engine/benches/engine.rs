//! What does a row cost in our engine, and what in others, on the same byte code?
//!
//! Every machine runs every workload in one process, in turn, round after round; the least of the rounds counts. All must return the same.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nearside_engine_bench::{Machine, Table, Workload, machines, workloads};

/// Time for the rounds of a workload, and their least number; what else the processor does disturbs some of them.
const TIME: Duration = Duration::from_secs(10);
const ROUNDS_MIN: usize = 3;
/// A round runs a program until this has passed: shorter than a scheduler's slice.
const ROUND: Duration = Duration::from_millis(2);

fn main() -> Result<()> {
    let mut table = Table::default();
    for workload in workloads() {
        table.add(workload.name, measure(&workload)?);
    }
    println!("{table}");
    Ok(())
}

fn measure(workload: &Workload) -> Result<Vec<(&'static str, f64)>> {
    let mut machines = machines(workload)?;
    let mut results = Vec::new();
    for (_, machine) in &mut machines {
        results.push(machine.run()?);
    }
    ensure!(results.windows(2).all(|pair| pair[0] == pair[1]), "{}: the machines do not agree: {results:?}", workload.name);
    let mut least = vec![f64::MAX; machines.len()];
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || begin.elapsed() < TIME {
        rounds += 1;
        for ((_, machine), least) in machines.iter_mut().zip(&mut least) {
            *least = least.min(round(machine.as_mut())?);
        }
    }
    Ok(machines.iter().zip(least).map(|((name, _), ns)| (*name, ns / workload.rows as f64)).collect())
}

/// ns a run.
fn round(machine: &mut dyn Machine) -> Result<f64> {
    let begin = Instant::now();
    let mut runs = 0_u32;
    while runs == 0 || begin.elapsed() < ROUND {
        std::hint::black_box(machine.run()?);
        runs += 1;
    }
    Ok(begin.elapsed().as_nanos() as f64 / f64::from(runs))
}
