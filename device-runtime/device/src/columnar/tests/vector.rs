//! Helpers on whole columns, called by hand: every kind of column, NULLs, dictionaries, slices, and more than one word of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use nearside_programs::abi::columnar::{self, ACCUMULATORS, BITMAP_LEN, RESULT, ROW_COUNT, SCRATCH, SELECTION};
use nearside_programs::abi::helper;
use nearside_programs::isa::{Reg, Size};
use nearside_programs::manifest::{
    Accumulator, ColumnSpec, EntryPoint, Manifest, Output, OutputColumn, OutputSource, State, StateSource, Target,
};
use nearside_programs::{Builder, Object, Parameters, ValueType};

use super::{Loaded, engines, only};
use crate::{DeviceError, Options};

const DECIMAL: ValueType = ValueType::Decimal128 { precision: 15, scale: 2 };

// The columns: two of integers, booleans, decimals, floats, text.
const A: i64 = 0;
const B: i64 = 1;
const T: i64 = 2;
const D: i64 = 3;
const X: i64 = 4;
const S: i64 = 5;
/// Decimals whose products fit.
const SMALL: i64 = 6;
const TYPES: [ValueType; 7] =
    [ValueType::Int32, ValueType::Int32, ValueType::Bool, DECIMAL, ValueType::Float64, ValueType::Utf8, DECIMAL];

const NAMES: [&str; 7] = ["a", "b", "t", "d", "x", "s", "small"];

const ROWS: usize = 150;

/// A row's values; `None` is NULL.
fn a(row: usize) -> Option<i32> {
    (row % 7 != 3).then_some(row as i32 % 11 - 5)
}

fn b(row: usize) -> Option<i32> {
    (row % 5 != 1).then_some(row as i32 % 13 - 6)
}

fn t(row: usize) -> Option<bool> {
    (row % 9 != 4).then_some(row.is_multiple_of(3))
}

/// Beyond 64 bits now and then.
fn d(row: usize) -> Option<i128> {
    (row % 4 != 2).then_some(if row % 31 == 5 { -(1 << 70) } else { row as i128 * 10 - 300 })
}

fn small(row: usize) -> Option<i128> {
    (row % 8 != 6).then_some(row as i128 - 70)
}

fn x(row: usize) -> Option<f64> {
    (row % 6 != 5).then_some([-0.0, 0.0, 1.5, f64::NAN, -f64::INFINITY][row % 5])
}

/// The table, cut out of a longer one; integers as dictionaries if asked for.
fn table(with_dictionaries: bool) -> RecordBatch {
    let padded = |row: usize| row.wrapping_sub(3);
    let shifted = || (0..ROWS + 5).map(padded);
    let decimals = shifted().map(d).collect::<Decimal128Array>().with_precision_and_scale(15, 2).unwrap();
    let integers = |values: Int32Array| -> ArrayRef {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int32));
        if with_dictionaries { cast(&values, &dictionary).unwrap() } else { Arc::new(values) }
    };
    let small = shifted().map(small).collect::<Decimal128Array>().with_precision_and_scale(15, 2).unwrap();
    let arrays: [ArrayRef; 7] = [
        integers(shifted().map(|row| if row < ROWS { a(row) } else { Some(1) }).collect()),
        integers(shifted().map(|row| if row < ROWS { b(row) } else { Some(1) }).collect()),
        Arc::new(shifted().map(|row| t(row % ROWS)).collect::<BooleanArray>()),
        Arc::new(decimals),
        Arc::new(shifted().map(|row| x(row % ROWS)).collect::<Float64Array>()),
        Arc::new(StringArray::from(vec!["s"; ROWS + 5])),
        Arc::new(small),
    ];
    let fields: Vec<_> =
        NAMES.into_iter().zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let arrays = arrays.iter().map(|array| array.slice(3, ROWS)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// An argument of a helper.
#[derive(Clone, Copy)]
enum Argument {
    Value(i64),
    Selection,
    /// Which the program only reads.
    Context,
    Result,
    Scratch(i32),
    Accumulator(i16),
    /// What `r7` holds: the end of the rows.
    End,
}

use Argument::{Accumulator as Sum, Context, End, Result as Out, Scratch, Selection, Value};

// Slots of the parameters.
const FIVE: i64 = 0;
const MINUS_TWO: i64 = 1;
const TRUE: i64 = 2;
const MONEY: i64 = 3;
const ZERO: i64 = 4;
const LONG: i64 = 5;

fn parameters() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.push(ValueType::Int32, 5);
    parameters.push(ValueType::Int32, -2);
    parameters.push(ValueType::Bool, 1);
    parameters.push(ValueType::Decimal128 { precision: 9, scale: 2 }, 250);
    parameters.push(ValueType::Float64, i128::from(0f64.to_bits()));
    parameters.push(ValueType::Int64, 5);
    parameters
}

