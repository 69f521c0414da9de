//! Reference evaluator = interpreter = JIT, over generated fragments, generated rows and every layout.

use arrow::buffer::BooleanBuffer;
use nearside_planner::fragment::{Expr, Fragment, Function, Output, is_float};
use nearside_planner::generate::Generator;
use nearside_planner::{Capabilities, evaluate};
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::{Scalar, ValueType};

use super::tables::{LAYOUTS, Layout, rows, table};
use super::{Loaded, MANY, engines, int, text};
use crate::DeviceError;

/// Rows of a full batch.
const BATCH_ROWS: usize = BATCH_ROWS_MAX as usize;

/// Seeds that one test run tries.
const SEEDS: u64 = 400;

/// Types of a fragment's result.
fn result_types(fragment: &Fragment) -> Vec<ValueType> {
    let type_of = |expr: &Expr| expr.value_type(&fragment.columns).unwrap();
    match &fragment.output {
        Output::Project(columns) => columns.iter().map(|column| type_of(&column.expr)).collect(),
        Output::Aggregate { keys, aggregates } => {
            let keys = keys.iter().map(|key| type_of(&key.expr));
            keys.chain(aggregates.iter().map(|aggregate| aggregate.value_type)).collect()
        }
    }
}

/// `MIN` and `MAX` of floats by group, where DataFusion's answer over NaNs depends on the order of rows: such rows are the host's.
fn depends_on_order(fragment: &Fragment) -> bool {
    let Output::Aggregate { keys, aggregates } = &fragment.output else { return false };
    let is_extreme = |function| matches!(function, Function::Min | Function::Max);
    !keys.is_empty() && aggregates.iter().any(|aggregate| is_extreme(aggregate.function) && is_float(aggregate.value_type))
}

/// Whether rows may be the host's: also one that fails in a conjunct and is left out by another, since conjuncts have no order.
fn may_fail(fragment: &Fragment, input: &[Vec<Scalar>]) -> bool {
    let alone =
        |conjunct: &Expr| Fragment { filter: vec![conjunct.clone()], output: Output::Project(Vec::new()), ..fragment.clone() };
    depends_on_order(fragment) || fragment.filter.iter().any(|conjunct| evaluate(&alone(conjunct), input).is_err())
}

/// Runs a fragment on both engines over rows in one layout; the result must be the reference's.
fn check(fragment: &Fragment, loaded: &Loaded, input: &[Vec<Scalar>], layout: Layout, context: &str) -> bool {
    let Ok(expected) = evaluate(fragment, input) else { return false };
    let types = result_types(fragment);
    let table = table(&fragment.columns, input, layout);
    for options in engines() {
        match loaded.run(&table, &options, MANY) {
            Ok(batches) => assert_eq!(rows(&batches, &types), expected, "{context}, {layout:?}, {options:?}\n{fragment}"),
            // A narrow dictionary of keys may have no room for all groups.
            Err(DeviceError::Trap { reason }) if reason.contains("Dictionary") => {}
            Err(DeviceError::Trap { reason }) if reason.contains("a row is the host's") && may_fail(fragment, input) => {}
            Err(error) => panic!("{error}: {context}, {layout:?}, {options:?}\n{fragment}"),
        }
    }
    true
}

/// Generated fragments over generated rows, one layout a seed.
#[test]
fn generated_fragments() {
    let (mut compared, mut compiled) = (0, 0);
    for seed in 0..SEEDS {
        let mut generator = Generator::new(seed);
        let fragment = generator.fragment();
        let input = generator.rows(&fragment.columns);
        let Some(loaded) = Loaded::compile(&fragment) else { continue };
        compiled += 1;
        let layout = LAYOUTS[seed as usize % LAYOUTS.len()];
        let context = format!("seed {seed}");
        compared += usize::from(check(&fragment, &loaded, &input, layout, &context));
        let without = Loaded::compile_for(&fragment, &Capabilities::all().without_vector_helpers());
        check(&fragment, &without.expect("byte code does without"), &input, layout, &context);
    }
    assert!(
        compiled * 100 > SEEDS * 85 && compared * 100 > SEEDS as usize * 75,
        "{compiled} compiled, {compared} compared: the test tests nothing"
    );
}

