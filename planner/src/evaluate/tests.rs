use nearside_programs::{Scalar, ValueType};

use super::{EvaluationError, Fault, evaluate, like};
use crate::fragment::{Fragment, Output};
use crate::text::{parse_scalar, write_scalar};

/// The result of a fragment as text, a row a line; the rows too are given as text, `;` between values.
fn run(fragment: &str, rows: &[&str]) -> Result<Vec<String>, EvaluationError> {
    let fragment: Fragment = fragment.parse().unwrap_or_else(|error| panic!("{fragment}: {error}"));
    let row = |row: &&str| {
        let values = row.split(';').zip(&fragment.columns);
        values
            .map(|(value, column)| parse_scalar(value.trim(), column.value_type).unwrap_or_else(|e| panic!("{value}: {e}")))
            .collect()
    };
    let rows: Vec<Vec<Scalar>> = rows.iter().map(row).collect();
    let result = evaluate(&fragment, &rows)?;
    Ok(result.iter().map(|row| row.iter().map(write_scalar).collect::<Vec<_>>().join("; ")).collect())
}

#[track_caller]
fn check(fragment: &str, rows: &[&str], expected: &[&str]) {
    assert_eq!(run(fragment, rows).unwrap(), expected, "{fragment}");
}

/// One expression over one row of no columns.
#[track_caller]
fn value(expr: &str, expected: &str) {
    check(&format!("scan () | emit x: {expr}"), &[""], &[expected]);
}

#[track_caller]
fn fault(expr: &str, expected: &str) {
    assert_eq!(run(&format!("scan () | emit x: {expr}"), &[""]).unwrap_err().to_string(), format!("row 0: {expected}"), "{expr}");
}

/// Kleene's tables; what is not true does not pass.
#[test]
fn three_valued_logic() {
    for (expr, expected) in [
        ("null bool and false", "false"),
        ("null bool and true", "null"),
        ("null bool or true", "true"),
        ("null bool or false", "null"),
        ("not null bool", "null"),
        ("null i64 = null i64", "null"),
        ("null i64 is null", "true"),
        ("(null i64 = 1) is not null", "false"),
        ("1 in (2, null i64)", "null"),
        ("1 in (1, null i64)", "true"),
        ("1 not in (1, null i64)", "false"),
        ("1 not in (2, null i64)", "null"),
        ("null i64 in (1)", "null"),
        ("null utf8 not like '%'", "null"),
        ("case when null bool then 1 end", "null"),
        ("case when null bool then 1 else 2 end", "2"),
    ] {
        value(expr, expected);
    }
    check("scan (b: bool null) | filter b | emit b", &["true", "false", "null"], &["true"]);
}

/// Integers wrap at their own width, decimals fail at 128 bits and nowhere else.
#[test]
fn arithmetic() {
    value("127i8 + 1i8", "-128");
    value("-9223372036854775808 - 1", "9223372036854775807");
    value("0u64 - 1u64", "18446744073709551615");
    value("18446744073709551615u64 * 18446744073709551615u64", "1");
    value("200u8 * 2u8", "144");
    value("9.99d(3,2) + 0.001d(4,3)", "9.991");
    value("-1.5d(2,1) * 0.25d(2,2)", "-0.375");
    value("1200d(2,-2) - 0.5d(1,1)", "1199.5");
    value("170141183460469231731687303715884105727d(38,0) - 1d(38,0)", "170141183460469231731687303715884105726");
    fault("170141183460469231731687303715884105727d(38,0) + 1d(1,0)", "decimal overflow in operator +");
    // Overflows when both get one scale, though the sum would fit.
    fault("170141183460469231731687303715884105727d(38,0) - 0.1d(1,1)", "decimal overflow in operator -");
    fault("100000000000000000000d(38,0) * 100000000000000000000d(38,0)", "decimal overflow in operator *");
    value("null decimal(38,0) * 1d(1,0)", "null");
}

/// Total order, in which NaNs differ by their bits; only lists tell zeros apart. Arithmetic makes x86-64's NaN.
#[test]
fn floats() {
    value("-0.0 < 0.0", "false");
    value("-0.0f32 = 0.0f32", "true");
    value("-0.0 >= 0.0", "true");
    value("f64 0x7ff8000000000000 = f64 0x7ff8000000000000", "true");
    value("f64 0x7ff8000000000000 > f64 0x7ff0000000000000", "true");
    value("f64 0xfff8000000000000 < f64 0xfff0000000000000", "true");
    value("0.0 in (-0.0)", "false");
    value("f64 0x7ff0000000000000 - f64 0x7ff0000000000000", "0xfff8000000000000");
    value("1.5 + f64 0x7ff0000000000001", "0x7ff8000000000001");
    value("0.1f32 + 0.2f32", "0.3");
    value("0.1 + 0.2", "0.30000000000000004");
}

