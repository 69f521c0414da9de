//! Packet programs in both engines, each with a cage, surroundings and maps of its own; whatever is done is done in both, and must come out alike.

use std::sync::Arc;

use nearside_engine::packet::{Clock, Environment, Mode, Packet, PacketCage, Verdict};
use nearside_engine::{Backend, Code, Entry, Fuel, MapLimits, MapSetup, Maps, Module, Trap};
use nearside_programs::MapKind;

use crate::common::emulated;

/// What every clock shows.
pub(crate) const CLOCK: u64 = 1_000_000_007;
/// Where programs run.
const CPU: u32 = 1;
/// Most records that are compared of a map.
const RECORDS_MAX: usize = 1 << 16;

/// What a program made of a packet.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) packet: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) log: Vec<String>,
    pub(crate) fuel: u64,
}

/// One engine with everything a program works on.
pub(crate) struct Lane {
    pub(crate) module: Module,
    pub(crate) cage: PacketCage,
    pub(crate) environment: Environment,
    pub(crate) maps: Arc<Maps>,
    entry: u32,
}

/// What is in a map in the end.
#[derive(Debug, PartialEq)]
enum Contents {
    Entries(Vec<Entry>),
    Records(Vec<Vec<u8>>, u64),
}

/// A program in both engines; the interpreter also counts.
pub(crate) struct Lanes(pub(crate) [Lane; 2]);

impl Lanes {
    /// The first entry point is what packets go to; `names` are those that program arrays know.
    pub(crate) fn new(code: Code<'_>, names: &[(&str, u32)], cpus: u32) -> Self {
        let lane = |backend| {
            let mut environment = Environment::new(CPU, 42);
            environment.clock = Clock::Fixed(CLOCK);
            let mut cage = PacketCage::new().unwrap();
            let maps = Maps::new(code.maps, &MapSetup { cpus, limits: MapLimits::default(), entries: names }).unwrap();
            cage.attach(&maps).unwrap();
            let module = Module::compile(code, backend).unwrap();
            Lane { module, cage, environment, maps, entry: code.entries[0] }
        };
        Self([Backend::Interpreter, Backend::Jit].map(lane))
    }

    pub(crate) fn run(&mut self, packet: Packet<'_>, fuel: u64) -> Outcome {
        let [(interpreted, executed), (mut translated, _)] = self.0.each_mut().map(|lane| lane.run(packet, fuel));
        if let Err(Trap::Memory { address, .. }) = interpreted.verdict.result {
            assert!(translated.fuel >= interpreted.fuel);
            translated.fuel = interpreted.fuel;
            emulated(&mut translated.verdict.result, address);
        }
        assert_eq!(interpreted, translated);
        let used = fuel - interpreted.fuel;
        assert!(executed.is_some_and(|executed| executed <= used), "{executed:?} instructions for {used} of fuel");
        interpreted
    }

    /// All maps are alike. Takes the records.
    pub(crate) fn compare_maps(&self, cpus: u32) {
        for index in 0..self.0[0].maps.specs().len() {
            let [interpreted, translated] = self.0.each_ref().map(|lane| contents(&lane.maps, index, cpus));
            assert_eq!(interpreted, translated, "map {index}");
        }
    }
}

impl Lane {
    fn run(&mut self, packet: Packet<'_>, fuel: u64) -> (Outcome, Option<u64>) {
        let mode = if self.module.backend() == Backend::Interpreter { Mode::Count } else { Mode::Run };
        let mut left = Fuel(fuel);
        let mut verdict = self.cage.run(&self.module, self.entry, packet, &mut left, &mut self.environment, mode).unwrap();
        let executed = verdict.instructions.take();
        let (packet, metadata) = (self.cage.packet().to_vec(), self.cage.metadata().to_vec());
        (Outcome { verdict, packet, metadata, log: self.environment.take_log().collect(), fuel: left.0 }, executed)
    }
}

fn contents(maps: &Maps, index: usize, cpus: u32) -> Contents {
    let map = maps.host(index).unwrap();
    match map.spec().kind {
        MapKind::RingBuffer => Contents::Records(map.consume(RECORDS_MAX).unwrap(), 0),
        MapKind::PerfEventArray => {
            let (mut records, mut lost) = (Vec::new(), 0);
            for taken in (0..cpus).map(|cpu| map.take_events(cpu, RECORDS_MAX).unwrap()) {
                records.extend(taken.0);
                lost += taken.1;
            }
            Contents::Records(records, lost)
        }
        _ => {
            let mut entries = map.entries().unwrap();
            entries.sort();
            Contents::Entries(entries)
        }
    }
}
