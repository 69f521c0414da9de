//! Where values are: a function of the declarations, so that compiled code may have addresses in it and yet belong to no instance.
//!
//! Two segments, what programs may only read and the rest, each a region of the cage. Arrays come first, in the order of their
//! declaration: where they are does not depend on the number of CPUs either.

use std::ops::Range;

use nearside_programs::{MapKind, MapSpec};

use super::Side;
use crate::memory::{Access, MAPS_READ_ONLY, MAPS_READ_WRITE, Placed, REGION_UNIT, Region};
use crate::shared::Shared;

/// Most CPUs that per-CPU maps can have values for.
pub const CPUS_MAX: u32 = 1024;

/// Maps, and the values of different CPUs, do not share a cache line.
const ALIGNMENT: u64 = 64;

/// Where a map's values are. Slots are numbered from 0; a per-CPU map has each slot once for every CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    /// Cage address of slot 0 of CPU 0.
    address: u32,
    /// The same in the chunk.
    offset: usize,
    /// Bytes from a slot to the next one.
    stride: usize,
    /// Bytes from a CPU's slots to the next one's; 0 if all CPUs share them.
    plane: usize,
    /// Bytes of a value.
    pub(super) len: usize,
}

impl Values {
    pub(super) fn address(&self, slot: u32, cpu: u32) -> u64 {
        u64::from(self.address) + self.inside(slot, cpu) as u64
    }

    pub(super) fn offset(&self, slot: u32, cpu: u32) -> usize {
        self.offset + self.inside(slot, cpu)
    }

    pub(super) fn read(&self, shared: Shared<'_>, slot: u32, cpu: u32, value: &mut [u8]) {
        shared.read(self.offset(slot, cpu), value);
    }

    pub(super) fn write(&self, shared: Shared<'_>, slot: u32, cpu: u32, value: &[u8]) {
        shared.write(self.offset(slot, cpu), value);
    }

    pub(super) fn zero(&self, shared: Shared<'_>, slot: u32, cpu: u32) {
        shared.zero(self.offset(slot, cpu), self.len);
    }

    /// Writes what `side` gave: one value, or from the host each CPU's, padded to multiples of 8 bytes.
    pub(super) fn put(&self, shared: Shared<'_>, slot: u32, side: Side, value: &[u8]) {
        match side {
            Side::Program { cpu } => self.write(shared, slot, cpu, value),
            Side::Host if !self.is_per_cpu() => self.write(shared, slot, 0, value),
            Side::Host => {
                for (cpu, value) in value.chunks_exact(self.padded_len()).enumerate() {
                    self.write(shared, slot, cpu as u32, &value[..self.len]);
                }
            }
        }
    }

    /// Whether each CPU has values of its own.
    pub(super) fn is_per_cpu(&self) -> bool {
        self.plane > 0
    }

    /// Bytes of a value and its padding, where there are several.
    pub(super) fn padded_len(&self) -> usize {
        self.len.next_multiple_of(8)
    }

    fn inside(&self, slot: u32, cpu: u32) -> usize {
        slot as usize * self.stride + cpu as usize * self.plane
    }
}

/// How many bytes of each CPU's values follow each other, and how many CPUs have some. Saturates, so that too much stays too much.
struct Extent {
    stride: u64,
    slots: u64,
    planes: u64,
}

impl Extent {
    fn new(spec: &MapSpec, cpus: u32) -> Self {
        let (entries, value) = (u64::from(spec.entries_max), u64::from(spec.value_len).next_multiple_of(8));
        let (stride, slots, planes) = match spec.kind {
            MapKind::Array => (value, entries, 1),
            MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash => (value, entries, u64::from(cpus)),
            // An update replaces a value by another one, for which every CPU has a slot to spare.
            MapKind::Hash | MapKind::LruHash | MapKind::LpmTrie => (value, entries + u64::from(cpus), 1),
            MapKind::DevMap | MapKind::XskMap | MapKind::CpuMap | MapKind::DevMapHash => (8, entries, 1),
            // A record that reaches the end goes on behind it, rather than at the begin.
            MapKind::RingBuffer => (1, 2 * entries, 1),
            MapKind::ProgramArray | MapKind::PerfEventArray | MapKind::ArrayOfMaps | MapKind::HashOfMaps => (0, 0, 1),
        };
        Self { stride, slots, planes }
    }

