//! From declarations to maps: what the kernel checks, what this engine bounds, what is in them from the start.

use nearside_programs::maps::{MAPS_MAX, RDONLY_PROG};
use nearside_programs::{MapKind, MapSpec};

use super::events::{EVENT_QUEUE_LEN, Events};
use super::keyed::Keyed;
use super::layout::{CPUS_MAX, Layout, shared_len};
use super::nested::{Nested, Slots};
use super::prefixes::Prefixes;
use super::ring::{RECORD_LEN, RECORD_LEN_MIN, Ring};
use super::table::{ENTRY_LEN, Table};
use super::targets::Targets;
use super::{Body, Map, Maps, MapsError, SpecError};
use crate::cage::Chunk;

/// How maps are made.
#[derive(Clone, Copy, Debug)]
pub struct MapSetup<'a> {
    /// How many CPUs, that is workers, per-CPU maps have a value for.
    pub cpus: u32,
    /// What they may take.
    pub limits: MapLimits,
    /// Name and first slot of the module's entry points, for program arrays.
    pub entries: &'a [(&'a str, u32)],
}

/// Most memory that maps may take when they are full. What is not used takes none, or next to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLimits {
    /// Bytes of one map.
    pub map_len_max: u64,
    /// Bytes of all maps of an instance.
    pub total_len_max: u64,
}

impl Default for MapLimits {
    /// 512 MiB a map, 1 GiB an instance: above what programs for the kernel declare, far below what the cage could hold.
    fn default() -> Self {
        Self { map_len_max: 512 << 20, total_len_max: 1 << 30 }
    }
}

/// Most bytes of a key in a hash; the kernel has had 512, and no bound but that of its allocator.
const KEY_LEN_MAX: u32 = 4096;
/// Most bytes of a prefix map's data, after 4 bytes of length: the kernel's.
const PREFIX_LEN_MAX: u32 = 256;
/// Most bytes of a per-CPU value: the kernel's.
const PER_CPU_VALUE_LEN_MAX: u32 = 32 << 10;
/// A ring is whole pages of this many bytes.
const PAGE_LEN: u32 = 4096;

/// `BPF_F_*` flags of map creation (linux/bpf.h).
mod flag {
    pub(super) const NO_PREALLOC: u32 = 1 << 0;
    pub(super) const NO_COMMON_LRU: u32 = 1 << 1;
    pub(super) const NUMA_NODE: u32 = 1 << 2;
    pub(super) const RDONLY: u32 = 1 << 3;
    pub(super) const WRONLY: u32 = 1 << 4;
    pub(super) const ZERO_SEED: u32 = 1 << 6;
    pub(super) const MMAPABLE: u32 = 1 << 10;
    pub(super) const PRESERVE_ELEMS: u32 = 1 << 11;
    pub(super) const INNER_MAP: u32 = 1 << 12;
}

pub(super) fn create(specs: &[MapSpec], setup: &MapSetup<'_>) -> Result<Maps, MapsError> {
    let MapSetup { cpus, limits, .. } = *setup;
    if specs.len() > MAPS_MAX {
        return Err(MapsError::Count { given: specs.len(), limit: MAPS_MAX });
    }
    if cpus == 0 || cpus > CPUS_MAX {
        return Err(MapsError::Cpus { given: cpus, limit: CPUS_MAX });
    }
    for spec in specs {
        check(spec).map_err(|reason| refused(spec, reason))?;
    }
    check_len(specs, cpus, limits)?;
    let too_large =
        |index: usize| MapsError::TooLarge { map: specs[index].name.clone(), given: cost(&specs[index], cpus), limit: 0 };
    let layout = Layout::new(specs, cpus).map_err(too_large)?;
    let chunk = Chunk::new(layout.len)?;
    let maps = specs.iter().zip(layout.values).map(|(spec, values)| Map { spec: spec.clone(), values, body: body(spec, cpus) });
    let maps = Maps { maps: maps.collect(), cpus, regions: layout.regions, chunk };
    for map in &maps.maps {
        fill(&maps, map, setup.entries).map_err(|reason| refused(&map.spec, reason))?;
    }
    Ok(maps)
}

fn refused(spec: &MapSpec, reason: SpecError) -> MapsError {
    MapsError::Spec { map: spec.name.clone(), reason }
}

