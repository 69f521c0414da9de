//! The host's side of a map: what the kernel offers by `bpf(2)`. Works while programs run.

use nearside_programs::MapSpec;

use super::layout::Values;
use super::nested::Nested;
use super::{Body, Map, MapError, Maps, Side, array, read};

/// Looks at a map.
///
/// Keys and values are as in the kernel: a value of a per-CPU map is every CPU's, each padded to a multiple of 8 bytes; of a map of maps, the index of the
/// inner map in 4 bytes; of a program array, the first slot of the entry point.
#[derive(Clone, Copy, Debug)]
pub struct MapReader<'a> {
    maps: &'a Maps,
    map: &'a Map,
}

/// Key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Some entries of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<u32>,
}

impl<'a> MapReader<'a> {
    pub(super) fn new(maps: &'a Maps, map: &'a Map) -> Self {
        Self { maps, map }
    }

    /// Its declaration.
    pub fn spec(&self) -> &'a MapSpec {
        &self.map.spec
    }

    /// Bytes of a value as [`MapReader::lookup`] returns it and [`MapWriter::update`] takes it.
    pub fn value_len(&self) -> usize {
        let values = &self.map.values;
        if values.is_per_cpu() { values.padded_len() * self.maps.cpus as usize } else { values.len }
    }

    /// The value of a key; of a prefix map, the one of its longest prefix. Does not count as use.
    ///
    /// A program that changes the value meanwhile may change some words of it and not yet others.
    ///
    /// # Errors
    /// The key has another length, or the map is none of keys and values.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        self.check_key(key)?;
        let values = &self.map.values;
        Ok(match &self.map.body {
            Body::Array => array::slot(&self.map.spec, key).map(|slot| self.copy(values, slot)),
            Body::Keyed(keyed) => keyed.peek(key, |slot| self.copy(values, slot)),
            Body::Prefixes(prefixes) => {
                let prefixes = read(prefixes);
                prefixes.lookup(key).map(|slot| self.copy(values, slot))
            }
            Body::Targets(targets) => targets.slot(self.maps.shared(), values, key).map(|slot| self.copy(values, slot)),
            Body::Nested(nested) => nested.get(key).map(number),
            Body::Programs(programs) => array::index(key).and_then(|index| programs.get(index)).map(number),
            Body::Ring(_) | Body::Events(_) => return Err(MapError::NotSupported),
        })
    }

    /// Up to `max` entries, from `cursor` on; begin with 0 and go on with [`Batch::next`].
    ///
    /// An entry that exists all the time is seen exactly once; one that comes or goes meanwhile, at most once for each time it came.
    ///
    /// # Errors
    /// The map is none of keys and values.
    pub fn batch(&self, cursor: u32, max: usize) -> Result<Batch, MapError> {
        let (shared, values) = (self.maps.shared(), &self.map.values);
        let mut entries = Vec::new();
        let mut copy = |key: &[u8], slot| entries.push((key.to_vec(), self.copy(values, slot)));
        let next = match &self.map.body {
            Body::Array => {
                let end = self.map.spec.entries_max.min(cursor.saturating_add(u32::try_from(max).unwrap_or(u32::MAX)));
                (cursor..end).for_each(|index| copy(&index.to_le_bytes(), index));
                (end < self.map.spec.entries_max).then_some(end)
            }
            Body::Keyed(keyed) => keyed.walk(cursor, max, copy),
            Body::Prefixes(prefixes) => read(prefixes).walk(cursor, max, copy),
            Body::Targets(targets) => targets.walk(shared, values, cursor, max, copy),
            Body::Nested(nested) => nested.walk(cursor, max, |key, inner| entries.push((key.to_vec(), number(inner)))),
            Body::Programs(programs) => programs.walk(cursor, max, |key, entry| entries.push((key.to_vec(), number(entry)))),
            Body::Ring(_) | Body::Events(_) => return Err(MapError::NotSupported),
        };
        Ok(Batch { entries, next })
    }

    /// Every entry, for tests and small maps: as many batches as it takes.
    ///
    /// # Errors
    /// The map is none of keys and values.
    pub fn entries(&self) -> Result<Vec<Entry>, MapError> {
        /// A batch holds the map's lock.
        const BATCH: usize = 1024;
        let Batch { mut entries, mut next } = self.batch(0, BATCH)?;
        while let Some(cursor) = next {
            let batch = self.batch(cursor, BATCH)?;
            entries.extend(batch.entries);
            next = batch.next;
        }
        Ok(entries)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), MapError> {
        if key.len() == self.map.spec.key_len as usize { Ok(()) } else { Err(MapError::Invalid) }
    }

    fn copy(&self, values: &Values, slot: u32) -> Vec<u8> {
        let mut copy = vec![0; self.value_len()];
        if values.is_per_cpu() {
            for (cpu, part) in copy.chunks_exact_mut(values.padded_len()).enumerate() {
                values.read(self.maps.shared(), slot, cpu as u32, &mut part[..values.len]);
            }
        } else {
            values.read(self.maps.shared(), slot, 0, &mut copy);
        }
        copy
    }
}

