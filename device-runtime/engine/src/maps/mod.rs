//! Maps: what a program shares with its later runs, with runs on other threads, and with the host.
//!
//! [`Maps::new`] makes what an object declares ([`MapSpec`]s), once an instance; [`Cage::attach`](crate::Cage::attach) puts them into
//! the cage of a run; [`MapHelpers`] is what the program then calls; the host looks at them by [`Maps::host`], also while programs run.
//! Lookup, update and delete do what the kernel's do, errors included.
//!
//! Values live in shared memory at cage addresses that follow from the declarations alone, the same in every cage; what programs
//! may only read has a region of its own. Keys and whatever else holds a map together stay outside of any cage, behind a lock of the
//! map's. A slot of a map's memory serves other entries of this map once its entry is gone, as in the kernel: an old address then
//! shows another value, never something else. Not here: what packets do with a redirect.

mod array;
mod create;
mod error;
mod events;
mod helpers;
mod host;
mod keyed;
mod layout;
mod nested;
mod prefixes;
mod ring;
mod table;
mod targets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nearside_programs::MapSpec;

use crate::cage::Chunk;
use crate::helpers::HelperFault;
use crate::memory::Placed;
use crate::shared::Shared;
use crate::verify::MAP_BASE;
pub use create::{MapLimits, MapSetup};
pub use error::{MapError, MapsError, SpecError};
pub use events::{EVENT_LEN_MAX, EVENT_QUEUE_LEN};
pub use helpers::{MapHelpers, PacketBytes, RESERVED_MAX};
pub use host::{Batch, Entry, MapReader, MapWriter};
pub use layout::CPUS_MAX;
use layout::Values;
pub(crate) use layout::direct_values;

/// The maps of one instance of a program.
#[derive(Debug)]
pub struct Maps {
    maps: Vec<Map>,
    cpus: u32,
    regions: Vec<Placed>,
    chunk: Chunk,
}

/// One map.
#[derive(Debug)]
struct Map {
    spec: MapSpec,
    values: Values,
    body: Body,
}

/// What holds a map together, by kind. Locks are held for one operation, and none is taken while another is held.
#[derive(Debug)]
enum Body {
    /// Every element exists: array, per-CPU array.
    Array,
    /// Hash, LRU and per-CPU included.
    Keyed(keyed::Keyed),
    Prefixes(RwLock<prefixes::Prefixes>),
    /// Array- and hash-of-maps.
    Nested(nested::Nested),
    /// Where packets can be redirected to.
    Targets(targets::Targets),
    Programs(nested::Slots),
    Ring(ring::Ring),
    Events(events::Events),
}

/// On whose behalf a map is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// A program on this CPU: of per-CPU values it sees its own.
    Program { cpu: u32 },
    /// Per-CPU values come all at once.
    Host,
}

/// The kernel's `BPF_NOEXIST`.
const NEW_ONLY: u64 = 1;
/// The kernel's `BPF_EXIST`.
const EXISTING_ONLY: u64 = 2;
/// The kernel's `BPF_F_LOCK`; there are no locks in values here.
const LOCK: u64 = 4;

impl Maps {
    /// Makes maps, with what the declarations put into them.
    ///
    /// # Errors
    /// A declaration is not one the kernel would take, names something that does not exist, or wants more than `setup` allows; or
    /// the system has no memory.
    pub fn new(specs: &[MapSpec], setup: &MapSetup<'_>) -> Result<Arc<Self>, MapsError> {
        create::create(specs, setup).map(Arc::new)
    }