fn call(code: &mut Builder, number: u32, arguments: &[Argument]) {
    for (register, argument) in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5].into_iter().zip(arguments) {
        match *argument {
            Value(value) => code.constant(register, value),
            End => code.mov(register, Reg::R7),
            Selection => code.load(Size::W, register, Reg::R6, SELECTION),
            Context => code.mov(register, Reg::R6),
            Out => code.load(Size::W, register, Reg::R6, RESULT),
            Scratch(index) => code.load(Size::W, register, Reg::R6, SCRATCH).add(register, index * BITMAP_LEN as i32),
            Sum(index) => code.load(Size::W, register, Reg::R6, ACCUMULATORS).load(Size::W, register, register, 4 * index),
        };
    }
    code.call_helper(number);
}

fn loaded(selects: bool, output: Output, calls: impl FnOnce(&mut Builder)) -> Loaded {
    let mut builder = Builder::new();
    builder.function("run").mov(Reg::R6, Reg::R1);
    calls(&mut builder);
    builder.load(Size::W, Reg::R0, Reg::R6, ROW_COUNT).exit();
    let entry = EntryPoint { general: "run".into(), narrow: None, loads: vec![], handles: (0..7).collect(), scratch_bitmaps: 2 };
    let column = |(name, value_type): (&str, ValueType)| ColumnSpec { name: name.into(), value_type, nullable: true };
    let manifest = Manifest {
        target: Target::Columnar,
        abi_version: columnar::VERSION,
        columns: NAMES.into_iter().zip(TYPES).map(column).collect(),
        parameters: parameters().types,
        bounds: Vec::new(),
        selects: selects.then(|| entry.clone()).into_iter().collect(),
        main: (!selects).then_some(entry),
        output,
        notes: Default::default(),
    };
    Loaded::new(&Object::new(builder.finish().unwrap(), manifest), parameters())
}

fn select(calls: &[(u32, &[Argument])]) -> Loaded {
    let output = OutputColumn { name: "a".into(), source: OutputSource::Column(0), value_type: TYPES[0], nullable: true };
    loaded(true, Output::Project(vec![output]), |code| {
        calls.iter().for_each(|(number, arguments)| call(code, *number, arguments))
    })
}

/// These calls must select these rows, on both engines, with and without dictionaries.
fn check(calls: &[(u32, &[Argument])], expected: impl Fn(usize) -> bool) {
    let loaded = select(calls);
    for table in [table(false), table(true)] {
        for options in engines() {
            let mut worker = loaded.worker(&table.schema(), &options, 8).unwrap();
            let columns = only(&table, &[0, 1, 2, 3, 4, 5, 6]);
            let third = BooleanBuffer::collect_bool(ROWS, |row| row % 3 == 1);
            for selection in [None, Some(third)] {
                let selected = worker.select(&[0], &columns, ROWS, selection.as_ref()).unwrap();
                let is_selected = |row: usize| selection.as_ref().is_none_or(|selection| selection.value(row));
                let expected: Vec<usize> = (0..ROWS).filter(|row| is_selected(*row) && expected(*row)).collect();
                assert_eq!(selected.set_indices().collect::<Vec<_>>(), expected, "{options:?}");
            }
        }
    }
}