/// More rows than a batch has, the last batch short, in every layout.
#[test]
fn many_batches() {
    for source in [
        "scan (k: i64 null, s: utf8 null) | filter k > 10 and s like 'a%' | emit k, s, x: k + 1",
        "scan (k: i64 null, s: utf8 null) | filter s in ('abc', 'long text, more than twelve bytes') or s in ('a', 'b', '', 'zz', 'y') or k = 3 | emit k",
        "scan (k: i64 null, s: utf8 null) | group by s | aggregate n: count(*), t: sum(k), a: min(k), b: max(k)",
        "scan (k: i64 null, s: utf8 null) | group by k, s | aggregate n: count(*)",
        "scan (k: i64 null, s: utf8 null) | filter k < 90 | group by k | aggregate a: min(s), b: max(s)",
        "scan (k: i64 null, s: utf8 null) | aggregate n: count(k), a: min(s), t: sum(k)",
        "scan (k: i64 null, s: utf8 null) | filter k > 1000 | emit s",
        "scan (k: i64 null, s: utf8 null) | filter (k >= 3 and k < 20 or not k <= 90) and (k <> 5 or s = 'b') | emit k, s",
    ] {
        let (fragment, loaded) = Loaded::parse(source);
        assert!(check(&fragment, &loaded, &sample(5 * BATCH_ROWS / 2), Layout::View, "two and a half batches"));
        for layout in LAYOUTS {
            for count in [0, 1, BATCH_ROWS + 1] {
                assert!(check(&fragment, &loaded, &sample(count), layout, &format!("{count} rows")));
            }
        }
    }
}

/// Conjuncts and aggregate in one give what one after the other gives, also of a selection, and that is one call where nothing looks at single values and there are no groups.
#[test]
fn conjuncts_and_aggregate_in_one() {
    let columns = "scan (k: i64 null, s: utf8 null) | filter k > 10 | filter s <> 'b'";
    for (output, is_one_call) in [
        ("aggregate n: count(*), t: sum(k), a: min(k), b: max(k)", true),
        ("aggregate n: count(s)", true),
        ("aggregate a: min(s), b: max(s)", true),
        ("aggregate t: sum(k * k)", true),
        ("aggregate t: sum(k + 1)", false),
        ("group by k | aggregate n: count(*)", false),
        ("group by s | aggregate n: count(*), t: sum(k)", false),
    ] {
        let (fragment, loaded) = Loaded::parse(&format!("{columns} | {output}"));
        assert_eq!(loaded.program.filter_main.is_some(), is_one_call, "{output}");
        let table = table(&fragment.columns, &sample(5 * BATCH_ROWS / 2), Layout::Plain);
        let rows = table.num_rows();
        let some = BooleanBuffer::collect_bool(rows, |row| row % 7 != 3 && row % 1000 > 100);
        for options in engines() {
            for selection in [None, Some(&some)] {
                let [mut one, mut other] = [(); 2].map(|()| loaded.worker(&table.schema(), &options, MANY).unwrap());
                let all = Vec::from_iter(table.columns().iter().cloned().map(Some));
                let passed = one.select(&[0, 1], &all, rows, selection).unwrap();
                one.aggregate(&all, rows, Some(&passed), &mut |_| panic!("there is room")).unwrap();
                let expected = Vec::from_iter(one.finish().unwrap());
                let at_once = loaded.aggregate_at_once(&mut other, &table, selection).unwrap();
                assert_eq!(at_once, (expected, passed.count_set_bits() as u64), "{output}");
            }
        }
    }
}

/// Rows with NULLs, short and long texts.
fn sample(count: usize) -> Vec<Vec<Scalar>> {
    let texts = ["a", "abc", "", "long text, more than twelve bytes", "b", "another long text, more than twelve bytes", "aXb"];
    let row = |row: usize| {
        let k = if row % 11 == 5 { Scalar::Null(ValueType::Int64) } else { int((row * 7 % 101) as i128) };
        let s = if row % 13 == 2 { Scalar::Null(ValueType::Utf8) } else { text(texts[row * 5 % texts.len()]) };
        vec![k, s]
    };
    (0..count).map(row).collect()
}

/// Decimals that fit 64 bits run the narrow version, others the general one; the answer is the same.
#[test]
fn narrow_and_general_agree() {
    let source =
        "scan (p: decimal(15,2), d: decimal(15,2) null) | filter d > 0.05d(15,2) | aggregate t: sum(p * (1.00d(15,2) - d))";
    let fragment: Fragment = source.parse().unwrap();
    // A filter that is byte code has two versions as well.
    let loaded = Loaded::compile_for(&fragment, &Capabilities::all().without_vector_helpers()).unwrap();
    let decimal = |value| Scalar::Decimal { value, precision: 15, scale: 2 };
    let small: Vec<_> = (0..BATCH_ROWS as i128 + 800).map(|row| vec![decimal(row * 17), decimal(row % 11)]).collect();
    let mut large = small.clone();
    large[BATCH_ROWS + 300][0] = decimal(10_i128.pow(30));
    for (input, narrow_calls) in [(&small, 4), (&large, 3)] {
        check(&fragment, &loaded, input, Layout::Plain, "decimals");
        let table = table(&fragment.columns, input, Layout::Plain);
        let mut worker = loaded.worker(&table.schema(), &crate::Options::default(), MANY).unwrap();
        loaded.run_with(&mut worker, &table).unwrap();
        let counters = worker.take_counters();
        assert_eq!((counters.calls, counters.narrow_calls), (4, narrow_calls));
        assert!(counters.fuel > 0);
    }
}
