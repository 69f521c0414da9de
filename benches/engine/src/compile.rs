//! How long it takes to compile a step's program: from byte code to something that runs.

use std::time::Instant;

use anyhow::{Result, ensure};
use nearside_engine::{Backend, Code, Module};
use nearside_programs::manifest::Target;

use crate::planned::{self, With};
use crate::steps::Step;

/// Turns of all, so that what else the machine does disturbs each of them.
const TURNS: usize = 11;

/// Compilations in a turn. The median of all counts.
const TIMES: usize = 11;

type Compiler = Box<dyn FnMut() -> Result<()>>;

/// Nanoseconds by machine.
pub(crate) fn measure(step: &'static Step) -> Result<Vec<(&'static str, f64)>> {
    let mut compilers: Vec<(&'static str, Compiler)> = vec![("ours", Box::new(|| ours(step)))];
    for (name, with) in planned::KINDS {
        if let Some(compiler) = planned(step, with)? {
            compilers.push((name, compiler));
        }
    }
    #[cfg(feature = "peers")]
    compilers.extend(crate::peers::compilers(step));
    let mut times = vec![Vec::with_capacity(TURNS * TIMES); compilers.len()];
    for _ in 0..TURNS {
        for ((_, compiler), times) in compilers.iter_mut().zip(&mut times) {
            for _ in 0..TIMES {
                let begin = Instant::now();
                compiler()?;
                times.push(begin.elapsed().as_nanos() as f64);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(compilers.iter().zip(times).map(|((name, _), times)| (*name, median(times))).collect())
}

fn ours(step: &Step) -> Result<()> {
    let code = Code { slots: &step.code, entries: &[0], maps: &[], target: Target::Columnar };
    ensure!(Module::compile(code, Backend::Jit)?.backend() == Backend::Jit);
    Ok(())
}

/// The planner's program for the same step; its compiled code is dropped each time.
fn planned(step: &Step, with: With) -> Result<Option<Compiler>> {
    let Some((program, _)) = planned::plan(step, with)? else { return Ok(None) };
    Ok(Some(Box::new(move || {
        program.deactivate();
        Ok(program.activate()?)
    })))
}
