//! Maps: against plain models, through byte code in both engines, through the host, from several threads, and against the kernel's.

mod concurrent;
mod control;
mod hostile;
mod kernel;
mod kinds;
mod limits;
mod model;
mod records;

use std::collections::HashMap;
use std::sync::Arc;

use nearside_engine::{Backend, Cage, Code, Fuel, MapHelpers, MapLimits, MapSetup, MapWriter, Maps, MapsError, Module, Trap};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;
use nearside_programs::{MapKind, MapSpec};

use crate::common::{FUEL, READ_WRITE, REGIONS, text_code};

const BACKENDS: [Backend; 2] = [Backend::Interpreter, Backend::Jit];

/// CPUs in these tests, unless they say otherwise.
const CPUS: u32 = 3;

/// Where [`World::call`] puts keys and values for programs.
const KEY: u64 = READ_WRITE as u64;
const VALUE: u64 = KEY + 0x100;

fn spec(name: &str, kind: MapKind, key_len: u32, value_len: u32, entries_max: u32) -> MapSpec {
    let (flags, inner, initial, named) = (0, None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags, inner, initial, named }
}

fn try_maps(specs: &[MapSpec], cpus: u32) -> Result<Arc<Maps>, MapsError> {
    Maps::new(specs, &MapSetup { cpus, limits: MapLimits::default(), entries: &[] })
}

fn compile(slots: &[Slot], entries: &[u32], maps: &[MapSpec], backend: Backend) -> Module {
    let module = Module::compile(Code { slots, entries, maps, target: Target::Packet }, backend).unwrap();
    assert_eq!(module.backend(), backend, "{:?}", module.fallback());
    module
}

/// Value of an `lddw` that refers to a map.
fn reference(map: usize) -> u64 {
    (2 << 32) + map as u64
}

/// `-errno` as a register.
fn errno(number: i32) -> u64 {
    -i64::from(number) as u64
}

/// Maps, and programs on them, once in each engine; whatever is done is done in both, and must come out alike.
struct World {
    specs: Vec<MapSpec>,
    cpu: u32,
    sides: [Side; 2],
}

struct Side {
    backend: Backend,
    maps: Arc<Maps>,
    cage: Cage,
    calls: HashMap<u32, Module>,
}

impl World {
    fn new(specs: &[MapSpec]) -> Self {
        let side = |backend| {
            let maps = try_maps(specs, CPUS).unwrap();
            let mut cage = Cage::new(&REGIONS).unwrap();
            cage.attach(&maps).unwrap();
            Side { backend, maps, cage, calls: HashMap::new() }
        };
        Self { specs: specs.to_vec(), cpu: 0, sides: BACKENDS.map(side) }
    }

    /// Calls a helper from a program that does nothing else.
    #[track_caller]
    fn call(&mut self, number: u32, arguments: [u64; 5]) -> Result<u64, Trap> {
        let slots = text_code(&format!("call {number:#x}\nexit")).code;
        for side in &mut self.sides {
            side.calls.entry(number).or_insert_with(|| compile(&slots, &[0], &self.specs, side.backend));
        }
        let run = |side: &mut Side| {
            let mut fuel = Fuel(FUEL);
            let mut helpers = MapHelpers::new(self.cpu);
            (side.calls[&number].run(&mut side.cage, 0, arguments, &mut fuel, &mut helpers), fuel)
        };
        let [interpreted, translated] = &mut self.sides;
        let outcome = run(interpreted);
        assert_eq!(outcome, run(translated), "helper {number}, {arguments:x?}");
        outcome.0
    }

    fn put(&mut self, address: u64, bytes: &[u8]) {
        self.sides.iter_mut().for_each(|side| side.cage.memory().copy_in(address, bytes).unwrap());
    }

    #[track_caller]
    fn bytes(&mut self, address: u64, len: usize) -> Vec<u8> {
        let [interpreted, translated] = self.sides.each_mut().map(|side| {
            let mut bytes = vec![0; len];
            side.cage.memory().copy_out(address, &mut bytes).unwrap();
            bytes
        });
        assert_eq!(interpreted, translated);
        interpreted
    }

    /// What a program finds under a key.
    #[track_caller]
    fn lookup(&mut self, map: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.put(KEY, key);
        let len = self.specs[map].value_len as usize;
        match self.call(1, [reference(map), KEY, 0, 0, 0]).unwrap() {
            0 => None,
            address => Some(self.bytes(address, len)),
        }
    }

    /// What a program's update returns: 0, or an errno without its sign.
    #[track_caller]
    fn update(&mut self, map: usize, key: &[u8], value: &[u8], flags: u64) -> i32 {
        self.put(KEY, key);
        self.put(VALUE, value);
        -(self.call(2, [reference(map), KEY, VALUE, flags, 0]).unwrap() as i64 as i32)
    }

    #[track_caller]
    fn delete(&mut self, map: usize, key: &[u8]) -> i32 {
        self.put(KEY, key);
        -(self.call(3, [reference(map), KEY, 0, 0, 0]).unwrap() as i64 as i32)
    }

    /// Does something to a map of both sides as the host.
    #[track_caller]
    fn host<T: PartialEq + std::fmt::Debug>(&self, map: usize, act: impl Fn(MapWriter<'_>) -> T) -> T {
        let [interpreted, translated] = &self.sides;
        let outcome = act(interpreted.maps.host(map).unwrap());
        assert_eq!(outcome, act(translated.maps.host(map).unwrap()));
        outcome
    }
}