/// A column of each kind with a parameter.
#[test]
fn a_column_and_a_parameter() {
    use helper::COLUMN_COMPARE;
    let orders: [fn(std::cmp::Ordering) -> bool; 6] = [
        |order| order.is_eq(),
        |order| order.is_ne(),
        |order| order.is_lt(),
        |order| order.is_le(),
        |order| order.is_gt(),
        |order| order.is_ge(),
    ];
    for (op, holds) in (0..).zip(orders) {
        let compare = |column, slot| [Value(column), Value(op), Value(slot), Out];
        check(&[(COLUMN_COMPARE, &compare(A, FIVE))], |row| a(row).is_some_and(|a| holds(a.cmp(&5))));
        check(&[(COLUMN_COMPARE, &compare(T, TRUE))], |row| t(row).is_some_and(|t| holds(t.cmp(&true))));
        check(&[(COLUMN_COMPARE, &compare(D, MONEY))], |row| d(row).is_some_and(|d| holds(d.cmp(&250))));
        check(&[(COLUMN_COMPARE, &compare(X, ZERO))], |row| x(row).is_some_and(|x| holds((x + 0.0).total_cmp(&0.0))));
        let columns = |left, right| [Value(left), Value(op), Value(right), Out];
        check(&[(helper::COLUMN_COMPARE_COLUMNS, &columns(A, B))], |row| {
            a(row).zip(b(row)).is_some_and(|(a, b)| holds(a.cmp(&b)))
        });
        check(&[(helper::COLUMN_COMPARE_COLUMNS, &columns(T, T))], |row| t(row).is_some_and(|t| holds(t.cmp(&t))));
    }
}

/// Between two parameters, ends included or not.
#[test]
fn a_column_between_parameters() {
    for flags in 0..4 {
        check(&[(helper::COLUMN_BETWEEN, &[Value(A), Value(flags), Value(MINUS_TWO), Value(FIVE), Out])], |row| {
            let (low, high) = (-2 + i32::from(flags & 1 != 0), 5 - i32::from(flags & 2 != 0));
            a(row).is_some_and(|a| (low..=high).contains(&a))
        });
    }
}

/// Bitmaps go through the word operations unharmed, and nothing beyond the rows becomes part of them.
#[test]
fn bitmaps() {
    let less: [Argument; 4] = [Value(A), Value(2), Value(MINUS_TWO), Scratch(0)];
    let greater: [Argument; 4] = [Value(B), Value(4), Value(MINUS_TWO), Scratch(1)];
    let is_less = |row| a(row).is_some_and(|a| a < -2);
    let is_greater = |row| b(row).is_some_and(|b| b > -2);
    let compared: [(u32, &[Argument]); 2] = [(helper::COLUMN_COMPARE, &less), (helper::COLUMN_COMPARE, &greater)];
    let combined = |op| [Value(op), Scratch(0), Scratch(1), Out];
    for (op, holds) in [(0, (|l, r| l & r) as fn(bool, bool) -> bool), (1, |l, r| l | r), (2, |l, r| l & !r)] {
        let calls: [(u32, &[Argument]); 3] = [compared[0], compared[1], (helper::BITMAP_COMBINE, &combined(op))];
        check(&calls, |row| holds(is_less(row), is_greater(row)));
    }
    check(&[compared[0], (helper::BITMAP_NEGATE, &[Scratch(0), Out])], |row| !is_less(row));
    check(
        &[compared[0], (helper::BITMAP_NEGATE, &[Scratch(0), Scratch(0)]), (helper::BITMAP_NEGATE, &[Scratch(0), Out])],
        is_less,
    );
}

