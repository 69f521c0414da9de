//! Programs of ours to begin with.

use nearside_planner::lower::Compiled;
use nearside_planner::{Capabilities, Fragment, compile};

/// Filters, projections and aggregates over the columns that [`crate::files`] have, too: together they have everything that objects of ours have.
const FRAGMENTS: [&str; 5] = [
    "scan (k: i64 null, s: utf8 null) | filter k >= 100 | filter s like '%7' | emit k, s",
    "scan (k: i64 null, d: decimal(15,2) null, s: utf8 null) | group by s | aggregate n: count(*), t: sum(d), m: min(s), x: max(k)",
    "scan (k: i64 null, d: decimal(15,2) null) | filter d > 1.00d(15,2) | emit v: d * d, w: k + 1",
    "scan (k: i64 null, f: f64 null) | filter f >= 2.5 or k is null | aggregate n: count(f), a: max(f)",
    "scan (s: utf8 null, k: i64 null) | filter s in ('a', 'b') and k < 7 | emit s",
];

/// The programs, compiled.
///
/// # Panics
/// The planner does not take one of them.
pub(crate) fn programs() -> Vec<(Fragment, Compiled)> {
    let compiled = FRAGMENTS.map(|text| {
        let fragment: Fragment = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let compiled = compile(&fragment, &Capabilities::all()).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        (fragment, compiled)
    });
    compiled.into()
}
