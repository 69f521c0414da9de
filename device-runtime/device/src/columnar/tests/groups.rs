//! The group table at its bounds: every row is counted once, whatever is emitted early.

use std::collections::BTreeMap;

use nearside_planner::fragment::{Column, Fragment};
use nearside_programs::{Scalar, ValueType};

use super::tables::{LAYOUTS, Layout, rows, table};
use super::{Loaded, engines, int, text};

const KEY_AND_VALUE: &str = "scan (k: i64 null, v: i64) | group by k | aggregate n: count(*), t: sum(v), m: min(v)";

/// Sum of the partials by key.
fn merged(partials: &[Vec<Scalar>]) -> BTreeMap<String, (i128, i128, i128)> {
    let mut groups = BTreeMap::new();
    for row in partials {
        let [key, Scalar::Int(_, count), Scalar::Int(_, sum), Scalar::Int(_, least)] = row.as_slice() else { panic!("{row:?}") };
        let group = groups.entry(format!("{key:?}")).or_insert((0, 0, i128::MAX));
        *group = (group.0 + count, group.1 + sum, group.2.min(*least));
    }
    groups
}

/// Many groups and room for few: partials leave early, and together they are the whole.
#[test]
fn partials_leave_when_the_table_is_full() {
    for groups_max in [1, 3] {
        check_partials(700, groups_max);
    }
    for groups_max in [100, 600, 5000] {
        check_partials(17_000, groups_max);
    }
}

fn check_partials(row_count: i128, groups_max: usize) {
    let (fragment, loaded) = Loaded::parse(KEY_AND_VALUE);
    let input: Vec<_> = (0..row_count)
        .map(|row| vec![if row % 100 == 7 { Scalar::Null(ValueType::Int64) } else { int(row * 31 % 997) }, int(row - 5000)])
        .collect();
    let table = table(&fragment.columns, &input, Layout::Plain);
    let types = [ValueType::Int64; 4];
    let expected =
        merged(&input.iter().map(|row| vec![row[0].clone(), int(1), row[1].clone(), row[1].clone()]).collect::<Vec<_>>());
    for options in engines() {
        let batches = loaded.run(&table, &options, groups_max).unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= groups_max));
        assert_eq!(batches.len() == 1, groups_max > expected.len(), "{groups_max}");
        assert_eq!(merged(&rows(&batches, &types)), expected, "{groups_max}");
    }
}

/// More groups than the accumulators' first 64 KiB hold: they grow, nothing leaves early.
#[test]
fn accumulators_grow() {
    let (fragment, loaded) = Loaded::parse(KEY_AND_VALUE);
    let input: Vec<_> = (0..18_000).map(|row| vec![int(row * 7919), int(row)]).collect();
    let table = table(&fragment.columns, &input, Layout::Plain);
    for options in engines() {
        let batches = loaded.run(&table, &options, 1 << 20).unwrap();
        let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
        let result = rows(std::slice::from_ref(batch), &[ValueType::Int64; 4]);
        assert_eq!(result.len(), input.len());
        for (row, expected) in result.iter().zip(&input) {
            assert_eq!(row[..], [expected[0].clone(), int(1), expected[1].clone(), expected[1].clone()]);
        }
    }
}

/// A worker that has emitted begins again with nothing: the second run over the same rows gives the first one's answer.
#[test]
fn a_worker_and_its_cage_are_reused() {
    let source = "scan (s: utf8 null, v: i64 null) | group by s | aggregate n: count(v), t: sum(v), m: max(v)";
    let (fragment, loaded) = Loaded::parse(source);
    let input: Vec<_> = (0..500_i128).map(|row| vec![text(&"x".repeat(row as usize % 17)), int(row * row)]).collect();
    let table = table(&fragment.columns, &input, Layout::View);
    for options in engines() {
        let mut worker = loaded.worker(&table.schema(), &options, 64).unwrap();
        let first = loaded.run_with(&mut worker, &table).unwrap();
        assert_eq!(first[0].num_rows(), 17);
        assert_eq!(loaded.run_with(&mut worker, &table).unwrap(), first);
        assert!(worker.finish().unwrap().is_none());
        drop(worker);
        assert_eq!(loaded.run(&table, &options, 64).unwrap(), first);
    }
}

