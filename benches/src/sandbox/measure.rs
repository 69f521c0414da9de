//! Measures a kind of sandbox.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Options;
use super::report::{Figures, Idle};
use super::subject::Subject;

/// Fewest times anything is done of which the median counts.
const TIMES_MIN: usize = 51;

/// Measures everything.
pub(super) fn measure<S: Subject>(subject: &S, options: &Options) -> Result<Figures> {
    let time = Duration::from_secs_f64(options.seconds);
    let program = subject.load()?;
    let mut worker = subject.worker()?;
    let once = |program: &S::Program, worker: &mut S::Worker| -> Result<()> {
        let instance = subject.instance(program)?;
        let instance = subject.call(program, worker, instance)?;
        ensure!(subject.result(instance)? == subject.once(), "{}: another result", subject.name());
        Ok(())
    };
    // A process that has run nothing yet would measure its allocator and its page faults.
    once(&program, &mut worker)?;
    let cold = times(time, || {
        let program = subject.load()?;
        once(&program, &mut worker)
    })?;
    let warm = times(time, || once(&program, &mut worker))?;
    let per_second = warm.len() as f64 / warm.iter().sum::<f64>();
    let idle = idle(subject, &program, &mut worker, options.live)?;
    Ok(Figures { name: subject.name(), cold_us: median(cold) * 1e6, warm_us: median(warm) * 1e6, per_second, idle })
}

/// Seconds of each time something is done.
fn times(time: Duration, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < TIMES_MIN || begin.elapsed() < time {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Lets instances wait that all have been called, and calls each of them again.
fn idle<S: Subject>(subject: &S, program: &S::Program, worker: &mut S::Worker, live: u32) -> Result<Idle> {
    let before = Process::now()?;
    let mut waiting = Vec::with_capacity(live as usize);
    for _ in 0..live {
        waiting.push(subject.call(program, worker, subject.instance(program)?)?);
    }
    let after = Process::now()?;
    for instance in waiting {
        let instance = subject.call(program, worker, instance)?;
        ensure!(subject.result(instance)? == 2 * subject.once(), "{}: an instance has lost its state", subject.name());
    }
    let bytes = after.bytes().saturating_sub(before.bytes());
    Ok(Idle {
        live,
        bytes: bytes as f64 / f64::from(live),
        page_tables: after.page_tables.saturating_sub(before.page_tables) as f64 / f64::from(live),
        mappings: after.mappings,
        mappings_max: max_map_count()?,
        mappings_before: before.mappings,
    })
}

/// What a process takes.
struct Process {
    /// Bytes of its own, in pages.
    private: u64,
    page_tables: u64,
    /// Bytes of its memory files, mapped or not: what maps take.
    memory_files: u64,
    mappings: u64,
}

impl Process {
    fn now() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kilobytes.map(|kilobytes| kilobytes << 10).with_context(|| format!("/proc/self/status has no {name}"))
        };
        let mappings = fs::read_to_string("/proc/self/maps")?.lines().count() as u64;
        Ok(Self { private: bytes("RssAnon")?, page_tables: bytes("VmPTE")?, memory_files: memory_files()?, mappings })
    }

    fn bytes(&self) -> u64 {
        self.private + self.page_tables + self.memory_files
    }
}

fn memory_files() -> Result<u64> {
    let mut bytes = 0;
    for descriptor in fs::read_dir("/proc/self/fd")? {
        let path = descriptor?.path();
        // The directory's own descriptor is closed by now.
        if fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:nearside-maps")) {
            bytes += fs::metadata(&path)?.blocks() * 512;
        }
    }
    Ok(bytes)
}

fn max_map_count() -> Result<u64> {
    Ok(fs::read_to_string("/proc/sys/vm/max_map_count")?.trim().parse()?)
}