fn check_len(specs: &[MapSpec], cpus: u32, limits: MapLimits) -> Result<(), MapsError> {
    let mut left = limits.total_len_max;
    for spec in specs {
        let (given, limit) = (cost(spec, cpus), left.min(limits.map_len_max));
        if given > limit {
            return Err(MapsError::TooLarge { map: spec.name.clone(), given, limit });
        }
        left -= given;
    }
    Ok(())
}

/// Bytes a map takes when it is full, shared and not.
fn cost(spec: &MapSpec, cpus: u32) -> u64 {
    let (entries, key_len) = (u64::from(spec.entries_max), u64::from(spec.key_len));
    let kept = match spec.kind {
        MapKind::Hash | MapKind::PerCpuHash | MapKind::LruHash | MapKind::LruPerCpuHash => entries * (key_len + ENTRY_LEN),
        MapKind::HashOfMaps | MapKind::DevMapHash => entries * (key_len + ENTRY_LEN),
        MapKind::LpmTrie => entries * (2 * key_len + ENTRY_LEN),
        MapKind::ProgramArray | MapKind::ArrayOfMaps => entries * 4,
        MapKind::RingBuffer => entries / RECORD_LEN_MIN * RECORD_LEN,
        MapKind::PerfEventArray => u64::from(cpus) * EVENT_QUEUE_LEN as u64,
        MapKind::Array | MapKind::PerCpuArray | MapKind::DevMap | MapKind::CpuMap | MapKind::XskMap => 0,
    };
    shared_len(spec, cpus).saturating_add(kept)
}

fn check(spec: &MapSpec) -> Result<(), SpecError> {
    if !key_fits(spec) {
        return Err(SpecError::KeyLen { len: spec.key_len });
    }
    if !value_fits(spec) {
        return Err(SpecError::ValueLen { len: spec.value_len });
    }
    if !entries_fit(spec) {
        return Err(SpecError::Entries { entries: spec.entries_max });
    }
    let flags = spec.flags & !flags_of(spec.kind);
    if flags != 0 {
        return Err(SpecError::Flags { flags });
    }
    let initial_max = if spec.kind == MapKind::Array { spec.value_len as usize } else { 0 };
    if spec.initial.len() > initial_max {
        return Err(SpecError::Initial { len: spec.initial.len() });
    }
    check_inner(spec)
}

fn key_fits(spec: &MapSpec) -> bool {
    match spec.kind {
        MapKind::Hash | MapKind::PerCpuHash | MapKind::LruHash | MapKind::LruPerCpuHash | MapKind::HashOfMaps => {
            (1..=KEY_LEN_MAX).contains(&spec.key_len)
        }
        MapKind::LpmTrie => (5..=4 + PREFIX_LEN_MAX).contains(&spec.key_len),
        MapKind::RingBuffer => spec.key_len == 0,
        MapKind::Array
        | MapKind::PerCpuArray
        | MapKind::ProgramArray
        | MapKind::PerfEventArray
        | MapKind::ArrayOfMaps
        | MapKind::DevMap
        | MapKind::DevMapHash
        | MapKind::CpuMap
        | MapKind::XskMap => spec.key_len == 4,
    }
}

fn value_fits(spec: &MapSpec) -> bool {
    match spec.kind {
        MapKind::Array | MapKind::Hash | MapKind::LruHash | MapKind::LpmTrie => (1..=i32::MAX as u32).contains(&spec.value_len),
        MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash => {
            (1..=PER_CPU_VALUE_LEN_MAX).contains(&spec.value_len)
        }
        MapKind::RingBuffer => spec.value_len == 0,
        MapKind::DevMap | MapKind::DevMapHash | MapKind::CpuMap => matches!(spec.value_len, 4 | 8),
        MapKind::ProgramArray | MapKind::PerfEventArray | MapKind::ArrayOfMaps | MapKind::HashOfMaps | MapKind::XskMap => {
            spec.value_len == 4
        }
    }
}

fn entries_fit(spec: &MapSpec) -> bool {
    match spec.kind {
        MapKind::RingBuffer => spec.entries_max.is_power_of_two() && spec.entries_max.is_multiple_of(PAGE_LEN),
        // 0: one for each CPU.
        MapKind::PerfEventArray => true,
        _ => spec.entries_max > 0,
    }
}

