//! An XDP program over the packets of a capture.

mod capture;
mod lane;
mod maps;
mod program;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nearside_engine::Backend;
use nearside_engine::packet::{Clock, Packet};
use nearside_programs::Object;

use crate::plain::trapped;
use capture::Outputs;
pub use capture::{Capture, Captured};
use lane::{Lane, Outcome};
pub use maps::Contents;
use program::Program;

/// Interface and queue that packets come from, as the kernel's `BPF_PROG_TEST_RUN` has them: loopback's first.
const INTERFACE: u32 = 1;
const QUEUE: u32 = 0;
/// Which CPU's values of per-CPU maps the program sees.
const CPU: u32 = 0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The program: an eBPF object, as `clang -target bpf -c` writes it.
    object: PathBuf,
    /// The packets: pcap or pcapng, also compressed by gzip.
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    /// The section or the function to run; needed if there are several.
    #[arg(long, value_name = "NAME")]
    section: Option<String>,
    /// What is in maps before the first packet, JSON: {"map": [{"key": "hex", "value": "hex"}]}.
    #[arg(long, value_name = "FILE")]
    maps: Option<PathBuf>,
    /// Where to write what is in maps after the last packet, in the same form.
    #[arg(long, value_name = "FILE")]
    dump_maps: Option<PathBuf>,
    /// How many values per-CPU maps have; the program runs on CPU 0.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    cpus: u32,
    /// Where to write the packets as the program left them, a file for each action.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Most instructions a packet may take, as a bound.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000_000)]
    fuel: u64,
    /// What random numbers follow from.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Runs a program over a capture. The interpreter counts; asked for, the JIT runs beside it, on memory of its own, and must do the same.
pub(crate) fn run(arguments: &Arguments, jit: bool) -> anyhow::Result<()> {
    let mut object = program::read(&arguments.object)?;
    let setup = arguments.maps.as_deref().map(Contents::read).transpose()?.unwrap_or_default();
    let mut lanes = lanes(arguments, &mut object, &setup, jit)?;
    packets(arguments, &mut lanes)?;
    match (&arguments.dump_maps, lanes.first()) {
        (Some(path), Some(lane)) => Contents::take(&object, lane.maps())?.write(path),
        _ => Ok(()),
    }
}

/// The engines, each with a program and maps of its own.
fn lanes(arguments: &Arguments, object: &mut Object, setup: &Contents, jit: bool) -> anyhow::Result<Vec<Lane>> {
    let in_object = || format!("object {}", arguments.object.display());
    let in_setup = || format!("maps {}", arguments.maps.as_deref().unwrap_or(Path::new("")).display());
    setup.declare(object).with_context(in_setup)?;
    let object = &*object;
    let entry = program::select(object, arguments.section.as_deref()).with_context(in_object)?.start;
    let program = Program::new(object, entry, setup.programs(object).with_context(in_setup)?);
    let backends: &[Backend] = if jit { &[Backend::Interpreter, Backend::Jit] } else { &[Backend::Interpreter] };
    let lane = |&backend| {
        let lane = Lane::new(&program, backend, arguments).with_context(in_object)?;
        setup.fill(object, lane.maps()).with_context(in_setup)?;
        Ok(lane)
    };
    backends.iter().map(lane).collect()
}

fn packets(arguments: &Arguments, lanes: &mut [Lane]) -> anyhow::Result<()> {
    let mut capture = Capture::open(&arguments.pcap)?;
    let mut outputs = arguments.out.as_ref().map(|folder| Outputs::create(folder, &capture)).transpose()?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut index = 0_u64;
    while let Some(captured) = capture.next()? {
        let outcome = one_packet(lanes, &captured).with_context(|| format!("packet {index}"))?;
        let action = outcome.verdict.action();
        if let Err(trap) = outcome.verdict.result {
            let code = lanes.first().map_or(&[][..], Lane::code);
            eprintln!("nearside-run: packet {index}: {}", trapped(code, trap));
        }
        for line in &outcome.log {
            eprintln!("nearside-run: packet {index}: trace: {line}");
        }
        let instructions = outcome.verdict.instructions.unwrap_or_default();
        writeln!(stdout, "{index} {} {instructions}", action.name()).context("standard output")?;
        if let Some(outputs) = &mut outputs {
            outputs.write(action, &captured, &outcome.packet)?;
        }
        index += 1;
    }
    stdout.flush().context("standard output")?;
    outputs.map_or(Ok(()), Outputs::finish)
}

/// Runs a packet in every lane at the same time of day.
fn one_packet(lanes: &mut [Lane], captured: &Captured) -> anyhow::Result<Outcome> {
    let clock = Clock::stopped();
    let packet = Packet { bytes: &captured.bytes, ingress_ifindex: INTERFACE, rx_queue_index: QUEUE };
    let outcomes = lanes.iter_mut().map(|lane| lane.run(packet, clock)).collect::<anyhow::Result<Vec<_>>>()?;
    let [first, others @ ..] = outcomes.as_slice() else { anyhow::bail!("no engine to run in") };
    if let Some(other) = others.iter().find(|other| !first.agrees(other)) {
        anyhow::bail!("the engines disagree, which is a bug: interpreter {:?}, JIT {:?}", first.verdict, other.verdict);
    }
    Ok(first.clone())
}