/// A conjunct is evaluated on the rows that passed those before it, an arm on the rows that take it; both operands of `and` on every row.
#[test]
fn which_rows_are_evaluated() {
    let overflow = "d * d > 0d(1,0)";
    let big = "scan (k: i64, d: decimal(38,0))";
    let rows = ["0; 99999999999999999999999999999999999999", "1; 2"];
    let overflows = |row| EvaluationError::Fault { row, fault: Fault::Overflow { op: "*" } };
    check(&format!("{big} | filter k = 1 | filter {overflow} | emit k"), &rows, &["1"]);
    check(&format!("{big} | filter k = 1 | emit x: case when k = 0 then {overflow} else true end"), &rows, &["true"]);
    check(&format!("{big} | emit x: case when k = 0 then false when {overflow} then true end"), &rows, &["false", "true"]);
    assert_eq!(run(&format!("{big} | emit x: d * d is null"), &rows), Err(overflows(0)));
    assert_eq!(run(&format!("{big} | aggregate n: count(d * d)"), &rows), Err(overflows(0)));
    assert_eq!(run(&format!("{big} | filter {overflow} | filter k = 1 | emit k"), &rows), Err(overflows(0)));
    assert_eq!(run(&format!("{big} | filter k = 1 and {overflow} | emit k"), &rows), Err(overflows(0)));
    assert_eq!(run(&format!("{big} | aggregate n: sum(d * d) filter (where k = 1)"), &rows), Err(overflows(0)));
}

/// arrow-cast's rules, one by one.
#[test]
fn casts() {
    fault("cast(-1 as u64)", "a value does not fit u64");
    fault("cast(128 as i8)", "a value does not fit i8");
    value("cast(null i64 as i8)", "null");
    value("cast(date '1970-02-01' as i64)", "31");
    value("cast(31 as date)", "'1970-02-01'");
    fault("cast(2147483648 as date)", "a value does not fit date");
    value("cast(9007199254740993 as f64)", "9007199254740992.0");
    value("cast(9007199791611905 as f32)", "9007200000000000.0");
    value("cast(1e300 as f32)", "0x7f800000");
    value("cast(1.5f32 as f64)", "1.5");
    value("cast(f32 0xff800001 as f64)", "0xfff8000020000000");
    value("cast(f64 0x7ff0000000000001 as f32)", "0x7fc00000");
    // To a decimal: the precision is checked, digits beyond a negative scale are cut.
    value("cast(99 as decimal(4,2))", "99.00");
    fault("cast(100 as decimal(4,2))", "a value does not fit decimal(4,2)");
    value("cast(-1999 as decimal(2,-2))", "-1900");
    // From a decimal: cut, not rounded.
    value("cast(-1.99d(3,2) as i32)", "-1");
    fault("cast(128.0d(4,1) as i8)", "a value does not fit i8");
    value("cast(1200d(2,-2) as i64)", "1200");
    value("cast(0.15d(2,2) as f64)", "0.15");
    // Between decimals: half away from zero; checked only where the types do not prove it.
    value("cast(0.25d(3,2) as decimal(2,1))", "0.3");
    value("cast(-0.25d(3,2) as decimal(2,1))", "-0.3");
    value("cast(-0.24d(3,2) as decimal(2,1))", "-0.2");
    value("cast(1.5d(2,1) as decimal(4,3))", "1.500");
    fault("cast(9.99d(3,2) as decimal(2,1))", "a value does not fit decimal(2,1)");
    fault("cast(10.0d(3,1) as decimal(3,2))", "a value does not fit decimal(3,2)");
    fault("cast(1.00d(3,2) as decimal(2,2))", "a value does not fit decimal(2,2)");
    value("cast(123456d(2,0) as decimal(3,0))", "123456");
    value("cast(123456d(2,0) as decimal(4,2))", "123456.00");
    value("cast(170141183460469231731687303715884105727d(36,0) as decimal(38,2))", "-1.00");
    value("cast(0.00000000000000000000000000000000000001d(38,38) as decimal(1,-1))", "00");
}

