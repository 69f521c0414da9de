//! What can be declared, how much it may take, and where it may be.

use std::sync::Arc;

use nearside_engine::{Access, CPUS_MAX, Cage, CageError, MapLimits, MapSetup, Maps, MapsError, Region, SpecError};
use nearside_programs::{MapKind, MapSpec};

use super::{spec, try_maps};
use crate::common::REGIONS;

#[track_caller]
fn refused(spec: &MapSpec, expected: &SpecError) {
    match try_maps(std::slice::from_ref(spec), 2) {
        Err(MapsError::Spec { reason, .. }) => assert_eq!(&reason, expected, "{spec:?}"),
        other => panic!("{spec:?}: {other:?}"),
    }
}

#[test]
fn declarations_are_checked() {
    use MapKind::*;
    let key_len = |len| SpecError::KeyLen { len };
    let value_len = |len| SpecError::ValueLen { len };
    let entries = |entries| SpecError::Entries { entries };
    for kind in [Array, PerCpuArray, ProgramArray, PerfEventArray, ArrayOfMaps, DevMap, DevMapHash, CpuMap, XskMap] {
        refused(&spec("m", kind, 8, 4, 1), &key_len(8));
    }
    for kind in [Hash, PerCpuHash, LruHash, LruPerCpuHash] {
        refused(&spec("m", kind, 0, 4, 1), &key_len(0));
        refused(&spec("m", kind, 4097, 4, 1), &key_len(4097));
        refused(&spec("m", kind, 4, 0, 1), &value_len(0));
        refused(&spec("m", kind, 4, 4, 0), &entries(0));
    }
    refused(&spec("m", LpmTrie, 4, 4, 1), &key_len(4));
    refused(&spec("m", LpmTrie, 261, 4, 1), &key_len(261));
    refused(&spec("m", RingBuffer, 4, 0, 4096), &key_len(4));
    refused(&spec("m", RingBuffer, 0, 4, 4096), &value_len(4));
    for len in [0, 1, 2048, 4097, 12_288, u32::MAX] {
        refused(&spec("m", RingBuffer, 0, 0, len), &entries(len));
    }
    refused(&spec("m", PerCpuArray, 4, 32_769, 1), &value_len(32_769));
    refused(&spec("m", DevMap, 4, 5, 1), &value_len(5));
    refused(&spec("m", ArrayOfMaps, 4, 4, 1), &SpecError::Inner);
    refused(&MapSpec { inner: Some(Box::new(spec("i", Array, 4, 4, 1))), ..spec("m", Array, 4, 4, 1) }, &SpecError::Inner);
    refused(
        &MapSpec { inner: Some(Box::new(spec("i", HashOfMaps, 4, 4, 1))), ..spec("m", HashOfMaps, 4, 4, 1) },
        &SpecError::Inner,
    );
    refused(&MapSpec { flags: 1 << 8, ..spec("m", Array, 4, 4, 1) }, &SpecError::Flags { flags: 1 << 8 });
    refused(&MapSpec { flags: 1, ..spec("m", LruHash, 4, 4, 1) }, &SpecError::Flags { flags: 1 });
    refused(&MapSpec { initial: vec![0; 5], ..spec("m", Array, 4, 4, 9) }, &SpecError::Initial { len: 5 });
    refused(&MapSpec { initial: vec![0], ..spec("m", Hash, 4, 4, 9) }, &SpecError::Initial { len: 1 });
    let named = |kind| MapSpec { named: vec![(0, "x".into())], ..spec("m", kind, 4, 4, 9) };
    refused(&named(Array), &SpecError::Named { index: 0, name: "x".into() });
}

