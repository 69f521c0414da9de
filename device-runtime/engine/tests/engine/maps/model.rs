//! Random operations on each kind of map with keys, by programs and by the host, against a model that is a sorted list.

use std::collections::BTreeMap;

use nearside_programs::{MapKind, MapSpec};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::world::{CPUS, World, spec};

const OPERATIONS: usize = 1500;

/// What a map holds: each key's values, one a CPU.
pub(crate) struct Model {
    spec: MapSpec,
    cpus: usize,
    entries: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Model {
    pub(crate) fn new(spec: &MapSpec, cpus: u32) -> Self {
        let per_cpu = matches!(spec.kind, MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash);
        let cpus = if per_cpu { cpus as usize } else { 1 };
        let mut entries = BTreeMap::new();
        if matches!(spec.kind, MapKind::Array | MapKind::PerCpuArray) {
            let zero = || vec![vec![0; spec.value_len as usize]; cpus];
            (0..spec.entries_max).for_each(|index| _ = entries.insert(index.to_le_bytes().to_vec(), zero()));
        }
        Self { spec: spec.clone(), cpus, entries }
    }

    fn is_array(&self) -> bool {
        matches!(self.spec.kind, MapKind::Array | MapKind::PerCpuArray)
    }

    fn prefix(key: &[u8]) -> usize {
        u32::from_le_bytes(key[..4].try_into().unwrap()) as usize
    }

    fn bit(key: &[u8], index: usize) -> bool {
        key[4 + index / 8] >> (7 - index % 8) & 1 == 1
    }

    /// The key in the model that this key is in the map.
    fn canonical(&self, key: &[u8]) -> Vec<u8> {
        let mut canonical = key.to_vec();
        if self.spec.kind == MapKind::LpmTrie {
            for index in Self::prefix(key)..8 * (key.len() - 4) {
                canonical[4 + index / 8] &= !(1 << (7 - index % 8));
            }
        }
        canonical
    }

    fn is_beyond(&self, key: &[u8]) -> bool {
        match self.spec.kind {
            MapKind::LpmTrie => Self::prefix(key) > 8 * (key.len() - 4),
            _ => self.is_array() && !self.entries.contains_key(key),
        }
    }

    pub(crate) fn lookup(&self, key: &[u8]) -> Option<&Vec<Vec<u8>>> {
        if self.spec.kind != MapKind::LpmTrie {
            return self.entries.get(key);
        }
        let matches = |entry: &&Vec<u8>| {
            let length = Self::prefix(entry);
            length <= Self::prefix(key) && (0..length).all(|index| Self::bit(entry, index) == Self::bit(key, index))
        };
        let longest = self.entries.keys().filter(matches).max_by_key(|entry| Self::prefix(entry));
        longest.filter(|_| !self.is_beyond(key)).map(|entry| &self.entries[entry])
    }

    /// `cpu`: whose value it is; `None` if all are given.
    pub(crate) fn update(&mut self, key: &[u8], value: &[Vec<u8>], cpu: Option<usize>, flags: u64) -> i32 {
        if flags > 2 {
            return libc::EINVAL;
        }
        if self.is_beyond(key) {
            return if self.is_array() { libc::E2BIG } else { libc::EINVAL };
        }
        let key = self.canonical(key);
        match (self.entries.contains_key(&key), flags) {
            (true, 1) => return libc::EEXIST,
            (false, 2) => return libc::ENOENT,
            (false, _) if self.entries.len() == self.spec.entries_max as usize => {
                return if self.spec.kind == MapKind::LpmTrie { libc::ENOSPC } else { libc::E2BIG };
            }
            _ => {}
        }
        let (len, cpus) = (self.spec.value_len as usize, self.cpus);
        let entry = self.entries.entry(key).or_insert_with(|| vec![vec![0; len]; cpus]);
        match cpu {
            Some(cpu) => entry[cpu.min(cpus - 1)].clone_from(&value[0]),
            None => entry.clone_from_slice(value),
        }
        0
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> i32 {
        if self.is_array() || self.is_beyond(key) {
            return libc::EINVAL;
        }
        if self.entries.remove(&self.canonical(key)).is_some() { 0 } else { libc::ENOENT }
    }

    /// A value as the host sees it.
    pub(crate) fn host_value(&self, values: &[Vec<u8>]) -> Vec<u8> {
        if self.cpus == 1 && !matches!(self.spec.kind, MapKind::PerCpuArray | MapKind::PerCpuHash) {
            return values[0].clone();
        }
        let padded = |value: &Vec<u8>| [value.clone(), vec![0; value.len().next_multiple_of(8) - value.len()]].concat();
        values.iter().flat_map(padded).collect()
    }

    pub(crate) fn cpus(&self) -> usize {
        self.cpus
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<Vec<u8>>)> {
        self.entries.iter()
    }
}

pub(crate) fn specs() -> [MapSpec; 7] {
    [
        spec("array", MapKind::Array, 4, 12, 9),
        spec("percpu_array", MapKind::PerCpuArray, 4, 5, 9),
        spec("hash", MapKind::Hash, 3, 20, 12),
        spec("percpu_hash", MapKind::PerCpuHash, 8, 8, 12),
        MapSpec { flags: 1, ..spec("hash_no_prealloc", MapKind::Hash, 16, 1, 12) },
        MapSpec { flags: 1, ..spec("lpm", MapKind::LpmTrie, 8, 8, 14) },
        MapSpec { flags: 1, ..spec("long_lpm", MapKind::LpmTrie, 20, 3, 14) },
    ]
}

pub(crate) fn key(random: &mut impl Rng, spec: &MapSpec) -> Vec<u8> {
    let mut key = vec![0; spec.key_len as usize];
    match spec.kind {
        MapKind::LpmTrie => {
            let bits = 8 * (spec.key_len - 4);
            let length = *[0, 1, 7, 8, 9, 16, 24, 31, bits, bits, bits + 1].choose(random).unwrap();
            key[..4].copy_from_slice(&length.to_le_bytes());
            key[4..].fill_with(|| *[0, 0x80, 0xff, 0xfe].choose(random).unwrap());
            // Few keys, so that some are met again.
            key[6..].fill(0);
        }
        MapKind::Array | MapKind::PerCpuArray => key.copy_from_slice(&random.random_range(0..spec.entries_max + 2).to_le_bytes()),
        // The last byte alone tells them apart.
        _ => key[spec.key_len as usize - 1] = random.random_range(0..20),
    }
    key
}

pub(crate) fn value(random: &mut impl Rng, spec: &MapSpec) -> Vec<u8> {
    (0..spec.value_len).map(|_| random.random()).collect()
}

pub(crate) fn flags(random: &mut impl Rng) -> u64 {
    *[0, 0, 0, 1, 2, 3, 8, 1 << 32].choose(random).unwrap()
}

/// Whoever does it, an operation's outcome and what is there afterwards are the model's.
#[test]
fn random_operations_are_the_models() {
    let mut world = World::new(&specs());
    for seed in 0..3 {
        println!("seed {seed}");
        world.renew();
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        operate(&mut random, &mut world, OPERATIONS);
    }
}

/// So many operations on new maps of [`specs`].
pub(crate) fn operate(random: &mut impl Rng, world: &mut World, operations: usize) {
    let specs = specs();
    let mut models = specs.each_ref().map(|spec| Model::new(spec, CPUS));
    for _ in 0..operations {
        let map = random.random_range(0..specs.len());
        step(random, world, map, &mut models[map]);
    }
    for (map, model) in models.iter().enumerate() {
        let mut found = world.host(map, |host| host.entries().unwrap());
        // A prefix map's keys are as given; the model's are canonical.
        found.iter_mut().for_each(|(key, _)| *key = model.canonical(key));
        found.sort();
        let expected: Vec<_> = model.entries().map(|(key, values)| (key.clone(), model.host_value(values))).collect();
        assert_eq!(found, expected, "{}", specs[map].name);
    }
}

fn step(random: &mut impl Rng, world: &mut World, map: usize, model: &mut Model) {
    let spec = model.spec.clone();
    let (key, flags) = (key(random, &spec), flags(random));
    world.cpu = random.random_range(0..CPUS);
    let cpu = world.cpu as usize;
    let context = format!("{} {key:x?} {flags} cpu {cpu}", spec.name);
    match random.random_range(0..10) {
        0..3 => {
            let expected = model.lookup(&key).map(|values| values[cpu.min(model.cpus() - 1)].clone());
            assert_eq!(world.lookup(map, &key), expected, "{context}");
        }
        3..6 => {
            let value = value(random, &spec);
            let expected = model.update(&key, std::slice::from_ref(&value), Some(cpu), flags);
            assert_eq!(world.update(map, &key, &value, flags), expected, "{context}");
        }
        6..8 => assert_eq!(world.delete(map, &key), model.delete(&key), "{context}"),
        8 => {
            let values: Vec<Vec<u8>> = (0..model.cpus()).map(|_| value(random, &spec)).collect();
            let given = model.host_value(&values);
            let found = world.host(map, |host| host.update(&key, &given, flags).map_or_else(|error| error.errno(), |()| 0));
            assert_eq!(found, model.update(&key, &values, None, flags), "{context}");
        }
        _ => {
            let expected = model.lookup(&key).map(|values| model.host_value(values));
            assert_eq!(world.host(map, |host| host.lookup(&key).unwrap()), expected, "{context}");
        }
    }
}
