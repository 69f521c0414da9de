//! Instances between batches: whatever waits without a cage goes on as if it had kept one, and takes nothing from others.

use nearside_programs::ValueType;

use super::super::Instance;
use super::tables::{Layout, rows, table};
use super::{Loaded, engines, int, only, text};
use crate::Options;

const STATES: &str = "scan (k: i64 null, v: i64, s: utf8) | group by k | aggregate n: count(*), t: sum(v), m: min(v), l: max(s)";

/// Groups that appear from batch to batch, more than the first 64 KiB of an accumulator hold.
fn batches(seed: i128) -> Vec<Vec<Vec<nearside_programs::Scalar>>> {
    let row = |row: i128| vec![int(row * seed % 9_001), int(row - seed), text(&format!("{}", row * seed % 77))];
    (0..5).map(|batch| (0..4_000).map(|index| row(batch * 4_000 + index)).collect()).collect()
}

/// Two instances of one program take turns in one cage, batch by batch; each has what a worker of its own would have.
#[test]
fn instances_take_turns_in_one_cage() {
    let (fragment, loaded) = Loaded::parse(STATES);
    let types = [ValueType::Int64, ValueType::Int64, ValueType::Int64, ValueType::Int64, ValueType::Utf8];
    let inputs =
        [7, 31].map(|seed| batches(seed).iter().map(|rows| table(&fragment.columns, rows, Layout::Plain)).collect::<Vec<_>>());
    for options in engines() {
        let new = || {
            let schema = inputs[0][0].schema();
            Instance::new(loaded.program.clone(), &schema, loaded.parameters.clone(), &options, 1 << 20).unwrap()
        };
        let mut waiting = [Some(new()), Some(new())];
        for batch in 0..inputs[0].len() {
            for (instance, input) in waiting.iter_mut().zip(&inputs) {
                let mut worker = instance.take().unwrap().bind().unwrap();
                let table = &input[batch];
                let columns = only(table, loaded.program.main_columns());
                worker.aggregate(&columns, table.num_rows(), None, &mut |_| panic!("there is room")).unwrap();
                *instance = Some(worker.unbind());
            }
        }
        for (instance, input) in waiting.into_iter().zip(&inputs) {
            let mut worker = instance.unwrap().bind().unwrap();
            let taken = rows(&[worker.finish().unwrap().unwrap()], &types);
            let mut whole = loaded.worker(&input[0].schema(), &options, 1 << 20).unwrap();
            for table in input {
                let columns = only(table, loaded.program.main_columns());
                whole.aggregate(&columns, table.num_rows(), None, &mut |_| panic!("there is room")).unwrap();
            }
            assert_eq!(taken, rows(&[whole.finish().unwrap().unwrap()], &types));
        }
    }
}

/// Without keys the one group waits as well; an instance that never ran has none to lose.
#[test]
fn sums_wait() {
    let (fragment, loaded) = Loaded::parse("scan (v: i64) | filter v > 1 | aggregate n: count(*), t: sum(v)");
    let table = table(&fragment.columns, &[vec![int(1)], vec![int(40)], vec![int(2)]], Layout::Plain);
    let schema = table.schema();
    let instance = Instance::new(loaded.program.clone(), &schema, loaded.parameters.clone(), &Options::default(), 1).unwrap();
    let mut worker = instance.bind().unwrap().unbind().bind().unwrap();
    for _ in 0..3 {
        let columns = only(&table, loaded.program.select_columns(0));
        let selected = worker.select(&[0], &columns, 3, None).unwrap();
        worker.aggregate(&only(&table, loaded.program.main_columns()), 3, Some(&selected), &mut |_| ()).unwrap();
        worker = worker.unbind().bind().unwrap();
    }
    let partials = worker.finish().unwrap().unwrap();
    assert_eq!(rows(&[partials], &[ValueType::Int64, ValueType::Int64]), [vec![int(6), int(126)]]);
}
