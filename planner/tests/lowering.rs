//! What lowering makes of chosen fragments: which versions there are, what becomes a parameter, what is refused and why. Whether programs compute
//! the right thing is `differential.rs`'s to say.

mod device;

use device::{Device, Options};
use nearside_engine::Backend;
use nearside_planner::{Capabilities, Fragment, compile, evaluate};
use nearside_programs::{Scalar, ValueType};

fn fragment(text: &str) -> Fragment {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn decimal(value: i128) -> Scalar {
    Scalar::Decimal { value, precision: 15, scale: 2 }
}

/// TPC-H Q6 as DataFusion types it: the sum is a 64-bit one wherever the values allow it.
#[test]
fn q6() {
    let fragment = fragment(
        "scan (ship: date, disc: decimal(15,2), qty: decimal(15,2), price: decimal(15,2)) \
         | filter ship >= date '1994-01-01' | filter ship < date '1995-01-01' \
         | filter disc >= 0.05d(15,2) | filter disc <= 0.07d(15,2) | filter qty < 24.00d(15,2) \
         | aggregate revenue: sum(price * disc)",
    );
    let compiled = compile(&fragment, &Capabilities::all()).unwrap();
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
    let options = Options { backend: Backend::Jit, batch_rows: 8192, groups_max: 1, narrow: true };
    let mut device = Device::new(&compiled, options);
    assert_eq!(device.run(&fragment, &rows), Some(evaluate(&fragment, &rows).unwrap()));
    // Everything but the dates has a narrow version, and these values fit.
    assert_eq!((device.counters.calls, device.counters.narrow_calls), (4, 3));
    let manifest = compiled.object.manifest.unwrap();
    assert_eq!(manifest.selects.len(), 3, "one pass over each column");
    assert_eq!(manifest.bounds.len(), 5);
    assert!(manifest.main.unwrap().narrow.is_some());
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

/// The reasons are typed, and say what to do about them.
#[test]
fn refusals() {
    let check = |text: &str, expected: &str| {
        let refusal = compile(&fragment(text), &Capabilities::none()).unwrap_err();
        assert_eq!(refusal.to_string(), expected, "{text}");
    };
    check("scan (s: utf8) | filter s = 'a' | emit s", "the device has no helper `text_compare`");
    check("scan (x: f32) | emit y: x + x", "+ on type f32 is not offloaded");
    check(
        "scan (x: decimal(10,4)) | emit y: cast(x as decimal(10,2))",
        "the cast from decimal(10,4) to decimal(10,2) is not offloaded",
    );
    check("scan (k: i64) | group by k | aggregate n: count(*)", "the device has no helper `group_ids`");
    check("scan (x: f64) | emit x: x + x", "the device has no helper `f64_add`");
    check("scan (x: decimal(10,4)) | emit y: x * x", "the device has no helper `i128_mul`");
    check("scan (x: i32) | emit y: cast(x as decimal(12,2))", "the device has no helper `i128_mul`");
    let many: Vec<String> = (0..40).map(|item| item.to_string()).collect();
    let in_list = format!("scan (k: i64) | filter k in ({}) | emit k", many.join(", "));
    check(&in_list, "too complex: 40 items of an IN list, 32 are the limit");
}

/// A sum goes on over batches, beyond 64 bits.
#[test]
fn sums_of_decimals_exceed_64_bits() {
    let fragment = fragment("scan (d: decimal(38,0) null) | aggregate t: sum(d)");
    let compiled = compile(&fragment, &Capabilities::all()).unwrap();
    let value = |value: i128| vec![Scalar::Decimal { value, precision: 38, scale: 0 }];
    let large = i128::from(i64::MAX) / 8192;
    let rows: Vec<_> = (0..40_000).map(|row| value(if row % 3 == 0 { -large / 5 } else { large })).collect();
    let expected = evaluate(&fragment, &rows).unwrap();
    for narrow in [false, true] {
        let options = Options { backend: Backend::Jit, batch_rows: 8192, groups_max: 1, narrow };
        let mut device = Device::new(&compiled, options);
        assert_eq!(device.run(&fragment, &rows).unwrap(), expected);
        assert_eq!(device.counters.narrow_calls > 0, narrow);
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