/// Sums, ends and counts go on from what the accumulator holds, and leave NULLs out.
#[test]
fn reductions() {
    let state = |source| {
        let value_type = match source {
            StateSource::Accumulator(4) => DECIMAL,
            StateSource::TotalOrderKey(_) => ValueType::Float64,
            _ => ValueType::Int64,
        };
        State { name: format!("{source:?}"), value_type, source, seen: None }
    };
    let accumulators = vec![
        Accumulator { width: 8, initial: 1000 },
        Accumulator { width: 8, initial: i128::from(i64::MAX) },
        Accumulator { width: 8, initial: i128::from(i64::MIN) },
        Accumulator { width: 8, initial: 0 },
        Accumulator { width: 16, initial: 0 },
        Accumulator { width: 8, initial: i128::from(i64::MIN) },
    ];
    let states =
        (0..5).map(|index| state(StateSource::Accumulator(index))).chain([state(StateSource::TotalOrderKey(5))]).collect();
    let loaded = loaded(false, Output::Aggregate { keys: vec![], accumulators, states }, |code| {
        call(code, helper::COLUMN_COMPARE, &[Value(T), Value(0), Value(TRUE), Scratch(0)]);
        call(code, helper::COLUMN_SUM, &[Value(A), Scratch(0), Sum(0)]);
        code.mov(Reg::R7, Reg::R0);
        call(code, helper::COLUMN_MIN, &[Value(A), Scratch(0), Sum(1)]);
        call(code, helper::COLUMN_MAX, &[Value(A), Scratch(0), Sum(2)]);
        call(code, helper::BITMAP_COUNT, &[Scratch(0)]);
        // Rows counted: those of the sum, and a thousand for each row of the bitmap.
        code.mul(Reg::R0, 1000).add(Reg::R7, Reg::R0);
        code.load(Size::W, Reg::R1, Reg::R6, ACCUMULATORS).load(Size::W, Reg::R1, Reg::R1, 12).store(
            Size::D,
            Reg::R1,
            0,
            Reg::R7,
        );
        call(code, helper::COLUMN_SUM, &[Value(D), Selection, Sum(4)]);
        call(code, helper::COLUMN_MAX, &[Value(X), Selection, Sum(5)]);
    });
    let chosen: Vec<usize> = (0..ROWS).filter(|row| t(*row) == Some(true)).collect();
    let values: Vec<i64> = chosen.iter().filter_map(|row| a(*row)).map(i64::from).collect();
    for options in engines() {
        let batches = loaded.run(&table(true), &options, 8).unwrap();
        let integer = |column: usize| batches[0].column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!(integer(0), 1000 + values.iter().sum::<i64>());
        assert_eq!(Some(&integer(1)), values.iter().min());
        assert_eq!(Some(&integer(2)), values.iter().max());
        assert_eq!(integer(3), values.len() as i64 + 1000 * chosen.len() as i64);
        assert_eq!(batches[0].column(4).as_primitive::<Decimal128Type>().value(0), (0..ROWS).filter_map(d).sum::<i128>());
        let greatest = (0..ROWS).filter_map(x).max_by(f64::total_cmp).unwrap();
        assert_eq!(batches[0].column(5).as_primitive::<Float64Type>().value(0).to_bits(), greatest.to_bits());
    }
}

/// The accumulators of [`grouped`], and what leaves of them: counts of rows, of `a`, and of `a` and `d`; sums of `a` and `d`; the products of `d` with itself; the
/// least `a`, and the greatest `d`.
fn group_states() -> (Vec<Accumulator>, Vec<State>) {
    let (narrow, wide) = (|initial| Accumulator { width: 8, initial }, |initial| Accumulator { width: 16, initial });
    let accumulators =
        vec![narrow(0), narrow(0), narrow(0), narrow(0), wide(0), wide(0), narrow(i64::MAX.into()), wide(i128::MIN)];
    let state = |(index, accumulator): (u32, &Accumulator)| State {
        name: index.to_string(),
        value_type: if accumulator.width == 16 { ValueType::Decimal128 { precision: 38, scale: 2 } } else { ValueType::Int64 },
        source: StateSource::Accumulator(index),
        seen: None,
    };
    let states = (0..).zip(&accumulators).map(state).collect();
    (accumulators, states)
}

/// Everything by group of `t`, or without groups.
fn grouped(by_t: bool) -> Loaded {
    let key = OutputColumn { name: "t".into(), source: OutputSource::Column(2), value_type: ValueType::Bool, nullable: true };
    let keys = by_t.then_some(key).into_iter().collect();
    let (accumulators, states) = group_states();
    loaded(false, Output::Aggregate { keys, accumulators, states }, |code| {
        code.load(Size::W, Reg::R7, Reg::R6, ROW_COUNT);
        if by_t {
            code.call_helper(helper::GROUP_IDS).mov(Reg::R7, Reg::R0);
        }
        // Nothing that a program writes over the ids moves a row to another group.
        code.load(Size::W, Reg::R1, Reg::R6, columnar::GROUP_IDS).mov(Reg::R2, 77).store(Size::W, Reg::R1, 0, Reg::R2);
        call(code, helper::GROUP_COUNT, &[Value(-1), Value(-1), Selection, End, Sum(0)]);
        call(code, helper::GROUP_COUNT, &[Value(A), Value(-1), Selection, End, Sum(1)]);
        call(code, helper::GROUP_COUNT, &[Value(A), Value(D), Selection, End, Sum(2)]);
        call(code, helper::GROUP_SUM, &[Value(A), Selection, End, Sum(3)]);
        call(code, helper::GROUP_SUM, &[Value(D), Selection, End, Sum(4)]);
        call(code, helper::GROUP_SUM_PRODUCTS, &[Value(SMALL), Value(SMALL), Selection, End, Sum(5)]);
        call(code, helper::GROUP_MIN, &[Value(A), Selection, End, Sum(6)]);
        call(code, helper::GROUP_MAX, &[Value(D), Selection, End, Sum(7)]);
    })
}

