//! Maps of generated programs: one of each kind, and what maps of maps lead to.

use std::sync::LazyLock;

use nearside_programs::maps::RDONLY_PROG;
use nearside_programs::{MapKind, MapSpec};

/// CPUs that per-CPU maps have a value for.
pub(crate) const CPUS: u32 = 2;

/// Names of the programs that the program array has from the start.
pub(crate) const PROGRAMS: [&str; 4] = ["f0", "f1", "f2", "f3"];

/// Where memory of packet programs is: context, buffer, packet, maps that are read-only, and the others.
pub(super) const REGIONS: [u32; 6] = [0x1_0000, 0x2_0000, 0x2_0100, 0x2_0100, 0x8000_0000, 0xa000_0000];

/// A text for `trace_printk`, in the read-only map.
const RODATA: &[u8] = b"%d of %llx, %u\0constants";

/// The maps, made once.
pub(crate) static MAPS: LazyLock<Vec<MapSpec>> = LazyLock::new(specs);

fn spec(name: &str, kind: MapKind, [key_len, value_len, entries_max]: [u32; 3]) -> MapSpec {
    let (flags, inner, initial, named) = (0, None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags, inner, initial, named }
}

fn specs() -> Vec<MapSpec> {
    use MapKind::*;
    let inner = |name| spec(name, Hash, [4, 8, 3]);
    let programs = (0..).zip(PROGRAMS).map(|(index, name)| (index, name.to_owned())).collect();
    vec![
        spec("array", Array, [4, 16, 4]),
        MapSpec { flags: RDONLY_PROG, initial: RODATA.to_vec(), ..spec(".rodata", Array, [4, 24, 1]) },
        spec("percpu_array", PerCpuArray, [4, 12, 3]),
        spec("hash", Hash, [4, 16, 4]),
        spec("percpu_hash", PerCpuHash, [8, 8, 3]),
        spec("lru", LruHash, [4, 8, 3]),
        spec("percpu_lru", LruPerCpuHash, [4, 8, 3]),
        MapSpec { flags: 1, ..spec("lpm", LpmTrie, [8, 8, 4]) },
        MapSpec {
            inner: Some(Box::new(inner("template"))),
            named: vec![(1, "inner".into()), (2, "other".into())],
            ..spec("array_of_maps", ArrayOfMaps, [4, 4, 4])
        },
        MapSpec { inner: Some(Box::new(inner("template"))), ..spec("hash_of_maps", HashOfMaps, [4, 4, 4]) },
        spec("devmap", DevMap, [4, 4, 4]),
        spec("devmap_hash", DevMapHash, [4, 8, 4]),
        spec("cpumap", CpuMap, [4, 4, 4]),
        spec("xskmap", XskMap, [4, 4, 4]),
        MapSpec { named: programs, ..spec("programs", ProgramArray, [4, 4, 6]) },
        spec("ring", RingBuffer, [0, 0, 4096]),
        spec("events", PerfEventArray, [4, 4, CPUS]),
        inner("inner"),
        inner("other"),
    ]
}
