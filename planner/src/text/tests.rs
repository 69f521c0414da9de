use nearside_programs::{Scalar, ValueType};

use super::{parse_scalar, write_scalar};
use crate::fragment::{DEPTH_MAX, Expr, Fragment, Output};

const COLUMNS: &str = "scan (k: i64 null, i: i32, u: u64, s: utf8 null, d: decimal(15,2), e: decimal(10,4), b: bool null, x: f64, y: f32, t: date, \"two words\": i8, o: opaque)";

/// Reads `COLUMNS | rest`, writes it, and finds the text again; what comes back is the same fragment.
#[track_caller]
fn check(rest: &str) {
    let text = format!("{COLUMNS} | {rest}");
    let fragment: Fragment = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(fragment.to_string(), text);
    assert_eq!(fragment.to_string().parse(), Ok(fragment));
}

#[track_caller]
fn check_error(text: &str, error: &str) {
    assert_eq!(text.parse::<Fragment>().unwrap_err().to_string(), error, "{text}");
}

/// Every stage, every variant of an expression and every literal is its own canonical text.
#[test]
fn everything_round_trips() {
    for rest in [
        "emit",
        "emit k, x: k + 1, o, \"two words\", \"a \"\"b\"\"\": s",
        "filter k > 10 and s like 'a%' | filter b | emit k",
        "aggregate n: count(*), t: sum(k) filter (where k > 1), m: min(s), d: sum(d) as decimal(38,2), c: count(k) as u64",
        "group by s, g: i * 2i32, y | aggregate a: max(x), c: count(o)",
        "group by s | aggregate",
        "filter k = 1 or k <> 2 or k < 3 and k <= 4 and (k > 5 or not k >= 6) | emit",
        "filter not (b and not b) and (b or b) | filter b = (k = 1) | emit",
        "filter b and (b and b) or (b or b) | emit",
        "filter k + 1 - (k - 1) * (k * k) > k - (k + k) - k * k * k | emit",
        "filter (k is null) is not null and not k is null and (b or b) is null | emit",
        "filter k in (1, -2, null i64) and s not in ('', 'it''s') and i in (1i32) | emit",
        r"filter s like '100\%' or s not like '_a%' or s ilike 'x' and s not ilike '' | emit",
        "emit v: case when k = 1 then s when b then null utf8 else 'x' end, w: case when b then -1 end + 2",
        "emit v: cast(k as decimal(20,0)) * d, w: cast(cast(i as f64) is null as bool)",
        "emit a: cast(t as i32), b: cast(x as f32), c: e + d * d - 1.50d(15,2)",
        "emit a: 5, b: -5i32, c: 18446744073709551615u64, d: -9223372036854775808, e: 7i8, f: 7i16, g: 7u8, h: 7u16, i: 7u32",
        "emit a: 1.5, b: -0.0, c: 1e300, d: 5e-324, e: 1.5f32, f: -0.0f32, g: f64 0x7ff8000000000000, h: f32 0xff800000, i: f64 0xfff0000000000001",
        "emit a: date '1998-09-02', b: -2147483648date, c: date '0001-01-01', d: true, e: false, f: null bool, g: null decimal(38,-3)",
        "emit a: 1.50d(15,2), b: -0.01d(2,2), c: 0d(1,0), d: 1200d(2,-2), e: 170141183460469231731687303715884105727d(38,0), f: -0.05d(38,2)",
        "emit a: 'line\nbreak', b: '\u{1f980}'",
    ] {
        check(rest);
    }
}

/// What is not canonical is read all the same: space, comments, needless parentheses, names that need none.
#[test]
fn other_spellings() {
    let same = |left: &str, right: &str| {
        let read =
            |rest: &str| format!("{COLUMNS} | {rest}").parse::<Fragment>().unwrap_or_else(|error| panic!("{rest}: {error}"));
        assert_eq!(read(left), read(right));
    };
    same("emit k: k, \"s\"", "emit k, s");
    same("filter ((k))>(1)|emit #0", "filter k > 1 | emit k");
    same("\n# why\nfilter k > 1\n  # and why not\n | emit", "filter k > 1 | emit");
    same("filter k in(1,2) and k- 1=-1 | emit", "filter k in (1, 2) and k - 1 = -1 | emit");
    same("emit d: 1.5d(15,2), f: 2f64", "emit d: 1.50d(15,2), f: 2.0");
}

