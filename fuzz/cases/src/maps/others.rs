//! Models of maps that are no sorted lists: LRU, maps of maps, targets of redirects, ring buffer, events.

use std::collections::{BTreeMap, VecDeque};

use nearside_programs::{MapKind, MapSpec};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::world::{CPUS, VALUE, World, errno, reference, spec};

/// Entries of the LRU map.
const LRU_ENTRIES: u32 = 6;
/// Bytes of the ring.
const RING_LEN: u64 = 4096;
/// Header of a record, and what records are multiples of.
const HEADER: u64 = 8;

const LRU: usize = 0;
const NESTED: usize = 1;
const INNER: [usize; 2] = [2, 3];
const TARGETS: usize = 4;
const RING: usize = 5;
const EVENTS: usize = 6;

const RINGBUF_OUTPUT: u32 = 130;
const RINGBUF_QUERY: u32 = 134;
const PERF_EVENT_OUTPUT: u32 = 25;

pub(super) fn specs() -> [MapSpec; 7] {
    let inner = |name| spec(name, MapKind::Array, 4, 8, 2);
    [
        spec("lru", MapKind::LruHash, 4, 8, LRU_ENTRIES),
        MapSpec { inner: Some(Box::new(inner("template"))), ..spec("nested", MapKind::HashOfMaps, 4, 4, 3) },
        inner("red"),
        inner("blue"),
        spec("targets", MapKind::DevMapHash, 4, 4, 3),
        spec("ring", MapKind::RingBuffer, 0, 0, RING_LEN as u32),
        spec("events", MapKind::PerfEventArray, 4, 4, CPUS),
    ]
}

/// What the maps hold.
#[derive(Default)]
struct Models {
    /// What was written last, by key; the map may have forgotten any of them.
    lru: BTreeMap<[u8; 4], [u8; 8]>,
    nested: BTreeMap<[u8; 4], usize>,
    targets: BTreeMap<[u8; 4], [u8; 4]>,
    ring: VecDeque<Vec<u8>>,
    produced: u64,
    consumed: u64,
    events: [VecDeque<Vec<u8>>; CPUS as usize],
}

/// So many operations on new maps.
pub(super) fn operate(random: &mut impl Rng, world: &mut World, operations: usize) {
    let mut models = Models::default();
    for _ in 0..operations {
        world.cpu = random.random_range(0..CPUS);
        match random.random_range(0..5) {
            0 => models.lru(random, world),
            1 => models.nested(random, world),
            2 => models.targets(random, world),
            3 => models.ring(random, world),
            _ => models.events(random, world),
        }
    }
}

impl Models {
    /// Whatever is evicted: what is found is what was written last, what was just written is found, and there are never too many.
    fn lru(&mut self, random: &mut impl Rng, world: &mut World) {
        let (key, value) = ([random.random_range(0..12), 0, 0, 0], random.random::<u64>().to_le_bytes());
        let found = world.lookup(LRU, &key);
        if let Some(found) = &found {
            assert_eq!(Some(&found[..]), self.lru.get(&key).map(|value| &value[..]));
        }
        match random.random_range(0..8) {
            0 => assert_eq!(world.delete(LRU, &key), if found.is_some() { 0 } else { libc::ENOENT }),
            1 => {}
            _ => {
                let flags = *[0, 0, 1, 2].choose(random).unwrap();
                let expected = match (flags, &found) {
                    (1, Some(_)) => libc::EEXIST,
                    (2, None) => libc::ENOENT,
                    _ => 0,
                };
                assert_eq!(world.update(LRU, &key, &value, flags), expected);
                if expected == 0 {
                    self.lru.insert(key, value);
                    assert_eq!(world.lookup(LRU, &key), Some(value.to_vec()));
                }
            }
        }
        let entries = world.host(LRU, |host| host.entries().unwrap());
        assert!(entries.len() <= LRU_ENTRIES as usize, "{entries:?}");
    }

    fn nested(&mut self, random: &mut impl Rng, world: &mut World) {
        let (key, inner) = ([random.random_range(0..5), 0, 0, 0], *INNER.choose(random).unwrap());
        match random.random_range(0..4) {
            0 => {
                let expected = if self.nested.remove(&key).is_some() { 0 } else { libc::ENOENT };
                assert_eq!(world.host(NESTED, |host| errno_of(host.delete(&key))), expected);
            }
            1 => {
                // A program gets a reference that helpers take.
                let found = world.lookup_reference(NESTED, &key);
                assert_eq!(found, self.nested.get(&key).map(|inner| reference(*inner)));
                if let Some(map) = found {
                    let inner = self.nested[&key];
                    let value = random.random::<u64>().to_le_bytes();
                    world.put(VALUE, &value);
                    world.put(super::world::KEY, &[1, 0, 0, 0]);
                    assert_eq!(world.call(2, [map, super::world::KEY, VALUE, 0, 0]), Ok(0));
                    assert_eq!(world.lookup(inner, &[1, 0, 0, 0]), Some(value.to_vec()));
                }
            }
            _ => {
                let flags = *[0, 1, 2].choose(random).unwrap();
                let expected = match (flags, self.nested.contains_key(&key)) {
                    (1, true) => libc::EEXIST,
                    (2, false) => libc::ENOENT,
                    (_, false) if self.nested.len() == 3 => libc::E2BIG,
                    _ => 0,
                };
                assert_eq!(world.host(NESTED, |host| errno_of(host.set_map(&key, inner, flags))), expected);
                if expected == 0 {
                    self.nested.insert(key, inner);
                }
            }
        }
    }

