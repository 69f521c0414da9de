//! Maps as JSON: what is in them before the first packet, and after the last one.
//!
//! `{"map": [{"key": "hex", "value": "hex"}, …]}` in the maps' own byte order. The value of a per-CPU map is one for all CPUs, or one after the other; of a
//! map of maps the name of the inner map; of a program array the name of a function or section. A name that no map of the object has makes an inner map of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use nearside_engine::{MapWriter, Maps};
use nearside_programs::maps::MAPS_MAX;
use nearside_programs::{MapKind, MapSpec, Object};
use serde::{Deserialize, Serialize};

use super::program;
use crate::hex;

/// Most bytes of the file.
const SETUP_LEN_MAX: u64 = 256 << 20;
/// Records and entries taken from a map at a time.
const BATCH: usize = 1024;

/// Contents of maps, by name.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Contents(BTreeMap<String, Vec<Entry>>);

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Records of ring buffers and perf event arrays have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key: String,
    value: String,
}

impl Contents {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let len = std::fs::metadata(path)?.len();
            ensure!(len <= SETUP_LEN_MAX, "{len} bytes; the limit is {SETUP_LEN_MAX}");
            Self::parse(&std::fs::read(path)?)
        };
        read().with_context(|| format!("maps {}", path.display()))
    }

    /// What a file says.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn parse(json: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(json)?)
    }

    /// Adds the inner maps that only this file names to the object's.
    ///
    /// # Errors
    /// There would be too many.
    pub fn declare(&self, object: &mut Object) -> anyhow::Result<()> {
        for (name, entries) in &self.0 {
            // Names that are not there yet may come; what is missing in the end is noticed when maps are filled.
            let outer = object.maps.iter().find(|map| map.name == *name);
            let Some(inner) = outer.and_then(|map| map.inner.as_deref()).cloned() else { continue };
            for entry in entries.iter().filter(|entry| !entry.value.is_empty()) {
                if object.maps.iter().all(|map| map.name != entry.value) {
                    ensure!(object.maps.len() < MAPS_MAX, "map `{}`: at most {MAPS_MAX} maps are allowed", entry.value);
                    object.maps.push(MapSpec { name: entry.value.clone(), ..inner.clone() });
                }
            }
        }
        Ok(())
    }

    /// First slots of the programs that program arrays will have.
    ///
    /// # Errors
    /// The object has no such program.
    pub fn programs(&self, object: &Object) -> anyhow::Result<Vec<u32>> {
        let mut slots = Vec::new();
        for (name, entries) in &self.0 {
            let is_array = |map: &MapSpec| map.name == *name && map.kind == MapKind::ProgramArray;
            if object.maps.iter().any(is_array) {
                for entry in entries {
                    let function = program::select(object, Some(&entry.value)).with_context(|| format!("map `{name}`"))?;
                    slots.push(function.start);
                }
            }
        }
        Ok(slots)
    }

    /// Puts everything into an instance's maps.
    ///
    /// # Errors
    /// It does not fit there; what came before is in the maps.
    pub fn fill(&self, object: &Object, maps: &Maps) -> anyhow::Result<()> {
        for (name, entries) in &self.0 {
            let map = maps.find(name).and_then(|index| maps.host(index)).with_context(|| unknown(object, name))?;
            for (index, entry) in entries.iter().enumerate() {
                set(object, maps, &map, entry).with_context(|| format!("map `{name}`: entry {index}"))?;
            }
        }
        Ok(())
    }

    /// What is in an instance's maps; records that are taken are gone.
    ///
    /// # Errors
    /// The instance is not of this object.
    pub fn take(object: &Object, maps: &Maps) -> anyhow::Result<Self> {
        let mut contents = BTreeMap::new();
        for (index, spec) in maps.specs().enumerate() {
            let map = maps.host(index).with_context(|| format!("map `{}` is missing", spec.name))?;
            let entries = taken(object, maps, &map).with_context(|| format!("map `{}`", spec.name))?;
            contents.insert(spec.name.clone(), entries);
        }
        Ok(Self(contents))
    }

    /// As a file says it.
    ///
    /// # Errors
    /// Never: names and hex digits are JSON.
    pub fn to_json(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> { Ok(std::fs::write(path, self.to_json()?)?) };
        write().with_context(|| format!("maps {}", path.display()))
    }
}

