//! What is particular to a kind: addresses, replaced values, eviction, maps of maps, targets.

use nearside_engine::{Fuel, HelperFault, MapError, MapHelpers, Trap};
use nearside_programs::maps::RDONLY_PROG;
use nearside_programs::{MapKind, MapSpec};

use super::{BACKENDS, CPUS, KEY, World, compile, errno, reference, spec};
use crate::common::{FUEL, text_code};

/// `lddw` of an array's element is the address a lookup of index 0 returns, with initial contents; the module knows it before there is
/// a map, whatever the number of CPUs.
#[test]
fn values_by_lddw() {
    let specs = [
        spec("counters", MapKind::PerCpuArray, 4, 1000, 100),
        MapSpec { initial: b"constants".to_vec(), flags: RDONLY_PROG, ..spec(".rodata", MapKind::Array, 4, 16, 1) },
        MapSpec { initial: vec![7, 0, 0, 0, 9], ..spec(".data", MapKind::Array, 4, 8, 2) },
    ];
    let mut world = World::new(&specs);
    for (map, offset, expected) in [(1, 0, u64::from_le_bytes(*b"constant")), (1, 8, b's'.into()), (2, 0, 7 | 9 << 32)] {
        let text =
            format!("ld_pseudo r1, 0x6, {map:#x}, {offset:#x}\nr0 = *(u64 *)(r1 + 0x0)\nr2 = r1\nr2 -= r3\nr0 += r2\nexit");
        let slots = text_code(&text).code;
        world.put(KEY, &[0; 4]);
        let address = world.call(1, [reference(map), KEY, 0, 0, 0]).unwrap();
        for side in &mut world.sides {
            let module = compile(&slots, &[0], &specs, side.backend);
            let run = module.run(&mut side.cage, 0, [0, 0, address, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
            assert_eq!(run, Ok(expected + offset), "map {map} + {offset}");
        }
    }
}

/// Programs load from constants, and trap on a store; the host may write.
#[test]
fn read_only_maps() {
    let specs = [MapSpec { flags: RDONLY_PROG, ..spec(".rodata", MapKind::Array, 4, 8, 1) }];
    let mut world = World::new(&specs);
    let slots =
        text_code("ld_pseudo r1, 0x6, 0x0, 0x0\nr0 = *(u64 *)(r1 + 0x0)\nif r0 == 0x5 goto +0x1\n*(u64 *)(r1 + 0x0) = 0x1\nexit")
            .code;
    for side in &mut world.sides {
        let module = compile(&slots, &[0], &specs, side.backend);
        let mut run = || module.run(&mut side.cage, 0, [0; 5], &mut Fuel(FUEL), &mut MapHelpers::new(0));
        assert!(matches!(run(), Err(Trap::Memory { pc: 4, .. })), "{:?}", run());
        side.maps.host(0).unwrap().update(&[0; 4], &[5, 0, 0, 0, 0, 0, 0, 0], 0).unwrap();
        assert_eq!(run(), Ok(5));
    }
    // Not by a helper either.
    let refused = HelperFault::Argument { index: 1, value: reference(0) };
    assert_eq!(world.call(2, [reference(0), KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number: 2, fault: refused }));
    assert_eq!(world.call(3, [reference(0), KEY, 0, 0, 0]), Err(Trap::Helper { pc: 0, number: 3, fault: refused }));
}

/// As in the kernel: whoever holds the address of a hash's value sees the old one after an update, and the entry is elsewhere; an
/// array's is overwritten in place.
#[test]
fn updates_replace_a_hashs_values() {
    let specs = [spec("hash", MapKind::Hash, 4, 8, 4), spec("array", MapKind::Array, 4, 8, 4)];
    let mut world = World::new(&specs);
    let key = [1, 0, 0, 0];
    for (map, after) in [(0, 1), (1, 2)] {
        assert_eq!(world.update(map, &key, &[1; 8], 0), 0);
        let address = world.call(1, [reference(map), KEY, 0, 0, 0]).unwrap();
        assert_eq!(world.update(map, &key, &[2; 8], 0), 0);
        assert_eq!(world.bytes(address, 8), [after; 8]);
        assert_eq!(world.lookup(map, &key), Some(vec![2; 8]));
    }
}

/// A program changes a value through its address, atomically too, and everybody sees it.
#[test]
fn values_are_memory() {
    let specs = [spec("hash", MapKind::Hash, 8, 8, 4)];
    let text = "*(u64 *)(r10 - 0x8) = 0x2a\nr2 = r10\nr2 += -0x8\nld_pseudo r1, 0x5, 0x0\ncall 0x1\nif r0 == 0x0 goto +0x4\n\
                r1 = 0x5\nlock *(u64 *)(r0 + 0x0) += r1\n*(u8 *)(r0 + 0x7) = 0x1\nr0 = *(u32 *)(r0 + 0x0)\nexit";
    let slots = text_code(text).code;
    let world = World::new(&specs);
    for mut side in world.sides {
        let module = compile(&slots, &[0], &specs, side.backend);
        let mut run = || module.run(&mut side.cage, 0, [0; 5], &mut Fuel(FUEL), &mut MapHelpers::new(0));
        assert_eq!(run(), Ok(0));
        let key = 42_u64.to_le_bytes();
        side.maps.host(0).unwrap().update(&key, &3_u64.to_le_bytes(), 0).unwrap();
        assert_eq!((run(), run()), (Ok(8), Ok(13)));
        assert_eq!(side.maps.host(0).unwrap().lookup(&key), Ok(Some((1 << 56 | 13_u64).to_le_bytes().to_vec())));
    }
}

/// A full LRU map takes every new key, evicts one entry for it, never the newest, and not what is looked up all the time.
#[test]
fn lru_maps_evict() {
    for kind in [MapKind::LruHash, MapKind::LruPerCpuHash] {
        let mut world = World::new(&[spec("lru", kind, 4, 8, 10)]);
        assert_eq!(world.update(0, &[0; 4], &[9; 8], 0), 0);
        for key in 1..100_u32 {
            assert_eq!(world.lookup(0, &[0; 4]), Some(vec![9; 8]), "{key}");
            assert_eq!(world.update(0, &key.to_le_bytes(), &[key as u8; 8], 1), 0);
            assert_eq!(world.lookup(0, &key.to_le_bytes()), Some(vec![key as u8; 8]));
            let entries = world.host(0, |host| host.entries().unwrap());
            assert_eq!(entries.len(), (key as usize + 1).min(10));
        }
        assert_eq!(world.update(0, &[1; 4], &[0; 8], 2), libc::ENOENT);
        assert_eq!(world.update(0, &[0; 4], &[0; 8], 1), libc::EEXIST);
        assert_eq!(world.update(0, &[0; 4], &[0; 8], 3), libc::EINVAL);
        assert_eq!(world.delete(0, &[0; 4]), 0);
        assert_eq!(world.delete(0, &[0; 4]), libc::ENOENT);
    }
    // Without lookups, the oldest goes first.
    let mut world = World::new(&[spec("lru", MapKind::LruHash, 4, 8, 10)]);
    for key in 0..25_u32 {
        assert_eq!(world.update(0, &key.to_le_bytes(), &[0; 8], 0), 0);
        let mut keys = world.host(0, |host| host.entries().unwrap()).into_iter().map(|entry| entry.0[0]).collect::<Vec<_>>();
        keys.sort_unstable();
        assert_eq!(keys, (0..=key as u8).rev().take(10).rev().collect::<Vec<_>>());
    }
}

/// A CPU's program sees and sets its own value; a new entry is zero for the others, whatever was there.
#[test]
fn per_cpu_values() {
    let mut world = World::new(&[spec("hash", MapKind::PerCpuHash, 4, 4, 2), spec("array", MapKind::PerCpuArray, 4, 4, 2)]);
    let all = |values: [u8; 3]| values.iter().flat_map(|value| [[*value; 4], [0; 4]].concat()).collect::<Vec<u8>>();
    for map in [0, 1] {
        for round in 0..3 {
            for cpu in 0..CPUS {
                world.cpu = cpu;
                assert_eq!(world.update(map, &[0; 4], &[cpu as u8 + 10 * round; 4], 0), 0);
            }
            let expected = all([0, 1, 2].map(|cpu| cpu + 10 * round));
            assert_eq!(world.host(map, |host| host.lookup(&[0; 4]).unwrap()), Some(expected));
        }
        for cpu in 0..CPUS {
            let address = world.call(195, [reference(map), KEY, cpu.into(), 0, 0]).unwrap();
            assert_eq!(world.bytes(address, 4), [cpu as u8 + 20; 4]);
        }
        assert_eq!(world.call(195, [reference(map), KEY, CPUS.into(), 0, 0]), Ok(0));
        world.cpu = 1;
        assert_eq!(world.call(8, [0; 5]), Ok(1));
        let given = all([5, 6, 7]);
        assert_eq!(world.host(map, |host| host.update(&[0; 4], &given, 2)), Ok(()));
        assert_eq!(world.lookup(map, &[0; 4]), Some(vec![6; 4]));
        assert_eq!(world.host(map, |host| host.update(&[0; 4], &given[1..], 0)), Err(MapError::Invalid));
    }
    assert_eq!(world.delete(0, &[0; 4]), 0);
    assert_eq!(world.update(0, &[0; 4], &[1; 4], 1), 0);
    assert_eq!(world.host(0, |host| host.lookup(&[0; 4]).unwrap()), Some(all([0, 1, 0])));
}

/// A lookup in a map of maps is a reference that the other helpers take; the host sets it, and only to what was declared.
#[test]
fn maps_of_maps() {
    let inner = |name| spec(name, MapKind::Hash, 4, 8, 4);
    let outer = |name, kind, key_len| MapSpec { inner: Some(Box::new(inner("template"))), ..spec(name, kind, key_len, 4, 3) };
    let specs = [
        MapSpec { named: vec![(1, "second".into())], ..outer("array", MapKind::ArrayOfMaps, 4) },
        outer("hash", MapKind::HashOfMaps, 2),
        inner("first"),
        inner("second"),
        spec("other", MapKind::Hash, 4, 4, 4),
    ];
    let mut world = World::new(&specs);
    assert_eq!(world.lookup_reference(0, &[1, 0, 0, 0]), Some(reference(3)));
    assert_eq!(world.lookup_reference(1, &[1, 0]), None);
    assert_eq!(world.host(1, |host| host.set_map(&[1, 0], 2, 2)), Err(MapError::NotFound));
    assert_eq!(world.host(1, |host| host.set_map(&[1, 0], 2, 1)), Ok(()));
    assert_eq!(world.host(1, |host| host.set_map(&[1, 0], 3, 1)), Err(MapError::Exists));
    assert_eq!(world.host(1, |host| host.set_map(&[1, 0], 4, 0)), Err(MapError::Invalid));
    assert_eq!(world.host(0, |host| host.set_map(&[3, 0, 0, 0], 2, 0)), Err(MapError::TooBig));
    assert_eq!(world.host(0, |host| host.set_map(&[0; 4], 2, 1)), Err(MapError::Invalid));
    let found = world.lookup_reference(1, &[1, 0]).unwrap();
    assert_eq!(found, reference(2));
    assert_eq!(world.call(2, [found, KEY, KEY, 0, 0]), Ok(0));
    assert!(world.lookup(2, &[1, 0, 0, 0]).is_some());
    assert_eq!(world.host(0, |host| host.entries()), Ok(vec![(vec![1, 0, 0, 0], vec![3, 0, 0, 0])]));
    assert_eq!(world.host(0, |host| host.delete(&[1, 0, 0, 0])), Ok(()));
    assert_eq!(world.host(0, |host| host.delete(&[1, 0, 0, 0])), Err(MapError::NotFound));
    assert_eq!(world.call(1, [reference(0), KEY, 0, 0, 0]), Ok(0));
    // Programs cannot change what leads to a map.
    let fault = HelperFault::Argument { index: 1, value: reference(1) };
    assert_eq!(world.call(2, [reference(1), KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number: 2, fault }));
}

/// Targets of redirects: empty until the host sets them, visible to programs, who cannot change them.
#[test]
fn redirect_targets() {
    let specs = [
        spec("devmap", MapKind::DevMap, 4, 8, 4),
        spec("devmap_hash", MapKind::DevMapHash, 4, 4, 2),
        spec("xskmap", MapKind::XskMap, 4, 4, 4),
        spec("cpumap", MapKind::CpuMap, 4, 4, 4),
    ];
    let mut world = World::new(&specs);
    for (map, value) in [(0, vec![7, 0, 0, 0, 1, 2, 3, 4]), (1, vec![7, 0, 0, 0]), (2, vec![7, 0, 0, 0]), (3, vec![7, 0, 0, 0])] {
        let target = |world: &World, key| world.sides.each_ref().map(|side| side.maps.redirect_target(reference(map), key));
        assert_eq!(target(&world, 3), [Ok(None), Ok(None)]);
        assert_eq!(world.host(map, |host| host.update(&[3, 0, 0, 0], &value, 3)), Err(MapError::Invalid));
        assert_eq!(world.host(map, |host| host.update(&[3, 0, 0, 0], &value, 0)), Ok(()));
        assert_eq!(world.host(map, |host| host.update(&[3, 0, 0, 0], &value, 1)), Err(MapError::Exists));
        assert_eq!(target(&world, 3), [Ok(Some(7)), Ok(Some(7))]);
        assert_eq!(target(&world, 9), [Ok(None), Ok(None)]);
        assert_eq!(world.host(map, |host| host.entries()), Ok(vec![(vec![3, 0, 0, 0], value.clone())]));
        if map != 3 {
            assert_eq!(world.lookup(map, &[3, 0, 0, 0]), Some(value.clone()));
            assert_eq!(world.lookup(map, &[2, 0, 0, 0]), None);
        }
        let fault = HelperFault::Argument { index: 1, value: reference(map) };
        assert_eq!(world.call(2, [reference(map), KEY, KEY, 0, 0]), Err(Trap::Helper { pc: 0, number: 2, fault }));
        assert_eq!(world.host(map, |host| host.delete(&[3, 0, 0, 0])), Ok(()));
        assert_eq!(target(&world, 3), [Ok(None), Ok(None)]);
    }
    let zero = |map: usize, len| world.host(map, |host| host.update(&[3, 0, 0, 0], &vec![0; len], 0));
    assert_eq!((zero(0, 8), zero(1, 4)), (Ok(()), Err(MapError::Invalid)));
    assert_eq!(world.host(0, |host| host.update(&[9, 0, 0, 0], &[1; 8], 0)), Err(MapError::TooBig));
    let fault = HelperFault::Argument { index: 1, value: 5 };
    assert_eq!(world.sides[0].maps.redirect_target(5, 0), Err(fault));
    assert_eq!(errno(1), u64::MAX);
    assert_eq!(BACKENDS.len(), 2);
}