    fn plane(&self) -> u64 {
        self.stride.saturating_mul(self.slots).saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
    }

    fn len(&self) -> u64 {
        self.plane().saturating_mul(self.planes)
    }
}

/// Bytes of shared memory a map takes.
pub(super) fn shared_len(spec: &MapSpec, cpus: u32) -> u64 {
    Extent::new(spec, cpus).len()
}

/// One region's worth of maps.
struct Segment {
    window: Range<u32>,
    access: Access,
    used: u64,
}

impl Segment {
    /// The next `len` bytes, if there are as many: where they begin.
    fn place(&mut self, len: u64) -> Option<u32> {
        let end = self.used.checked_add(len).filter(|end| *end <= u64::from(self.window.end - self.window.start))?;
        Some(self.window.start + std::mem::replace(&mut self.used, end) as u32)
    }

    fn region(&self) -> Region {
        let len = (self.used as u32).next_multiple_of(REGION_UNIT);
        Region { start: self.window.start, len, reserved: len, access: self.access }
    }
}

struct Segments {
    read_only: Segment,
    read_write: Segment,
}

impl Segments {
    fn new() -> Self {
        let segment = |window, access| Segment { window, access, used: 0 };
        Self { read_only: segment(MAPS_READ_ONLY, Access::ReadOnly), read_write: segment(MAPS_READ_WRITE, Access::ReadWrite) }
    }

    fn place(&mut self, spec: &MapSpec, len: u64) -> Option<u32> {
        // A program could redirect to wherever it likes, could it write there.
        let targets = matches!(spec.kind, MapKind::DevMap | MapKind::XskMap | MapKind::CpuMap | MapKind::DevMapHash);
        let segment = if spec.is_read_only() || targets { &mut self.read_only } else { &mut self.read_write };
        segment.place(len)
    }
}

/// By map: the cage address of element 0, if it is an array that fits.
pub(crate) fn direct_values(specs: &[MapSpec]) -> Vec<Option<u32>> {
    place_arrays(&mut Segments::new(), specs)
}

fn place_arrays(segments: &mut Segments, specs: &[MapSpec]) -> Vec<Option<u32>> {
    let place = |spec: &MapSpec| match spec.kind {
        MapKind::Array if spec.entries_max > 0 => segments.place(spec, shared_len(spec, 1)),
        _ => None,
    };
    specs.iter().map(place).collect()
}

/// Where everything is.
pub(super) struct Layout {
    /// By map.
    pub(super) values: Vec<Values>,
    /// Those that are not empty; offsets are in the chunk.
    pub(super) regions: Vec<Placed>,
    /// Bytes of the chunk.
    pub(super) len: usize,
}

impl Layout {
    /// Lays out maps; or the index of one that does not fit into the cage.
    pub(super) fn new(specs: &[MapSpec], cpus: u32) -> Result<Self, usize> {
        let mut segments = Segments::new();
        let mut addresses = place_arrays(&mut segments, specs);
        for (index, (spec, address)) in specs.iter().zip(&mut addresses).enumerate() {
            if spec.kind != MapKind::Array {
                *address = segments.place(spec, shared_len(spec, cpus));
            }
            if address.is_none() {
                return Err(index);
            }
        }
        let mut regions = Vec::new();
        let mut len = 0;
        for segment in [&segments.read_only, &segments.read_write].into_iter().filter(|segment| segment.used > 0) {
            regions.push(Placed { region: segment.region(), offset: len });
            len += segment.region().len as usize;
        }
        let values =
            specs.iter().zip(addresses.into_iter().flatten()).map(|(spec, address)| values(spec, cpus, address, &regions));
        Ok(Self { values: values.collect(), regions, len })
    }
}

fn values(spec: &MapSpec, cpus: u32, address: u32, regions: &[Placed]) -> Values {
    let extent = Extent::new(spec, cpus);
    let per_cpu = matches!(spec.kind, MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash);
    let region = regions.iter().rfind(|placed| placed.region.start <= address);
    Values {
        address,
        offset: region.map_or(0, |placed| placed.offset + (address - placed.region.start) as usize),
        stride: extent.stride as usize,
        plane: if per_cpu { extent.plane() as usize } else { 0 },
        len: spec.value_len as usize,
    }
}