/// Every bound is on what a map takes when full, whatever product overflows on the way there.
#[test]
fn memory_is_bounded() {
    let make = |specs: &[MapSpec], map_len_max, total_len_max| {
        Maps::new(specs, &MapSetup { cpus: 2, limits: MapLimits { map_len_max, total_len_max }, entries: &[] })
    };
    let array = |name| spec(name, MapKind::Array, 4, 1024, 64);
    assert!(make(&[array("a"), array("b")], 65_536, 131_072).is_ok());
    let refused = make(&[array("a"), array("b")], 65_536, 131_071);
    assert!(matches!(&refused, Err(MapsError::TooLarge { map, given: 65_536, limit: 65_535 }) if map == "b"), "{refused:?}");
    assert!(matches!(make(&[array("a")], 65_535, 1 << 30), Err(MapsError::TooLarge { given: 65_536, limit: 65_535, .. })));
    for kind in [MapKind::Array, MapKind::Hash, MapKind::LpmTrie, MapKind::LruHash] {
        let huge = spec("huge", kind, if kind == MapKind::Array { 4 } else { 8 }, i32::MAX as u32, u32::MAX);
        assert!(matches!(make(std::slice::from_ref(&huge), 1 << 40, 1 << 40), Err(MapsError::TooLarge { .. })), "{kind:?}");
    }
    // Allowed, but more than a cage holds.
    let large = |name| spec(name, MapKind::Array, 4, 1 << 20, 1000);
    assert!(matches!(make(&[large("a"), large("b")], 1 << 40, 1 << 40), Err(MapsError::TooLarge { map, .. }) if map == "b"));
    let many: Vec<MapSpec> = (0..65).map(|index| spec(&index.to_string(), MapKind::Array, 4, 4, 1)).collect();
    assert!(matches!(try_maps(&many, 1), Err(MapsError::Count { given: 65, limit: 64 })));
    assert!(try_maps(&many[1..], 1).is_ok());
    for cpus in [0, CPUS_MAX + 1] {
        assert!(matches!(try_maps(&[], cpus), Err(MapsError::Cpus { .. })));
    }
}

/// Maps move from cage to cage, several cages have them at once, and none keeps them after another tenant's came.
#[test]
fn cages_change_their_maps() {
    let specs = [spec("array", MapKind::Array, 4, 8, 1)];
    let sets: Vec<Arc<Maps>> = (0..2).map(|_| try_maps(&specs, 1).unwrap()).collect();
    let mut cages: Vec<Cage> = (0..2).map(|_| Cage::new(&REGIONS).unwrap()).collect();
    let address = 0xa000_0000;
    let read = |cage: &mut Cage| {
        let mut byte = [0];
        cage.memory().copy_out(address, &mut byte).map(|()| byte[0])
    };
    for round in 0..100_u8 {
        let (a, b) = (usize::from(round % 2), usize::from(round / 2 % 2));
        cages[0].attach(&sets[a]).unwrap();
        cages[1].attach(&sets[b]).unwrap();
        cages[0].memory().copy_in(address, &[round + 1]).unwrap();
        assert_eq!(read(&mut cages[1]) == Ok(round + 1), a == b, "{round}");
        assert_eq!(sets[a].reader(0).unwrap().lookup(&[0; 4]).unwrap().unwrap()[0], round + 1);
    }
    cages[0].detach().unwrap();
    assert!(read(&mut cages[0]).is_err() && cages[0].maps().is_none());
    // The maps outlive whoever made them, as long as a cage has them.
    drop(sets);
    assert!(read(&mut cages[1]).is_ok());
}

#[test]
fn maps_do_not_overlap_regions() {
    let maps = try_maps(&[spec("array", MapKind::Array, 4, 8, 1)], 1).unwrap();
    let region = |start, reserved| Region { start, len: 0x1_0000, reserved, access: Access::ReadOnly };
    for (region, fits) in [
        (region(0xa000_0000, 0x1_0000), false),
        (region(0x9fff_0000, 0x2_0000), false),
        (region(0x9fff_0000, 0x1_0000), true),
        (region(0xa001_0000, 0x1_0000), true),
    ] {
        let mut cage = Cage::new(&[region]).unwrap();
        let attached = cage.attach(&maps);
        assert_eq!(attached.is_ok(), fits, "{region:?}");
        assert_eq!(cage.maps().is_some(), fits);
        assert!(fits || matches!(attached, Err(CageError::Overlap { .. })));
    }
}

/// Ten thousand instances wait in memory that one mapping and one file hold; each takes the pages somebody wrote.
#[test]
fn idle_instances_are_cheap() {
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().matches("nearside-maps").count();
    let files = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().contains("nearside-maps")).count()
    };
    let specs =
        [MapSpec { initial: vec![1; 8], ..spec(".data", MapKind::Array, 4, 8, 1) }, spec("hash", MapKind::Hash, 8, 8, 1024)];
    let sets: Vec<Arc<Maps>> = (0..10_000).map(|_| try_maps(&specs, 2).unwrap()).collect();
    for set in &sets {
        set.host(1).unwrap().update(&[7; 8], &[8; 8], 0).unwrap();
    }
    assert!(sets.iter().all(|set| set.reader(0).unwrap().lookup(&[0; 4]) == Ok(Some(vec![1; 8]))));
    // Tests beside this one have cages, with mappings of their own.
    assert!(mappings() < 100 && files() <= 2, "{} mappings, {} files", mappings(), files());
}
