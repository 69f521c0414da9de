//! Maps, and programs on them, in both engines; and what tests of maps call things.

use std::collections::HashMap;
use std::sync::Arc;

use nearside_engine::{Backend, Cage, Code, Fuel, MapHelpers, MapLimits, MapSetup, MapWriter, Maps, MapsError, Module, Trap};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;
use nearside_programs::{MapKind, MapSpec};

use crate::common::{FUEL, READ_WRITE, REGIONS, text_code};

pub(crate) const BACKENDS: [Backend; 2] = [Backend::Interpreter, Backend::Jit];

/// CPUs in these tests, unless they say otherwise.
pub(crate) const CPUS: u32 = 3;

/// Where [`World::call`] puts keys and values for programs.
pub(crate) const KEY: u64 = READ_WRITE as u64;
pub(crate) const VALUE: u64 = KEY + 0x100;

pub(crate) fn spec(name: &str, kind: MapKind, key_len: u32, value_len: u32, entries_max: u32) -> MapSpec {
    let (flags, inner, initial, named) = (0, None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags, inner, initial, named }
}

pub(crate) fn try_maps(specs: &[MapSpec], cpus: u32) -> Result<Arc<Maps>, MapsError> {
    Maps::new(specs, &MapSetup { cpus, limits: MapLimits::default(), entries: &[] })
}

pub(crate) fn compile(slots: &[Slot], entries: &[u32], maps: &[MapSpec], backend: Backend) -> Module {
    let module = Module::compile(Code { slots, entries, maps, target: Target::Packet }, backend).unwrap();
    assert_eq!(module.backend(), backend, "{:?}", module.fallback());
    module
}

/// Value of an `lddw` that refers to a map.
pub(crate) fn reference(map: usize) -> u64 {
    (2 << 32) + map as u64
}

/// `-errno` as a register.
pub(crate) fn errno(number: i32) -> u64 {
    -i64::from(number) as u64
}

/// Maps, and programs on them, once in each engine; whatever is done is done in both, and must come out alike.
pub(crate) struct World {
    pub(crate) specs: Vec<MapSpec>,
    pub(crate) cpu: u32,
    pub(crate) sides: [Side; 2],
}

pub(crate) struct Side {
    pub(crate) backend: Backend,
    pub(crate) maps: Arc<Maps>,
    pub(crate) cage: Cage,
    calls: HashMap<u32, Module>,
}

impl World {
    pub(crate) fn new(specs: &[MapSpec]) -> Self {
        let side = |backend| {
            let maps = try_maps(specs, CPUS).unwrap();
            let mut cage = Cage::new(&REGIONS).unwrap();
            cage.attach(&maps).unwrap();
            Side { backend, maps, cage, calls: HashMap::new() }
        };
        Self { specs: specs.to_vec(), cpu: 0, sides: BACKENDS.map(side) }
    }

    /// Begins anew, with maps as they are in the beginning; what is compiled stays.
    pub(crate) fn renew(&mut self) {
        for side in &mut self.sides {
            side.maps = try_maps(&self.specs, CPUS).unwrap();
            side.cage.attach(&side.maps).unwrap();
        }
    }

    /// Calls a helper from a program that does nothing else.
    #[track_caller]
    pub(crate) fn call(&mut self, number: u32, arguments: [u64; 5]) -> Result<u64, Trap> {
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

    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        self.sides.iter_mut().for_each(|side| side.cage.memory().copy_in(address, bytes).unwrap());
    }

    #[track_caller]
    pub(crate) fn bytes(&mut self, address: u64, len: usize) -> Vec<u8> {
        let [interpreted, translated] = self.sides.each_mut().map(|side| {
            let mut bytes = vec![0; len];
            side.cage.memory().copy_out(address, &mut bytes).unwrap();
            bytes
        });
        assert_eq!(interpreted, translated);
        interpreted
    }

    /// The map that a program finds under a key of a map of maps.
    #[track_caller]
    pub(crate) fn lookup_reference(&mut self, map: usize, key: &[u8]) -> Option<u64> {
        self.put(KEY, key);
        Some(self.call(1, [reference(map), KEY, 0, 0, 0]).unwrap()).filter(|found| *found != 0)
    }

    /// What a program finds under a key.
    #[track_caller]
    pub(crate) fn lookup(&mut self, map: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.put(KEY, key);
        let len = self.specs[map].value_len as usize;
        match self.call(1, [reference(map), KEY, 0, 0, 0]).unwrap() {
            0 => None,
            address => Some(self.bytes(address, len)),
        }
    }

    /// What a program's update returns: 0, or an errno without its sign.
    #[track_caller]
    pub(crate) fn update(&mut self, map: usize, key: &[u8], value: &[u8], flags: u64) -> i32 {
        self.put(KEY, key);
        self.put(VALUE, value);
        -(self.call(2, [reference(map), KEY, VALUE, flags, 0]).unwrap() as i64 as i32)
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, map: usize, key: &[u8]) -> i32 {
        self.put(KEY, key);
        -(self.call(3, [reference(map), KEY, 0, 0, 0]).unwrap() as i64 as i32)
    }

    /// Does something to a map of both sides as the host.
    #[track_caller]
    pub(crate) fn host<T: PartialEq + std::fmt::Debug>(&self, map: usize, act: impl Fn(MapWriter<'_>) -> T) -> T {
        let [interpreted, translated] = &self.sides;
        let outcome = act(interpreted.maps.host(map).unwrap());
        assert_eq!(outcome, act(translated.maps.host(map).unwrap()));
        outcome
    }
}