    /// CPUs that per-CPU maps have a value for.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Index of the map of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.maps.iter().position(|map| map.spec.name == name)
    }

    /// The declarations, by index.
    pub fn specs(&self) -> impl ExactSizeIterator<Item = &MapSpec> {
        self.maps.iter().map(|map| &map.spec)
    }

    /// A map, for whoever owns it.
    pub fn host(&self, index: usize) -> Option<MapWriter<'_>> {
        self.reader(index).map(MapWriter::new)
    }

    /// A map, for others.
    pub fn reader(&self, index: usize) -> Option<MapReader<'_>> {
        self.maps.get(index).map(|map| MapReader::new(self, map))
    }

    /// What `redirect_map` finds: the value of entry `key` in a devmap, cpumap or xskmap (the interface for a devmap), if it has one.
    ///
    /// # Errors
    /// `reference` (r1) refers to no map of these kinds.
    pub fn redirect_target(&self, reference: u64, key: u32) -> Result<Option<u32>, HelperFault> {
        match self.by_reference(1, reference)? {
            Map { body: Body::Targets(targets), values, .. } => Ok(targets.get(self.shared(), values, key)),
            _ => Err(HelperFault::Argument { index: 1, value: reference }),
        }
    }

    /// What a tail call finds: the entry point, by its first slot.
    pub(crate) fn program(&self, reference: u64, index: u32) -> Result<Option<u32>, HelperFault> {
        match &self.by_reference(2, reference)?.body {
            Body::Programs(programs) => Ok(programs.get(index)),
            _ => Err(HelperFault::Argument { index: 2, value: reference }),
        }
    }

    /// The map that a register refers to, which is argument `index` of a helper.
    fn by_reference(&self, index: u8, reference: u64) -> Result<&Map, HelperFault> {
        let map = reference.checked_sub(MAP_BASE).and_then(|map| self.maps.get(usize::try_from(map).ok()?));
        map.ok_or(HelperFault::Argument { index, value: reference })
    }

    /// Where the cage has them.
    pub(crate) fn regions(&self) -> Vec<Placed> {
        self.regions.clone()
    }

    pub(crate) fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    fn shared(&self) -> Shared<'_> {
        self.chunk.shared()
    }
}

impl Map {
    /// What a program gets by looking a key up: the address of a value, or a reference to a map.
    fn lookup(&self, shared: Shared<'_>, key: &[u8], cpu: u32) -> Option<u64> {
        match &self.body {
            Body::Array => array::slot(&self.spec, key).map(|slot| self.values.address(slot, cpu)),
            Body::Keyed(keyed) => keyed.lookup(key).map(|slot| self.values.address(slot, cpu)),
            Body::Prefixes(prefixes) => read(prefixes).lookup(key).map(|slot| self.values.address(slot, 0)),
            Body::Nested(nested) => nested.get(key).map(|inner| MAP_BASE + u64::from(inner)),
            Body::Targets(targets) => targets.slot(shared, &self.values, key).map(|slot| self.values.address(slot, 0)),
            Body::Programs(_) | Body::Ring(_) | Body::Events(_) => None,
        }
    }

    fn update(&self, shared: Shared<'_>, side: Side, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
        match &self.body {
            Body::Array => array::update(self, shared, side, key, value, flags),
            Body::Keyed(keyed) => keyed.update(shared, &self.values, side, key, value, flags),
            Body::Prefixes(prefixes) => write(prefixes).update(shared, &self.values, key, value, flags),
            Body::Targets(targets) => targets.update(shared, &self.values, key, value, flags),
            Body::Nested(_) | Body::Programs(_) | Body::Ring(_) | Body::Events(_) => Err(MapError::NotSupported),
        }
    }

    fn delete(&self, shared: Shared<'_>, key: &[u8]) -> Result<(), MapError> {
        match &self.body {
            Body::Array => Err(MapError::Invalid),
            Body::Keyed(keyed) => keyed.delete(key),
            Body::Prefixes(prefixes) => write(prefixes).delete(key),
            Body::Nested(nested) => nested.delete(key),
            Body::Targets(targets) => targets.delete(shared, &self.values, key),
            Body::Programs(programs) => programs.delete(key),
            Body::Ring(_) | Body::Events(_) => Err(MapError::NotSupported),
        }
    }
}

/// What the locks guard is whole at every moment, so a panic of another thread does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