/// Without keys there is one row, also over nothing, and again after it was taken.
#[test]
fn one_group_without_keys() {
    let (fragment, loaded) = Loaded::parse("scan (v: i64 null) | filter v > 3 | aggregate n: count(*), t: sum(v), m: min(v)");
    let types = [ValueType::Int64; 4];
    let null = Scalar::Null(ValueType::Int64);
    for options in engines() {
        for input in [vec![], vec![vec![int(1)], vec![null.clone()]]] {
            let table = table(&fragment.columns, &input, Layout::Plain);
            let mut worker = loaded.worker(&table.schema(), &options, 10).unwrap();
            for _ in 0..2 {
                let batches = loaded.run_with(&mut worker, &table).unwrap();
                assert_eq!(rows(&batches, &types), [[int(0), null.clone(), null.clone()]]);
            }
        }
    }
}

/// Keys of every type, NULL among them, come out as they went in, in order of first appearance; `-0.0` is `0.0`, a NaN is its bits.
#[test]
fn keys_of_every_type() {
    use ValueType::*;
    let decimal = ValueType::Decimal128 { precision: 38, scale: 3 };
    let values: Vec<(ValueType, Vec<Scalar>)> = vec![
        (Bool, vec![Scalar::Bool(true), Scalar::Bool(false)]),
        (Int8, vec![Scalar::Int(Int8, -128), Scalar::Int(Int8, 127)]),
        (Int16, vec![Scalar::Int(Int16, -1), Scalar::Int(Int16, 255)]),
        (Int32, vec![Scalar::Int(Int32, i32::MIN.into()), Scalar::Int(Int32, 0)]),
        (Int64, vec![Scalar::Int(Int64, i64::MIN.into()), Scalar::Int(Int64, -1)]),
        (UInt8, vec![Scalar::Int(UInt8, 255), Scalar::Int(UInt8, 0)]),
        (UInt16, vec![Scalar::Int(UInt16, 65_535), Scalar::Int(UInt16, 1)]),
        (UInt32, vec![Scalar::Int(UInt32, u32::MAX.into()), Scalar::Int(UInt32, 1)]),
        (UInt64, vec![Scalar::Int(UInt64, u64::MAX.into()), Scalar::Int(UInt64, 1)]),
        (Date32, vec![Scalar::Int(Date32, -1), Scalar::Int(Date32, 10_000)]),
        (Float32, vec![Scalar::Float32(0), Scalar::Float32(f32::NAN.to_bits()), Scalar::Float32(f32::NAN.to_bits() | 1)]),
        (Float64, vec![Scalar::Float64(0), Scalar::Float64(f64::NAN.to_bits()), Scalar::Float64(f64::INFINITY.to_bits())]),
        (decimal, [i128::MIN / 4, -1].map(|value| Scalar::Decimal { value, precision: 38, scale: 3 }).to_vec()),
        (Utf8, ["", "exactly 12 b", "more than 12 b", "more than 12 c", "\0"].map(text).to_vec()),
    ];
    for (value_type, values) in values {
        let column = Column { name: "k".into(), value_type, nullable: true };
        let mut distinct = values.clone();
        distinct.insert(1, Scalar::Null(value_type));
        let mut input: Vec<_> = distinct.iter().map(|value| vec![value.clone()]).collect();
        input.extend(input.clone());
        match value_type {
            Float32 => input.push(vec![Scalar::Float32((-0.0_f32).to_bits())]),
            Float64 => input.push(vec![Scalar::Float64((-0.0_f64).to_bits())]),
            _ => {}
        }
        let (mut fragment, _) = Loaded::parse("scan (k: i64 null) | group by k | aggregate n: count(*)");
        fragment.columns = vec![column];
        check_keys(&fragment, &input, &distinct);
    }
}

fn check_keys(fragment: &Fragment, input: &[Vec<Scalar>], distinct: &[Scalar]) {
    let loaded = Loaded::compile(fragment).unwrap();
    let value_type = fragment.columns[0].value_type;
    for layout in LAYOUTS {
        let table = table(&fragment.columns, input, layout);
        for options in engines() {
            let batches = loaded.run(&table, &options, 100).unwrap();
            assert_eq!(batches[0].column(0).data_type(), table.column(0).data_type(), "{layout:?}");
            let result = rows(&batches, &[value_type, ValueType::Int64]);
            let keys: Vec<_> = result.iter().map(|row| row[0].clone()).collect();
            assert_eq!(keys, distinct, "{layout:?}");
        }
    }
}