/// An error names the place, in one line.
#[test]
fn errors() {
    check_error("", "line 1, column 1: expected scan, found the end");
    check_error("scan (k: i65) | emit k", "line 1, column 10: expected a type, found \"i65\"");
    check_error("scan (k: i64) | emit j", "line 1, column 22: no column is named \"j\"");
    check_error("scan (k: i64)\n| filter k > 1 +\n| emit k", "line 3, column 1: expected an expression, found \"|\"");
    check_error("scan (k: i64) | filter k > 1i32 | emit", "line 1, column 24: operator > is not defined for i64 and i32");
    check_error("scan (k: i64) | filter k | emit", "line 1, column 24: a filter is of type i64, not bool");
    check_error("scan (k: i64) | emit x: 'é' + (1", "line 1, column 33: expected ), found the end");
    check_error("scan (s: utf8) | emit x: 'it''s", "line 1, column 26: a quote is never closed");
    check_error("scan (s: utf8) | emit s s", "line 1, column 25: expected the end, found \"s\"");
    check_error("scan (s: utf8) | aggregate x: sum(s)", "line 1, column 31: the argument of SUM cannot be of type utf8");
    check_error("scan (s: utf8) | aggregate x: min(*)", "line 1, column 31: an aggregate lacks its argument");
    check_error("scan (d: decimal(39,0)) | emit d", "line 1, column 10: decimal(39,0) is not a type");
    check_error("scan () | emit x: 300u8", "line 1, column 19: not a value of type u8");
    check_error("scan () | emit x: 1.505d(9,2)", "line 1, column 19: not a value of type decimal(9,2)");
    check_error("scan () | emit x: date '2023-02-29'", "line 1, column 19: not a value of type date");
    check_error("scan (k: i64) | filter k = 1 = 2 | emit", "line 1, column 30: expected |, found \"=\"");
    check_error("scan (k: i64) | emit k + 1", "line 1, column 22: expected a name: only a column has one, found an expression");
    check_error("scan (k: i64) | emit #9", "line 1, column 22: column 9 does not exist: there are 1");
    check_error("scan (k: i64) | emit x: k ? 1", "line 1, column 27: expected a token, found '?'");
}

/// Neither the parser's recursion nor the trees it makes have a depth that the text decides.
#[test]
fn depth_is_bounded() {
    let with =
        |expr: String| format!("scan (k: i64, b: bool) | emit x: {expr}").parse::<Fragment>().map_err(|error| error.problem);
    let chain = |terms: usize| vec!["k"; terms].join(" + ");
    assert!(with(chain(DEPTH_MAX)).is_ok());
    for deep in [
        chain(DEPTH_MAX + 1),
        chain(100_000),
        "(".repeat(100_000),
        format!("{}b", "not ".repeat(100_000)),
        format!("{}k", "k + (".repeat(100_000)),
        "case when ".repeat(100_000),
        "cast(".repeat(100_000),
    ] {
        assert_eq!(with(deep), Err(super::Problem::TooDeep));
    }
    let deepest = (1..DEPTH_MAX).fold(Expr::Column(1), |expr, _| Expr::Not(expr.into()));
    let Output::Project(outputs) = with(format!("{}b", "not ".repeat(DEPTH_MAX - 1))).unwrap().output else {
        panic!("a projection")
    };
    assert_eq!(outputs[0].expr, deepest);
}

/// Values of tables need no types.
#[test]
fn scalars_round_trip() {
    let decimal = ValueType::Decimal128 { precision: 5, scale: 2 };
    for (text, value_type) in [
        ("null", ValueType::Int8),
        ("-128", ValueType::Int8),
        ("true", ValueType::Bool),
        ("'it''s, a text'", ValueType::Utf8),
        ("'1998-09-02'", ValueType::Date32),
        ("3000000", ValueType::Date32),
        ("-1.05", decimal),
        ("-0.0", ValueType::Float32),
        ("0xffc00000", ValueType::Float32),
        ("1e300", ValueType::Float64),
    ] {
        assert_eq!(write_scalar(&parse_scalar(text, value_type).unwrap()), text);
    }
    for (text, value_type) in [
        ("128", ValueType::Int8),
        ("1", ValueType::Bool),
        ("x", ValueType::Utf8),
        ("1.055", decimal),
        ("", decimal),
        ("1 2", decimal),
    ] {
        assert!(parse_scalar(text, value_type).is_err(), "{text}");
    }
    assert_eq!(parse_scalar("1.5", decimal).unwrap(), Scalar::Decimal { value: 150, precision: 5, scale: 2 });
}