/// `%`, `_` and `\` as arrow-string has them.
#[test]
fn like_patterns() {
    for (text, pattern, expected) in [
        ("", "", true),
        ("", "%", true),
        ("", "%%", true),
        ("", "_", false),
        ("abc", "a%c", true),
        ("abc", "a%b", false),
        ("aXbXc", "%X_", true),
        ("mississippi", "%iss%ip%i", true),
        ("mississippi", "%iss%iss%iss%", false),
        ("a\nb", "a_b", true),
        ("a\nb\n", "a%", true),
        ("a\n", "a", false),
        ("é", "_", true),
        ("50%", r"50\%", true),
        ("500", r"50\%", false),
        ("a_b", r"a\_b", true),
        (r"\", r"\\", true),
        (r"a\", r"a\", true),
        ("x", r"\x", true),
        (".*", ".*", true),
        ("ab", ".*", false),
    ] {
        assert_eq!(like(text, pattern, false), expected, "{text:?} like {pattern:?}");
    }
    for (text, pattern) in [("ABC", "a_c"), ("straSSe", "%ss%"), ("\u{212a}", "k"), ("ſ", "S")] {
        assert!(like(text, pattern, true), "{text:?} ilike {pattern:?}");
    }
    assert!(!like("É", "e", true));
}

/// No keys: one row, also over nothing. Keys: none over nothing.
#[test]
fn aggregates_of_nothing() {
    let all = "aggregate n: count(*), c: count(k), s: sum(k), a: min(k), b: max(k)";
    check(&format!("scan (k: i64 null) | {all}"), &[], &["0; 0; null; null; null"]);
    check(&format!("scan (k: i64 null) | {all}"), &["null"], &["1; 0; null; null; null"]);
    check(&format!("scan (k: i64 null) | group by k | {all}"), &[], &[]);
    check(&format!("scan (k: i64 null) | group by k | {all}"), &["null", "null"], &["null; 2; 0; null; null; null"]);
}

/// Sums wrap; a filter and a NULL leave a row out.
#[test]
fn sums() {
    check(
        "scan (k: i64 null) | aggregate s: sum(k), n: count(k) filter (where k > 1), f: sum(k) filter (where k < 0)",
        &["9223372036854775807", "2", "null"],
        &["-9223372036854775807; 2; null"],
    );
    check("scan (k: u8) | aggregate s: sum(k)", &["255", "255"], &["510"]);
    check(
        "scan (d: decimal(38,0)) | aggregate s: sum(d)",
        &["170141183460469231731687303715884105727", "1"],
        &["-170141183460469231731687303715884105728"],
    );
    check("scan (x: f64) | aggregate s: sum(x)", &["-0.0"], &["0.0"]);
    check("scan (x: f32) | aggregate s: sum(x)", &["0.1", "0.2"], &["0.30000000447034836"]);
}

/// Without keys the least float is that of total order; with keys it is not.
#[test]
fn extremes_of_floats() {
    let rows = ["0x7ff8000000000000", "1.0", "0xfff8000000000000", "-0.0", "0.0"];
    check("scan (x: f64) | aggregate a: min(x), b: max(x)", &rows, &["0xfff8000000000000; 0x7ff8000000000000"]);
    let keyed = "scan (x: f64, k: i64 null) | group by k | aggregate a: min(x), b: max(x)";
    check(keyed, &["1.0; 0", "0x7ff8000000000000; 0", "-0.0; 0", "0.0; 0"], &["0; -0.0; -0.0"]);
    check(keyed, &["0x7ff0000000000000; 0"], &["0; 1.7976931348623157e308; 0x7ff0000000000000"]);
    check("scan (b: bool null) | aggregate a: min(b), b: max(b)", &["null", "true", "false"], &["false; true"]);
    check("scan (s: utf8) | aggregate a: min(s), b: max(s)", &["'b'", "'B'", "'é'"], &["'B'; 'é'"]);
}

/// Zero has no sign as a key, each NaN is its own, NULL is a group; groups come in the order of their first rows.
#[test]
fn group_keys() {
    check(
        "scan (x: f64 null) | group by x | aggregate n: count(*)",
        &["-0.0", "null", "0x7ff8000000000000", "0.0", "0xfff8000000000000", "null"],
        &["0.0; 2", "null; 2", "0x7ff8000000000000; 1", "0xfff8000000000000; 1"],
    );
    check(
        "scan (s: utf8, b: bool) | group by s, b | aggregate",
        &["''; true", "'a'; true", "''; false", "''; true"],
        &["''; true", "'a'; true", "''; false"],
    );
}

/// The caller's rows are checked, not trusted.
#[test]
fn rows_of_another_table() {
    let fragment: Fragment = "scan (k: i64, o: opaque) | emit k, o".parse().unwrap();
    let (k, o) = (Scalar::Int(ValueType::Int64, 1), Scalar::Utf8("anything".into()));
    assert_eq!(evaluate(&fragment, &[vec![k.clone(), o.clone()]]), Ok(vec![vec![k.clone(), o]]));
    for row in [vec![], vec![k.clone()], vec![Scalar::Null(ValueType::Int64), k.clone()], vec![Scalar::Bool(true), k]] {
        assert!(matches!(evaluate(&fragment, &[row]), Err(EvaluationError::Row { row: 0, .. })));
    }
    let unchecked = Fragment { output: Output::Project(Vec::new()), filter: vec![crate::fragment::Expr::Column(7)], ..fragment };
    assert!(matches!(evaluate(&unchecked, &[]), Err(EvaluationError::Type(_))));
}