/// Each group has what its rows alone come to.
#[test]
fn reductions_by_group() {
    for by_t in [true, false] {
        let loaded = grouped(by_t);
        let keys: &[_] = if by_t { &[Some(None), Some(Some(true)), Some(Some(false))] } else { &[None] };
        for options in engines() {
            let batches = loaded.run(&table(true), &options, 8).unwrap();
            assert_eq!(batches[0].num_rows(), keys.len(), "{options:?}");
            for group in 0..keys.len() {
                let first = usize::from(by_t);
                let key = by_t.then(|| {
                    let keys = batches[0].column(0).as_boolean();
                    keys.is_valid(group).then(|| keys.value(group))
                });
                assert!(keys.contains(&key), "{key:?}");
                let rows: Vec<usize> = (0..ROWS).filter(|row| key.is_none_or(|key| t(*row) == key)).collect();
                let given: Vec<i128> = (0..8).map(|state| integer(&batches[0], first + state, group)).collect();
                let (a, d) = (|row: &usize| a(*row).map(i128::from), |row: &usize| d(*row));
                let expected = [
                    rows.len() as i128,
                    rows.iter().filter_map(a).count() as i128,
                    rows.iter().filter_map(|row| a(row).zip(d(row))).count() as i128,
                    rows.iter().filter_map(a).sum(),
                    rows.iter().filter_map(d).sum(),
                    rows.iter().filter_map(|row| small(*row)).map(|value| value * value).sum(),
                    rows.iter().filter_map(a).min().unwrap(),
                    rows.iter().filter_map(d).max().unwrap(),
                ];
                assert_eq!(given, expected, "{key:?} {options:?}");
            }
        }
    }
}

fn integer(batch: &RecordBatch, column: usize, row: usize) -> i128 {
    let column = batch.column(column);
    match column.as_primitive_opt::<Int64Type>() {
        Some(integers) => integers.value(row).into(),
        None => column.as_primitive::<Decimal128Type>().value(row),
    }
}

/// A product that does not fit is said, and a program may do with that what it wants.
#[test]
fn products_that_do_not_fit() {
    let (accumulators, states) = group_states();
    let loaded = loaded(false, Output::Aggregate { keys: vec![], accumulators, states }, |code| {
        code.load(Size::W, Reg::R7, Reg::R6, ROW_COUNT);
        call(code, helper::GROUP_SUM_PRODUCTS, &[Value(D), Value(D), Selection, End, Sum(5)]);
        code.load(Size::W, Reg::R1, Reg::R6, ACCUMULATORS).load(Size::W, Reg::R1, Reg::R1, 0).store(Size::D, Reg::R1, 0, Reg::R0);
    });
    for options in engines() {
        assert_eq!(integer(&loaded.run(&table(false), &options, 8).unwrap()[0], 0, 0), 1);
    }
}

/// The values of some rows, one after the other: here over the group ids, where a program may write.
#[test]
fn gathering() {
    let (accumulators, states) = group_states();
    let loaded = loaded(false, Output::Aggregate { keys: vec![], accumulators, states }, |code| {
        call(code, helper::COLUMN_COMPARE, &[Value(D), Value(0), Value(MONEY), Scratch(0)]);
        call(code, helper::COLUMN_GATHER, &[Value(D), Scratch(0), Sum(7)]);
        code.load(Size::W, Reg::R1, Reg::R6, ACCUMULATORS).load(Size::W, Reg::R1, Reg::R1, 0).store(Size::D, Reg::R1, 0, Reg::R0);
    });
    for options in engines() {
        let batches = loaded.run(&table(false), &options, 8).unwrap();
        assert_eq!(integer(&batches[0], 0, 0), (0..ROWS).filter(|row| d(*row) == Some(250)).count() as i128);
        assert_eq!(integer(&batches[0], 7, 0), 250);
    }
}