    fn targets(&mut self, random: &mut impl Rng, world: &mut World) {
        let (key, value) = ([random.random_range(0..5), 0, 0, 0], [random.random_range(1..=255), 0, 0, 0]);
        match random.random_range(0..3) {
            0 => {
                let expected = if self.targets.remove(&key).is_some() { 0 } else { libc::ENOENT };
                assert_eq!(world.host(TARGETS, |host| errno_of(host.delete(&key))), expected);
            }
            1 => {
                let flags = *[0, 1, 2].choose(random).unwrap();
                let expected = match (flags, self.targets.contains_key(&key)) {
                    (1, true) => libc::EEXIST,
                    // The kernel does not ask whether there is something to replace.
                    (_, false) if self.targets.len() == 3 => libc::E2BIG,
                    _ => 0,
                };
                assert_eq!(world.host(TARGETS, |host| errno_of(host.update(&key, &value, flags))), expected);
                if expected == 0 {
                    self.targets.insert(key, value);
                }
            }
            _ => {
                let expected = self.targets.get(&key).copied();
                assert_eq!(world.lookup(TARGETS, &key), expected.map(|value| value.to_vec()));
                for side in &world.sides {
                    let found = side.maps.redirect_target(reference(TARGETS), u32::from_le_bytes(key));
                    assert_eq!(found, Ok(expected.map(u32::from_le_bytes)));
                }
            }
        }
    }

    /// Records come out whole and in order; positions are the kernel's, headers included.
    fn ring(&mut self, random: &mut impl Rng, world: &mut World) {
        if random.random_range(0..4) == 0 {
            for taken in world.host(RING, |host| host.consume(2).unwrap()) {
                self.consumed += (taken.len() as u64 + HEADER).next_multiple_of(HEADER);
                assert_eq!(Some(taken), self.ring.pop_front());
            }
        } else {
            let record = bytes(random, &[0, 1, 7, 8, 300, 1400, 4080, 4088]);
            let taken = (record.len() as u64 + HEADER).next_multiple_of(HEADER);
            // The ring is never full.
            let fits = self.produced + taken - self.consumed < RING_LEN;
            world.put(VALUE, &record);
            let result = world.call(RINGBUF_OUTPUT, [reference(RING), VALUE, record.len() as u64, 0, 0]);
            assert_eq!(result, Ok(if fits { 0 } else { errno(libc::EAGAIN) }));
            if fits {
                self.produced += taken;
                self.ring.push_back(record);
            }
        }
        let query = [0, 1, 2, 3].map(|what| world.call(RINGBUF_QUERY, [reference(RING), what, 0, 0, 0]).unwrap());
        assert_eq!(query, [self.produced - self.consumed, RING_LEN, self.consumed, self.produced]);
    }

    fn events(&mut self, random: &mut impl Rng, world: &mut World) {
        let cpu = random.random_range(0..CPUS);
        if random.random_range(0..4) == 0 {
            let (taken, lost) = world.host(EVENTS, |host| host.take_events(cpu, 2).unwrap());
            let queue = &mut self.events[cpu as usize];
            let expected: Vec<_> = queue.drain(..queue.len().min(2)).collect();
            assert_eq!((taken, lost), (expected, 0));
            return;
        }
        let record = bytes(random, &[0, 1, 8, 40]);
        world.put(VALUE, &record);
        let wanted = *[u64::from(u32::MAX), cpu.into()].choose(random).unwrap();
        let result = world.call(PERF_EVENT_OUTPUT, [0, reference(EVENTS), wanted, VALUE, record.len() as u64]);
        // Programs write to the queue of their own CPU only, as in the kernel.
        let own = wanted == u64::from(u32::MAX) || cpu == world.cpu;
        assert_eq!(result, Ok(if own { 0 } else { errno(libc::EOPNOTSUPP) }));
        if own {
            self.events[world.cpu as usize].push_back(record);
        }
    }
}

fn bytes(random: &mut impl Rng, lens: &[usize]) -> Vec<u8> {
    let byte = random.random();
    vec![byte; *lens.choose(random).unwrap()]
}

fn errno_of(result: Result<(), nearside_engine::MapError>) -> i32 {
    result.map_or_else(|error| error.errno(), |()| 0)
}
