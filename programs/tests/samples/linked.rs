//! An object with everything that links: sections, maps in every form, global data.

use nearside_programs::{Function, MapKind, MapSpec, Object, assemble};

fn map(name: &str, kind: MapKind, sizes: [u32; 4]) -> MapSpec {
    let [key_len, value_len, entries_max, flags] = sizes;
    let (inner, initial, named) = (None, Vec::new(), Vec::new());
    MapSpec { name: name.into(), kind, key_len, value_len, entries_max, flags, inner, initial, named }
}

/// Functions of two sections, maps of every form, and code that refers to all of them.
pub(crate) fn linked() -> Object {
    let text = "
<leaf>:
    exit
<main>:
    ld_pseudo r1, 0x5, 0x1
    ld_pseudo r1, 0x6, 0x3, 0x8
    ld_pseudo r1, 0x6, 0x4, 0x0
    ld_pseudo r1, 0x4, 0xfffffff8
    call leaf
    call main
    call map_lookup_elem
    exit
";
    let assembled = assemble(text).unwrap();
    let mut functions = assembled.functions;
    functions[1] = Function { section: "xdp".into(), ..functions[1].clone() };
    let flows = map("flows", MapKind::Hash, [7, 24, 1024, 1]);
    let maps = vec![
        flows.clone(),
        MapSpec { named: vec![(3, "main".into())], ..map("programs", MapKind::ProgramArray, [4, 4, 4, 0]) },
        MapSpec {
            inner: Some(Box::new(MapSpec { name: "any".into(), ..flows })),
            named: vec![(0, "flows".into()), (5, "flows".into())],
            ..map("nested", MapKind::ArrayOfMaps, [4, 4, 6, 0])
        },
        MapSpec::global_data(".rodata", 16, (0..16).collect()),
        MapSpec::global_data(".bss", 1 << 20, Vec::new()),
    ];
    Object { code: assembled.code, functions, maps, manifest: None, license: "GPL".into() }
}
