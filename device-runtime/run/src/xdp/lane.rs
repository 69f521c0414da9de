//! One engine with everything a program works on.

use std::sync::Arc;

use anyhow::Context;
use nearside_engine::packet::{Clock, Environment, Mode, Packet, PacketCage, Verdict};
use nearside_engine::{Backend, Code, Fuel, MapLimits, MapSetup, Maps, Module};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

use super::program::Program;
use super::{Arguments, CPU};
use crate::plain::rejected;

/// A program, its packet, its maps.
pub(super) struct Lane {
    module: Module,
    code: Vec<Slot>,
    entry: u32,
    mode: Mode,
    fuel: u64,
    cage: PacketCage,
    maps: Arc<Maps>,
    environment: Environment,
}

/// What became of a packet.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) packet: Vec<u8>,
    pub(super) log: Vec<String>,
}

impl Outcome {
    /// Whether another engine did the same. It need not have counted.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let same = |a: &Verdict, b: &Verdict| (a.result, a.redirect) == (b.result, b.redirect);
        same(&self.verdict, &other.verdict) && self.packet == other.packet && self.log == other.log
    }
}

impl Lane {
    /// Verifies and compiles a program, and makes its maps.
    pub(super) fn new(program: &Program<'_>, backend: Backend, arguments: &Arguments) -> anyhow::Result<Self> {
        let Program { object, entry, entries, code } = program;
        let slots: Vec<u32> = entries.iter().map(|(_, slot)| *slot).collect();
        let unverified = Code { slots: code, entries: &slots, maps: &object.maps, target: Target::Packet };
        let module = Module::compile(unverified, backend).map_err(|error| rejected(code, error))?;
        if let Some(fallback) = module.fallback() {
            eprintln!("nearside-run: interpreted: {fallback}");
        }
        let mode = if backend == Backend::Interpreter { Mode::Count } else { Mode::Run };
        let maps = Maps::new(&object.maps, &MapSetup { cpus: arguments.cpus, limits: MapLimits::default(), entries })?;
        let mut cage = PacketCage::new().context("no memory for packets")?;
        cage.attach(&maps).context("no memory for maps")?;
        let environment = Environment::new(CPU, arguments.seed);
        Ok(Self { module, code: code.clone(), entry: *entry, mode, fuel: arguments.fuel, cage, maps, environment })
    }

    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }

    /// What it runs, for messages.
    pub(super) fn code(&self) -> &[Slot] {
        &self.code
    }

    pub(super) fn run(&mut self, packet: Packet<'_>, clock: Clock) -> anyhow::Result<Outcome> {
        self.environment.clock = clock;
        let verdict = self.cage.run(&self.module, self.entry, packet, &mut Fuel(self.fuel), &mut self.environment, self.mode)?;
        Ok(Outcome { verdict, packet: self.cage.packet().to_vec(), log: self.environment.take_log().collect() })
    }
}