fn number(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// Looks at a map and changes it.
#[derive(Clone, Copy, Debug)]
pub struct MapWriter<'a>(MapReader<'a>);

impl<'a> std::ops::Deref for MapWriter<'a> {
    type Target = MapReader<'a>;

    fn deref(&self) -> &MapReader<'a> {
        &self.0
    }
}

impl<'a> MapWriter<'a> {
    pub(super) fn new(reader: MapReader<'a>) -> Self {
        Self(reader)
    }

    /// Sets a value. `flags`: 0 any, 1 only a new entry, 2 only an existing one.
    ///
    /// # Errors
    /// Those of the kernel; [`MapError::NotSupported`] where the values are maps or programs, or there are none.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
        self.check_key(key)?;
        if value.len() != self.value_len() {
            return Err(MapError::Invalid);
        }
        self.map.update(self.maps.shared(), Side::Host, key, value, flags)
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        self.map.delete(self.maps.shared(), key)
    }

    /// Makes a map of this instance the value of a key of a map of maps.
    ///
    /// # Errors
    /// Those of the kernel; [`MapError::Invalid`] if the map is not as the inner maps were declared.
    pub fn set_map(&self, key: &[u8], inner: usize, flags: u64) -> Result<(), MapError> {
        self.check_key(key)?;
        let Body::Nested(nested) = &self.map.body else { return Err(MapError::NotSupported) };
        if !self.maps.fits(self.map, inner) {
            return Err(MapError::Invalid);
        }
        Nested::set(nested, key, inner as u32, flags)
    }

    /// Makes an entry point, by its first slot, the element of a program array. What is no entry point of the module that runs is as
    /// if it were not there.
    ///
    /// # Errors
    /// The map is no program array, or `index` beyond its end.
    pub fn set_program(&self, index: u32, entry: u32) -> Result<(), MapError> {
        match &self.map.body {
            Body::Programs(programs) => programs.set(&index.to_le_bytes(), entry, 0),
            _ => Err(MapError::NotSupported),
        }
    }

    /// Takes up to `max` records from a ring buffer, in the order they were reserved, up to the first that is not yet submitted.
    ///
    /// # Errors
    /// The map is no ring buffer.
    pub fn consume(&self, max: usize) -> Result<Vec<Vec<u8>>, MapError> {
        match &self.map.body {
            Body::Ring(ring) => Ok(ring.consume(self.maps.shared(), &self.map.values, max)),
            _ => Err(MapError::NotSupported),
        }
    }

    /// Takes up to `max` records of a CPU from a perf event array, and the number of those lost since the last time.
    ///
    /// # Errors
    /// The map is no perf event array, or has no such CPU.
    pub fn take_events(&self, cpu: u32, max: usize) -> Result<(Vec<Vec<u8>>, u64), MapError> {
        match &self.map.body {
            Body::Events(events) => events.take(cpu, max).ok_or(MapError::NotFound),
            _ => Err(MapError::NotSupported),
        }
    }
}
