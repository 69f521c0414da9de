//! What lowering makes of chosen fragments: which versions there are, what becomes a parameter, what is refused and why. Whether programs compute
//! the right thing is `differential.rs`'s to say.

mod device;

use device::{Device, Options};
use nearside_engine::Backend;
use nearside_planner::fragment::{ArithmeticOp, Expr, Named, Output};
use nearside_planner::{Capabilities, Fragment, compile, evaluate};
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;
use nearside_programs::isa::{CallTarget, Instruction, decode};
use nearside_programs::manifest::BoundOp;
use nearside_programs::{Object, Scalar, ValueType};

fn fragment(text: &str) -> Fragment {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn decimal(value: i128) -> Scalar {
    Scalar::Decimal { value, precision: 15, scale: 2 }
}

/// TPC-H Q6 as DataFusion types it: the sum is a 64-bit one wherever the values allow it, and so is the filter where it is byte code.
#[test]
fn q6() {
    let fragment = fragment(
        "scan (ship: date, disc: decimal(15,2), qty: decimal(15,2), price: decimal(15,2)) \
         | filter ship >= date '1994-01-01' | filter ship < date '1995-01-01' \
         | filter disc >= 0.05d(15,2) | filter disc <= 0.07d(15,2) | filter qty < 24.00d(15,2) \
         | aggregate revenue: sum(price * disc)",
    );
    let rows: Vec<Vec<Scalar>> = (0..1000)
        .map(|row| {
            vec![
                Scalar::Int(ValueType::Date32, 8700 + row),
                decimal(row % 11),
                decimal(row * 7 % 50 * 100),
                decimal(90_000 + row * 31),
            ]
        })
        .collect();
    let all = Capabilities::all();
    // In byte code, everything but the dates has a narrow version, and these values fit. Helpers need none.
    for (capabilities, narrow_calls) in [(&all, 0), (&all.without_vector_helpers(), 3)] {
        let compiled = compile(&fragment, capabilities).unwrap();
        let options = Options { backend: Backend::Jit, batch_rows: BATCH_ROWS_MAX as usize, groups_max: 1, narrow: true };
        let mut device = Device::new(&compiled, options);
        assert_eq!(device.run(&fragment, &rows), Some(evaluate(&fragment, &rows).unwrap()));
        assert_eq!((device.counters.calls, device.counters.narrow_calls), (4, narrow_calls));
        let manifest = compiled.object.manifest.unwrap();
        assert_eq!(manifest.selects.len(), 3, "one pass over each column");
        assert_eq!(manifest.bounds.len(), 5);
        assert_eq!(manifest.main.unwrap().narrow.is_some(), narrow_calls > 0);
    }
}

/// The helpers each conjunct calls; none where some of it needs single rows, or the device lacks one.
#[test]
fn conjuncts_over_whole_columns() {
    use nearside_programs::abi::helper::{
        BITMAP_COMBINE as JOIN, COLUMN_BETWEEN, COLUMN_COMPARE, COLUMN_COMPARE_COLUMNS, TEXT_LIKE,
    };
    let columns = "scan (k: i64 null, j: i64, d: decimal(15,2) null, x: f64, b: bool null, s: utf8 null)";
    let all = Capabilities::all();
    let without = |helper| Capabilities { helpers: all.helpers.iter().copied().filter(|known| *known != helper).collect() };
    let none: &[u32] = &[];
    for (capabilities, filter, helpers, loads) in [
        (&all, "k > 3", vec![COLUMN_COMPARE], none),
        (&all, "3 > k", vec![COLUMN_COMPARE], none),
        (&all, "k > 3 | filter 9 >= k", vec![COLUMN_BETWEEN], none),
        (&all, "k > 3 and k < 9 and k <> 5", vec![COLUMN_BETWEEN, COLUMN_COMPARE], none),
        (&all, "k > 3 and k > 9", vec![COLUMN_COMPARE, COLUMN_COMPARE], none),
        (&all, "not (k > 3 and k < 9) or d <= 1.00d(15,2)", vec![COLUMN_BETWEEN, COLUMN_COMPARE], none),
        (&all, "k < j or b or k is null", vec![COLUMN_COMPARE_COLUMNS], &[4]),
        (&all, "k in (1, 2) or s like 'a%'", vec![TEXT_LIKE, COLUMN_COMPARE, COLUMN_COMPARE, JOIN, JOIN], none),
        (&all, "x > 1.5 or x > 1.5", vec![COLUMN_COMPARE], none),
        (&all, "b", vec![], &[4]),
        (&all, "k in (1, 2, 3, 4, 5)", vec![], &[0]),
        (&all, "k > 3 or k + 1 < j", vec![], &[0, 1]),
        (&all.without_vector_helpers(), "k > 3 or s like 'a%'", vec![TEXT_LIKE], &[0]),
        (&without(COLUMN_BETWEEN), "k > 3 and k < 9", vec![], &[0]),
        (&without(COLUMN_COMPARE), "k > 3 and k < 9", vec![COLUMN_BETWEEN], none),
        (&without(JOIN), "k > 3 and k <> 5", vec![COLUMN_COMPARE, COLUMN_COMPARE], none),
        (&all, "s like 'a%'", vec![TEXT_LIKE], none),
    ] {
        let fragment = fragment(&format!("{columns} | filter {filter} | emit k"));
        let object = compile(&fragment, capabilities).unwrap().object;
        assert_eq!(called(&object), helpers, "{filter}");
        assert_eq!(object.manifest.unwrap().selects[0].loads, loads, "{filter}");
    }
}

/// Conjuncts over one column are one pass, but what fits helpers does not become byte code for another's sake.
#[test]
fn conjuncts_that_fit_stay_apart() {
    let fragment = fragment("scan (k: i64) | filter k + 1 < 90 | filter k > 3 | filter k - 1 > 0 | filter k < 80 | emit k");
    let object = compile(&fragment, &Capabilities::all()).unwrap().object;
    let manifest = object.manifest.as_ref().unwrap();
    let called = |index: usize| object.helpers_of(object.function(&manifest.selects[index].general).unwrap());
    assert_eq!(manifest.selects.len(), 2);
    assert_eq!(called(0).iter().map(|helper| helper.name).collect::<Vec<_>>(), ["column_between"]);
    assert!(called(1).is_empty());
}

/// Aggregates that helpers accumulate whole, and those that stay byte code; the answer is the evaluator's in both.
#[test]
fn aggregates_over_whole_columns() {
    use nearside_programs::abi::helper::*;
    let scan = "scan (g: i32 null, k: i64 null, s: i32 null, j: i64, d: decimal(15,2) null, x: f64 null)";
    let (ungrouped, by_g) = ("", "| group by g ");
    let cases: [(&str, &str, &[u32]); 13] = [
        (ungrouped, "a: count(*)", &[GROUP_COUNT]),
        (by_g, "a: count(*), b: count(k)", &[GROUP_IDS, GROUP_COUNT, GROUP_COUNT]),
        (by_g, "a: sum(j)", &[GROUP_IDS, GROUP_SUM]),
        (by_g, "a: sum(k)", &[GROUP_IDS, GROUP_COUNT, GROUP_SUM]),
        (by_g, "a: sum(cast(s as i64))", &[GROUP_IDS, GROUP_COUNT, GROUP_SUM]),
        (ungrouped, "a: sum(k * j), b: sum(d * d)", &[GROUP_COUNT, GROUP_SUM_PRODUCTS, GROUP_COUNT, GROUP_SUM_PRODUCTS]),
        (by_g, "a: sum(k * j), b: sum(d * d)", &[GROUP_IDS, GROUP_COUNT, GROUP_SUM_PRODUCTS, GROUP_COUNT, GROUP_SUM_PRODUCTS]),
        (by_g, "a: min(d), b: max(s)", &[GROUP_IDS, GROUP_COUNT, GROUP_MIN, GROUP_COUNT, GROUP_MAX]),
        (ungrouped, "a: max(x)", &[GROUP_COUNT, GROUP_MAX]),
        (by_g, "a: max(x)", &[GROUP_IDS]),
        (ungrouped, "a: sum(x)", &[]),
        (by_g, "a: sum(k + j)", &[GROUP_IDS]),
        (by_g, "a: count(*), b: sum(k) filter (where j > 3)", &[GROUP_IDS]),
    ];
    let rows: Vec<Vec<Scalar>> = (0..300i128).map(row_of_numbers).collect();
    for (by, aggregates, helpers) in cases {
        let fragment = fragment(&format!("{scan} | filter j > 7 {by}| aggregate {aggregates}"));
        let all = Capabilities::all();
        let with = compile(&fragment, &all).unwrap();
        let main = with.object.helpers_of(with.object.function("main").unwrap()).into_iter();
        let mut called: Vec<u32> = main.filter(|helper| helper.kind == Kind::Vector).map(|helper| helper.number).collect();
        let mut expected = helpers.to_vec();
        called.sort_unstable();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(called, expected, "{aggregates} {by}");
        let reads_values = !with.object.manifest.as_ref().unwrap().main.as_ref().unwrap().loads.is_empty();
        assert_eq!(reads_values, helpers.iter().all(|helper| *helper == GROUP_IDS), "{aggregates} {by}");
        let without = compile(&fragment, &all.without_vector_helpers()).unwrap();
        let expected = evaluate(&fragment, &rows).unwrap();
        for compiled in [with, without] {
            for backend in [Backend::Interpreter, Backend::Jit] {
                // Few groups at a time, and words that batches end in.
                let options = Options { backend, batch_rows: 100, groups_max: 3, narrow: true };
                let mut given = Device::new(&compiled, options).run(&fragment, &rows).unwrap();
                let mut expected = expected.clone();
                given.sort_by_key(|row| format!("{row:?}"));
                expected.sort_by_key(|row| format!("{row:?}"));
                assert_eq!(given, expected, "{aggregates} {by}, {backend:?}");
            }
        }
    }
}

/// Five groups, NULLs in every column but `j`.
fn row_of_numbers(row: i128) -> Vec<Scalar> {
    let or_null = |value: Scalar, every: i128| if row % every == 1 { Scalar::Null(value.value_type()) } else { value };
    let int = |value_type, value| Scalar::Int(value_type, value);
    vec![
        or_null(int(ValueType::Int32, row % 4), 5),
        or_null(int(ValueType::Int64, row * 31 - 900), 7),
        or_null(int(ValueType::Int32, 500 - row * 9), 6),
        int(ValueType::Int64, row % 50),
        or_null(decimal(row * 1_000_003 - 5_000_000), 8),
        or_null(Scalar::Float64((row as f64 * 0.25).to_bits()), 9),
    ]
}

/// The helpers that an object's code calls, in its order.
fn called(object: &Object) -> Vec<u32> {
    let mut helpers = Vec::new();
    let mut index = 0;
    while index < object.code.len() {
        let instruction = decode(&object.code, index).unwrap();
        index += instruction.slot_count();
        if let Instruction::Call(CallTarget::Helper(helper)) = instruction {
            helpers.push(helper);
        }
    }
    helpers
}

/// Too many comparisons for a bitmap each are byte code, and mean the same.
#[test]
fn long_disjunctions_stay_byte_code() {
    for terms in [30, 40] {
        let filter: Vec<String> = (0..terms).map(|term| format!("k = {}", term * 3)).collect();
        let fragment = fragment(&format!("scan (k: i64) | filter {} | emit k", filter.join(" or ")));
        let compiled = compile(&fragment, &Capabilities::all()).unwrap();
        let entry = &compiled.object.manifest.as_ref().unwrap().selects[0];
        assert_eq!(entry.scratch_bitmaps, if terms == 30 { 30 } else { 0 });
        let rows: Vec<_> = (0..200).map(|k| vec![Scalar::Int(ValueType::Int64, k)]).collect();
        let options = Options { backend: Backend::Jit, batch_rows: BATCH_ROWS_MAX as usize, groups_max: 1, narrow: true };
        assert_eq!(Device::new(&compiled, options).run(&fragment, &rows), Some(evaluate(&fragment, &rows).unwrap()));
    }
}

/// What a program is does not depend on the constants.
#[test]
fn literals_are_parameters() {
    let object = |text| compile(&fragment(text), &Capabilities::all()).unwrap().object;
    let one = object("scan (k: i64, s: utf8) | filter k > 10 | filter s like 'a%' | emit x: k + 5");
    let mut other = object("scan (k: i64, s: utf8) | filter k > 77 | filter s like '%b' | emit x: k + 6");
    other.manifest.as_mut().unwrap().notes = one.manifest.as_ref().unwrap().notes.clone();
    assert_eq!(one, other);
}

/// The common reasons, as `EXPLAIN` shows them: what programs do not do at all.
#[test]
fn refusals() {
    let numbers: Vec<String> = (0..3_000).map(|item| item.to_string()).collect();
    let sums = |count: i32| (0..count).map(|item| format!("a{item}: sum(k + {item})")).collect::<Vec<_>>().join(", ");
    let conjuncts: Vec<String> = (0..300).map(|item| format!("filter a{item} > b{item}")).collect();
    let columns: Vec<String> = (0..300).map(|item| format!("a{item}: i64, b{item}: i64")).collect();
    for (text, expected) in [
        ("scan (k: i64) | emit x: cast(k as f32)".to_owned(), "the cast from i64 to f32 is not offloaded"),
        ("scan (k: u64) | emit x: cast(k as f32)".to_owned(), "the cast from u64 to f32 is not offloaded"),
        ("scan (k: i32) | emit x: cast(k as decimal(9,-2))".to_owned(), "the cast from i32 to decimal(9,-2) is not offloaded"),
        ("scan (d: decimal(38,30)) | emit x: cast(d as f64)".to_owned(), "the cast from decimal(38,30) to f64 is not offloaded"),
        (
            "scan (k: i64, s: utf8) | emit x: case when k > 1 then s end".to_owned(),
            "an output column is computed text, and programs make none",
        ),
        (
            "scan (k: i64) | group by x: case when k > 1 then 'big' else 'small' end | aggregate n: count(*)".to_owned(),
            "a group key is computed text, and programs make none",
        ),
        (
            "scan (k: i64, s: utf8) | aggregate x: max(case when k > 1 then s end)".to_owned(),
            "the argument of MIN or MAX is computed text, and programs make none",
        ),
        (
            "scan (k: i64, s: utf8) | aggregate x: min(s) filter (where k > 1)".to_owned(),
            "MIN or MAX with FILTER on type utf8 is not offloaded",
        ),
        (
            format!("scan (k: i64) | filter k in ({}) | emit k", numbers.join(", ")),
            "too complex: 3000 values of an IN list, the limit is 2048",
        ),
        (format!("scan (k: i64) | aggregate {}", sums(300)), "too complex: 301 values to accumulate, the limit is 256"),
        (
            format!("scan ({}) | {} | emit a0", columns.join(", "), conjuncts.join(" | ")),
            "too complex: 300 conditions joined by AND, the limit is 256",
        ),
        (
            "scan (k: i64, k: i64) | filter k > 1 | emit k".to_owned(),
            "the program would not be valid: manifest: column 1 has another column's name",
        ),
    ] {
        let refusal = compile(&fragment(&text), &Capabilities::all()).unwrap_err();
        assert_eq!(refusal.to_string(), expected, "{}", &text[..text.len().min(200)]);
    }
}

/// What the language does not have, for its text form is refused by the parser: as DataFusion's plans may have it.
#[test]
fn refusals_of_expressions() {
    let column = |index| Box::new(Expr::Column(index));
    let minus =
        |index, value_type| Expr::Arithmetic { op: ArithmeticOp::Sub, left: column(index), right: column(index), value_type };
    let ilike = Expr::Like { expr: column(2), pattern: "%é".into(), negated: false, case_insensitive: true };
    let deep = (0..200).fold(Expr::Column(3), |expr, _| Expr::Not(expr.into()));
    for (expr, expected) in [
        (Expr::Cast { expr: column(0), to: ValueType::Int32 }, "the cast from f64 to i32 is not offloaded"),
        (Expr::Cast { expr: column(1), to: ValueType::Utf8 }, "the cast from date to utf8 is not offloaded"),
        (minus(1, ValueType::Date32), "- on type date is not offloaded"),
        (ilike, "ILIKE with a pattern beyond ASCII on type utf8 is not offloaded"),
        (deep, "too complex: 129 levels of an expression, the limit is 128"),
        (Expr::Not(column(0)), "the fragment is not well typed: NOT is of type f64, not bool"),
    ] {
        let mut fragment = fragment("scan (x: f64, d: date, s: utf8, b: bool) | emit x");
        fragment.output = Output::Project(vec![Named { name: "y".into(), expr }]);
        assert_eq!(compile(&fragment, &Capabilities::all()).unwrap_err().to_string(), expected);
    }
}

/// What a device without helpers cannot do, by the helper's name; numbers need none.
#[test]
fn missing_helpers() {
    for (text, helper) in [
        ("scan (s: utf8) | filter s = 'a' | emit s", "text_compare"),
        ("scan (s: utf8, t: utf8) | filter s < t | emit s", "text_compare_columns"),
        ("scan (s: utf8) | filter s like 'a%' | emit s", "text_like"),
        ("scan (s: utf8) | filter s in ('a', 'b') | emit s", "text_in"),
        ("scan (s: utf8) | aggregate m: min(s)", "text_min"),
        ("scan (s: utf8) | aggregate m: max(s)", "text_max"),
        ("scan (k: i64) | group by k | aggregate n: count(*)", "group_ids"),
        ("scan (x: f64) | emit y: x + x", "f64_add"),
        ("scan (x: f64) | emit y: x - x", "f64_sub"),
        ("scan (x: f64) | emit y: x * x", "f64_mul"),
        ("scan (x: f32) | emit y: cast(x as f64)", "f64_from_f32"),
        ("scan (x: f64) | emit y: cast(x as f32)", "f32_from_f64"),
        ("scan (x: i32) | emit y: cast(x as f64)", "f64_from_i64"),
        ("scan (x: u64) | emit y: cast(x as f64)", "f64_from_u64"),
        ("scan (x: f64) | aggregate s: sum(x)", "f64_add"),
        ("scan (x: decimal(10,4)) | emit y: x * x", "i128_mul"),
        ("scan (x: i32) | emit y: cast(x as decimal(12,2))", "i128_mul"),
        ("scan (x: decimal(10,4)) | emit y: cast(x as decimal(10,2))", "i128_div"),
        ("scan (x: decimal(10,4)) | emit y: cast(x as i64)", "i128_div"),
        ("scan (x: decimal(10,4)) | emit y: cast(x as f64)", "f64_from_i64"),
    ] {
        let refusal = compile(&fragment(text), &Capabilities::none()).unwrap_err();
        assert_eq!(refusal.to_string(), format!("the device has no helper `{helper}`"), "{text}");
    }
    for text in [
        "scan (k: i64, d: decimal(15,2), b: bool) | filter k in (1, 2, 3, 4, 5) or b | aggregate n: count(*), s: sum(d), m: max(b)",
        "scan (x: f64, y: f32) | filter x > 1.5 and y in (0.0f32, 1.0f32) | aggregate lo: min(x), hi: max(y)",
    ] {
        assert!(compile(&fragment(text), &Capabilities::none()).is_ok(), "{text}");
    }
}

/// Of a list, only the order of magnitude of its length shapes the program; what lies between its ends prunes.
#[test]
fn searched_lists() {
    let compiled = |list: &str| {
        let text = format!("scan (k: i64 null) | filter k in ({list}) | emit k");
        compile(&fragment(&text), &Capabilities::all()).unwrap()
    };
    let (short, long) = (compiled("9, 1, 5, 7, 3"), compiled("-4, 100, 6, 8, 2, null i64, 2, 77, 12"));
    assert_eq!((short.object.code, &short.parameters.types), (long.object.code, &long.parameters.types));
    let values: Vec<i128> = long.parameters.slots.iter().map(|slot| slot.0).collect();
    assert_eq!(values, [-4, 2, 6, 8, 12, 77, 100, 100]);
    let bounds = long.object.manifest.unwrap().bounds;
    assert_eq!(bounds.iter().map(|bound| (bound.op, bound.parameter)).collect::<Vec<_>>(), [(BoundOp::Ge, 0), (BoundOp::Le, 6)]);
}

/// Many integers near each other are bits: wherever they lie, nothing else is found among them.
#[test]
fn sets_of_integers() {
    let ends =
        [("i64", i64::MIN.into(), i64::MAX.into()), ("u64", 0, u64::MAX.into()), ("i32", i32::MIN.into(), i32::MAX.into())];
    for (name, least, greatest) in ends {
        for start in [least, least.max(-1_000), 0, greatest - 200_000] {
            let values: Vec<i128> = (0..300).map(|index| start + index * index * 2 + index % 3).collect();
            let list: Vec<_> = values.iter().map(|value| format!("{value}{name}")).collect();
            let fragment = fragment(&format!("scan (k: {name} null) | filter k in ({}) | emit k", list.join(", ")));
            let compiled = compile(&fragment, &Capabilities::all()).unwrap();
            assert!(compiled.parameters.slots.len() > values.len(), "not a set: {}", compiled.parameters.slots.len());
            let value_type = fragment.columns[0].value_type;
            let around = values.iter().flat_map(|value| [-1, 0, 1].map(|step| value + step));
            let powers =
                (0..64).flat_map(|bit| [start + (1 << bit), start - (1 << bit), least + (1 << bit), greatest - (1 << bit)]);
            let inside = around.chain(powers).chain([least, greatest]).filter(|value| (least..=greatest).contains(value));
            let rows = inside.map(|value| vec![Scalar::Int(value_type, value)]).chain([vec![Scalar::Null(value_type)]]);
            let rows: Vec<_> = rows.collect();
            let expected = evaluate(&fragment, &rows).unwrap();
            for backend in [Backend::Interpreter, Backend::Jit] {
                let mut device = Device::new(&compiled, Options { backend, batch_rows: 1000, groups_max: 1, narrow: false });
                assert_eq!(device.run(&fragment, &rows).unwrap(), expected, "{name} from {start}");
            }
        }
    }
}

/// A sum goes on over batches, beyond 64 bits.
#[test]
fn sums_of_decimals_exceed_64_bits() {
    let fragment = fragment("scan (d: decimal(38,0) null) | aggregate t: sum(d)");
    let all = Capabilities::all();
    let [with, without] = [&all, &all.without_vector_helpers()].map(|capabilities| compile(&fragment, capabilities).unwrap());
    let value = |value: i128| vec![Scalar::Decimal { value, precision: 38, scale: 0 }];
    let large = i128::from(i64::MAX) / i128::from(BATCH_ROWS_MAX);
    let rows: Vec<_> =
        (0..5 * i64::from(BATCH_ROWS_MAX)).map(|row| value(if row % 3 == 0 { -large / 5 } else { large })).collect();
    let expected = evaluate(&fragment, &rows).unwrap();
    for (compiled, narrow) in [(&with, true), (&without, false), (&without, true)] {
        let options = Options { backend: Backend::Jit, batch_rows: BATCH_ROWS_MAX as usize, groups_max: 1, narrow };
        let mut device = Device::new(compiled, options);
        assert_eq!(device.run(&fragment, &rows).unwrap(), expected);
        assert_eq!(device.counters.narrow_calls > 0, narrow && std::ptr::eq(compiled, &without));
    }
}

/// More addresses and literals than a frame has room for: then they are loaded where they are used.
#[test]
fn many_aggregates() {
    let columns = "scan (k: i64 null, d: decimal(15,2) null, g: i32, s: utf8 null)";
    let sums: Vec<String> = (0..80).map(|item| format!("a{item}: sum(k + {item})")).collect();
    let decimals: Vec<String> = (0..30)
        .map(|item| format!("d{item}: sum(d * {item}.50d(15,2)) filter (where s like '%{item}%' and k > {item})"))
        .collect();
    let rows: Vec<Vec<Scalar>> = (0..300)
        .map(|row: i64| {
            let null = |value: Scalar, every| if row % every == 0 { Scalar::Null(value.value_type()) } else { value };
            let k = Scalar::Int(ValueType::Int64, i128::from(row * 7919 % 101));
            vec![
                null(k, 5),
                null(decimal(i128::from(row) * 1_000_003 - 77_777), 7),
                Scalar::Int(ValueType::Int32, i128::from(row % 3)),
                null(Scalar::Utf8(row.to_string()), 11),
            ]
        })
        .collect();
    for group in ["", "| group by g "] {
        for aggregates in [&sums, &decimals] {
            let fragment = fragment(&format!("{columns} | filter k > 3 {group}| aggregate {}", aggregates.join(", ")));
            let compiled = compile(&fragment, &Capabilities::all()).unwrap();
            for narrow in [false, true] {
                let options = Options { backend: Backend::Jit, batch_rows: 100, groups_max: 3, narrow };
                let given = Device::new(&compiled, options).run(&fragment, &rows);
                assert_eq!(given, Some(evaluate(&fragment, &rows).unwrap()), "{fragment}");
            }
        }
    }
}