fn unknown(object: &Object, name: &str) -> anyhow::Error {
    let names: Vec<_> = object.maps.iter().map(|map| format!("`{}`", map.name)).collect();
    anyhow!("no map is named `{name}`; there are {}", if names.is_empty() { "none".into() } else { names.join(", ") })
}

fn set(object: &Object, maps: &Maps, map: &MapWriter<'_>, Entry { key, value }: &Entry) -> anyhow::Result<()> {
    let spec = map.spec();
    let key = hex::parse(key).context("key")?;
    ensure!(key.len() == spec.key_len as usize, "key: {} bytes; the map's keys have {}", key.len(), spec.key_len);
    match spec.kind {
        MapKind::ArrayOfMaps | MapKind::HashOfMaps => {
            let inner = maps.find(value).with_context(|| unknown(object, value))?;
            map.set_map(&key, inner, 0)?;
        }
        MapKind::ProgramArray => {
            let function = program::select(object, Some(value))?;
            let index = <[u8; 4]>::try_from(key).map_err(|key| anyhow!("key: {} bytes; an index has 4", key.len()))?;
            map.set_program(u32::from_le_bytes(index), function.start)?;
        }
        _ => {
            let value = hex::parse(value).context("value")?;
            map.update(&key, &for_every_cpu(spec, maps.cpus() as usize, value)?, 0)?;
        }
    }
    Ok(())
}

/// Whether every CPU has a value of its own.
fn is_per_cpu(spec: &MapSpec) -> bool {
    matches!(spec.kind, MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash)
}

/// As maps take it: of a per-CPU map one after the other, each a multiple of 8 bytes.
fn for_every_cpu(spec: &MapSpec, cpus: usize, value: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let (len, given) = (spec.value_len as usize, value.len());
    if !is_per_cpu(spec) {
        ensure!(given == len, "value: {given} bytes; the map's values have {len}");
        return Ok(value);
    }
    let padded = len.next_multiple_of(8);
    let one = |value: &[u8]| [value, &vec![0; padded - len]].concat();
    match given {
        _ if given == len => Ok(one(&value).repeat(cpus)),
        _ if given == len * cpus => Ok(value.chunks_exact(len).flat_map(one).collect()),
        _ if given == padded * cpus => Ok(value),
        _ => bail!("value: {given} bytes; the map's values have {len}, and there are {cpus} CPUs"),
    }
}

fn taken(object: &Object, maps: &Maps, map: &MapWriter<'_>) -> anyhow::Result<Vec<Entry>> {
    let spec = map.spec();
    let record = |bytes: Vec<u8>| Entry { key: String::new(), value: hex::print(&bytes) };
    let records = |mut take: Box<dyn FnMut() -> anyhow::Result<Vec<Vec<u8>>> + '_>| {
        let mut all = Vec::new();
        loop {
            let batch = take()?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch.into_iter().map(record));
        }
    };
    match spec.kind {
        MapKind::RingBuffer => return records(Box::new(|| Ok(map.consume(BATCH)?))),
        MapKind::PerfEventArray => return records(Box::new(|| Ok(map.take_events(super::CPU, BATCH)?.0))),
        _ => {}
    }
    let mut entries = map.entries()?;
    entries.sort();
    let shown = |value: &[u8]| match spec.kind {
        MapKind::ArrayOfMaps | MapKind::HashOfMaps => {
            number(value).and_then(|index| Some(maps.specs().nth(index as usize)?.name.clone())).unwrap_or_default()
        }
        MapKind::ProgramArray => {
            let function = number(value).and_then(|slot| object.functions.iter().find(|function| function.start == slot));
            function.map(|function| function.name.clone()).unwrap_or_default()
        }
        _ if is_per_cpu(spec) => {
            let len = spec.value_len as usize;
            value.chunks(len.next_multiple_of(8)).map(|value| hex::print(&value[..len])).collect()
        }
        _ => hex::print(value),
    };
    Ok(entries.iter().map(|(key, value)| Entry { key: hex::print(key), value: shown(value) }).collect())
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_le_bytes)
}
