//! One engine with everything a program works on.

use anyhow::Context;
use nearside_engine::packet::{Clock, Environment, Mode, Packet, PacketCage, Verdict};
use nearside_engine::{Backend, Code, Fuel, Module};
use nearside_programs::Object;
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

use super::Arguments;
use crate::plain::rejected;

/// A program, its packet, its maps.
pub(super) struct Lane {
    module: Module,
    entry: u32,
    mode: Mode,
    fuel: u64,
    cage: PacketCage,
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
    pub(super) fn new(
        object: &Object,
        code: &[Slot],
        entry: u32,
        backend: Backend,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        let unverified = Code { slots: code, entries: &[entry], maps: &object.maps, target: Target::Packet };
        let module = Module::compile(unverified, backend)
            .map_err(|error| rejected(code, error))
            .with_context(|| format!("object {}", arguments.object.display()))?;
        if let Some(fallback) = module.fallback() {
            eprintln!("nearside-run: interpreted: {fallback}");
        }
        let mode = if backend == Backend::Interpreter { Mode::Count } else { Mode::Run };
        let cage = PacketCage::new().context("no memory for packets")?;
        Ok(Self { module, entry, mode, fuel: arguments.fuel, cage, environment: Environment::new(arguments.seed) })
    }

    pub(super) fn run(&mut self, packet: Packet<'_>, clock: Clock) -> anyhow::Result<Outcome> {
        self.environment.clock = clock;
        let verdict = self.cage.run(&self.module, self.entry, packet, &mut Fuel(self.fuel), &mut self.environment, self.mode)?;
        Ok(Outcome { verdict, packet: self.cage.packet().to_vec(), log: self.environment.take_log().collect() })
    }
}