/// What the kernel allows, without what has no meaning here (`WRONLY_PROG`: no processor maps memory for writing alone).
fn flags_of(kind: MapKind) -> u32 {
    use flag::*;
    let any = NUMA_NODE | RDONLY | WRONLY;
    any | match kind {
        MapKind::Hash | MapKind::PerCpuHash => NO_PREALLOC | ZERO_SEED | RDONLY_PROG,
        MapKind::LruHash | MapKind::LruPerCpuHash => NO_COMMON_LRU | ZERO_SEED | RDONLY_PROG,
        MapKind::HashOfMaps => NO_PREALLOC | ZERO_SEED,
        MapKind::Array => MMAPABLE | INNER_MAP | RDONLY_PROG,
        MapKind::PerCpuArray => RDONLY_PROG,
        MapKind::LpmTrie => NO_PREALLOC | RDONLY_PROG,
        MapKind::PerfEventArray => PRESERVE_ELEMS,
        MapKind::ProgramArray
        | MapKind::ArrayOfMaps
        | MapKind::DevMap
        | MapKind::DevMapHash
        | MapKind::CpuMap
        | MapKind::XskMap
        | MapKind::RingBuffer => 0,
    }
}

fn check_inner(spec: &MapSpec) -> Result<(), SpecError> {
    let holds_maps = |spec: &MapSpec| matches!(spec.kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps);
    match &spec.inner {
        None if !holds_maps(spec) => Ok(()),
        Some(inner) if holds_maps(spec) && !holds_maps(inner) && inner.kind != MapKind::ProgramArray => Ok(()),
        _ => Err(SpecError::Inner),
    }
}

/// Whether a map can be a value of one whose inner maps are declared so: the kernel's `map_meta_equal`.
pub(super) fn matches_inner(declared: &MapSpec, given: &MapSpec) -> bool {
    let of = |spec: &MapSpec| (spec.kind, spec.key_len, spec.value_len, spec.flags);
    let any_entries = declared.kind != MapKind::Array || declared.flags & flag::INNER_MAP != 0;
    of(declared) == of(given) && (any_entries || declared.entries_max == given.entries_max)
}

fn body(spec: &MapSpec, cpus: u32) -> Body {
    let entries = spec.entries_max;
    let table = || Table::new(spec.key_len, entries);
    match spec.kind {
        MapKind::Array | MapKind::PerCpuArray => Body::Array,
        MapKind::Hash | MapKind::PerCpuHash => Body::Keyed(Keyed::new(table(), false, cpus)),
        MapKind::LruHash | MapKind::LruPerCpuHash => Body::Keyed(Keyed::new(table(), true, cpus)),
        MapKind::LpmTrie => Body::Prefixes(Prefixes::new(table(), spec.key_len).into()),
        MapKind::ArrayOfMaps => Body::Nested(Nested::Array(Slots::new(entries))),
        MapKind::HashOfMaps => Body::Nested(Nested::Hash(table().into())),
        MapKind::DevMap | MapKind::CpuMap | MapKind::XskMap => Body::Targets(Targets::Array(entries)),
        MapKind::DevMapHash => Body::Targets(Targets::Hash(table().into())),
        MapKind::ProgramArray => Body::Programs(Slots::new(entries)),
        MapKind::RingBuffer => Body::Ring(Ring::new(entries)),
        MapKind::PerfEventArray => Body::Events(Events::new(entries, cpus)),
    }
}

/// What a map holds from the start.
fn fill(maps: &Maps, map: &Map, entries: &[(&str, u32)]) -> Result<(), SpecError> {
    if !map.spec.initial.is_empty() {
        map.values.write(maps.shared(), 0, 0, &map.spec.initial);
    }
    for (index, name) in &map.spec.named {
        let key = index.to_le_bytes();
        let set = match &map.body {
            Body::Programs(programs) => {
                let entry = entries.iter().find(|entry| entry.0 == name.as_str());
                entry.is_some_and(|entry| programs.set(&key, entry.1, 0).is_ok())
            }
            Body::Nested(nested) if map.spec.key_len == 4 => {
                let inner = maps.find(name).filter(|inner| maps.fits(map, *inner));
                inner.is_some_and(|inner| nested.set(&key, inner as u32, 0).is_ok())
            }
            _ => false,
        };
        if !set {
            return Err(SpecError::Named { index: *index, name: name.clone() });
        }
    }
    Ok(())
}

impl Maps {
    /// Whether map `inner` may be a value of `outer`.
    pub(super) fn fits(&self, outer: &Map, inner: usize) -> bool {
        let declared = outer.spec.inner.as_deref();
        declared.zip(self.maps.get(inner)).is_some_and(|(declared, inner)| matches_inner(declared, &inner.spec))
    }
}