/// Arguments are looked at before anything is touched.
#[test]
fn arguments_are_checked() {
    use helper::*;
    let read_only = Context;
    for (number, arguments, words) in [
        (COLUMN_COMPARE, [Value(S), Value(0), Value(FIVE), Out, Out], "argument 1"),
        (COLUMN_COMPARE, [Value(7), Value(0), Value(FIVE), Out, Out], "argument 1"),
        (COLUMN_COMPARE, [Value(A), Value(6), Value(FIVE), Out, Out], "argument 2"),
        (COLUMN_COMPARE, [Value(A), Value(0), Value(LONG), Out, Out], "argument 3"),
        (COLUMN_COMPARE, [Value(A), Value(0), Value(6), Out, Out], "argument 3"),
        (COLUMN_COMPARE, [Value(A), Value(0), Value(FIVE), read_only, Out], "store"),
        (COLUMN_BETWEEN, [Value(A), Value(4), Value(FIVE), Value(FIVE), Out], "argument 2"),
        (COLUMN_BETWEEN, [Value(A), Value(0), Value(FIVE), Value(TRUE), Out], "argument 4"),
        (COLUMN_COMPARE_COLUMNS, [Value(A), Value(0), Value(D), Out, Out], "argument 3"),
        (COLUMN_COMPARE_COLUMNS, [Value(A), Value(0), Value(S), Out, Out], "argument 3"),
        (BITMAP_COMBINE, [Value(3), Out, Out, Out, Out], "argument 1"),
        (BITMAP_COMBINE, [Value(0), Value(0), Out, Out, Out], "load"),
        (BITMAP_NEGATE, [Out, read_only, Out, Out, Out], "store"),
        (BITMAP_COUNT, [Value(1 << 40), Out, Out, Out, Out], "load"),
        (COLUMN_SUM, [Value(X), Selection, Out, Out, Out], "argument 1"),
        (COLUMN_SUM, [Value(T), Selection, Out, Out, Out], "argument 1"),
        (COLUMN_MIN, [Value(T), Selection, Out, Out, Out], "argument 1"),
        (COLUMN_MAX, [Value(A), Selection, read_only, Out, Out], "store"),
        (COLUMN_GATHER, [Value(T), Selection, Out, Out, Out], "argument 1"),
        (COLUMN_GATHER, [Value(A), Selection, read_only, Out, Out], "store"),
        (GROUP_COUNT, [Value(7), Value(-1), Selection, Value(0), Out], "argument 1"),
        (GROUP_COUNT, [Value(-1), Value(-1), Selection, Value(ROWS as i64 + 1), Out], "argument 4"),
        (GROUP_COUNT, [Value(-1), Value(-1), Selection, Value(0), read_only], "store"),
        (GROUP_SUM, [Value(X), Selection, Value(0), Out, Out], "argument 1"),
        (GROUP_SUM, [Value(T), Selection, Value(0), Out, Out], "argument 1"),
        (GROUP_SUM, [Value(A), Selection, Value(ROWS as i64 + 1), Out, Out], "argument 3"),
        (GROUP_SUM_PRODUCTS, [Value(A), Value(B), Selection, Value(0), Out], "argument 1"),
        (GROUP_SUM_PRODUCTS, [Value(D), Value(A), Selection, Value(0), Out], "argument 2"),
        (GROUP_MIN, [Value(S), Selection, Value(0), Out, Out], "argument 1"),
        (GROUP_MAX, [Value(A), Value(0), Value(0), Out, Out], "load"),
    ] {
        let loaded = select(&[(number, &arguments)]);
        for options in engines() {
            match loaded.run(&table(false), &options, 8) {
                Err(DeviceError::Trap { reason }) => assert!(reason.contains(words), "{reason}, not {words}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}

/// Each charges for the batch's rows before it works.
#[test]
fn fuel_is_charged() {
    let loaded = select(&[(helper::COLUMN_COMPARE, &[Value(A), Value(0), Value(FIVE), Out])]);
    let run = |fuel| loaded.run(&table(false), &Options { fuel: Some(fuel), ..Options::default() }, 8);
    assert!(run(1 << 20).is_ok());
    match run(ROWS as u64) {
        Err(DeviceError::Trap { reason }) => assert!(reason.contains("fuel"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
