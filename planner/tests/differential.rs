//! Programs mean what the reference evaluator says: both engines, wide and narrow decimals, rows cut into batches and groups emitted early.
//!
//! A few thousand generated cases run as a test. `NEARSIDE_SEARCH_SECONDS=60` goes on from there for a minute; a failure prints the seed, the fragment, and the
//! command that runs this one case again.

mod device;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use device::{Device, Options};
use nearside_engine::Backend;
use nearside_planner::fragment::{Aggregate, Expr, Fragment, Function, Named, Output, is_float};
use nearside_planner::generate::Generator;
use nearside_planner::{Capabilities, EvaluationError, Refusal, compile, evaluate};
use nearside_programs::Scalar;
use nearside_programs::abi::columnar::BATCH_ROWS_MAX;

/// Seeds that the test tries.
const SEEDS: u64 = 1_000;

/// One case alone.
const SEED_VARIABLE: &str = "NEARSIDE_SEARCH_SEED";

/// How long to go on after the test's own seeds.
const SECONDS_VARIABLE: &str = "NEARSIDE_SEARCH_SECONDS";

/// What came of the cases.
#[derive(Debug, Default)]
struct Tally {
    /// Reasons, and how often.
    refused: BTreeMap<String, usize>,
    /// No row fails: every run had the result.
    same: usize,
    /// Some row may fail: every run failed, or had the result all the same.
    failed: usize,
    narrow_calls: usize,
}

/// The property, over the test's seeds, or for as long as the environment says.
#[test]
fn differential_against_the_evaluator() {
    if let Some(seed) = variable(SEED_VARIABLE) {
        return try_seed(seed, &mut Tally::default());
    }
    let mut tally = Tally::default();
    (0..SEEDS).for_each(|seed| try_seed(seed, &mut tally));
    // A test that refuses nearly everything, or fails nearly everywhere, tests nothing.
    println!("{tally:#?}");
    let compiled = tally.same + tally.failed;
    // Each seed is tried with and without vector helpers.
    assert!(compiled * 100 > 2 * SEEDS as usize * 85 && tally.same > compiled / 2 && tally.failed > 20, "{tally:#?}");
    assert!(tally.refused.len() > 2, "{tally:#?}");
    assert!(tally.narrow_calls > 100, "{tally:?}");
    if let Some(seconds) = variable(SECONDS_VARIABLE) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let last = (SEEDS..).take_while(|_| Instant::now() < end).inspect(|seed| try_seed(*seed, &mut tally)).last();
        println!("tried seeds 0 to {}: {tally:?}", last.unwrap_or(SEEDS - 1));
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Everything that follows from one seed.
fn try_seed(seed: u64, tally: &mut Tally) {
    let mut generator = Generator::new(seed);
    let fragment = generator.fragment();
    let rows = generator.rows(&fragment.columns);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(&fragment, &rows, seed, tally)));
    let problem = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(problem)) => problem,
        Err(_) => "a panic, see above".into(),
    };
    panic!(
        "seed {seed}: {problem}\n{fragment}\n{SEED_VARIABLE}={seed} cargo test --release -p nearside-planner --test differential"
    );
}

/// With the vector helpers that compare, and with byte code alone.
fn compare(fragment: &Fragment, rows: &[Vec<Scalar>], seed: u64, tally: &mut Tally) -> Result<(), String> {
    let all = Capabilities::all();
    compare_with(&all, fragment, rows, seed, tally)?;
    compare_with(&all.without_vector_helpers(), fragment, rows, seed, tally)
}

fn compare_with(
    capabilities: &Capabilities,
    fragment: &Fragment,
    rows: &[Vec<Scalar>],
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let compiled = match compile(fragment, capabilities) {
        Ok(compiled) => compiled,
        Err(refusal @ (Refusal::IllTyped(_) | Refusal::Invalid(_))) => return Err(refusal.to_string()),
        Err(refusal) => {
            *tally.refused.entry(refusal.to_string()).or_default() += 1;
            return Ok(());
        }
    };
    let outcomes = Outcomes::of(fragment, rows)?;
    for options in ways(seed) {
        let mut device = Device::new(&compiled, options);
        let given = device.run(fragment, rows).map(|given| sorted(fragment, given));
        tally.narrow_calls += device.counters.narrow_calls;
        let allowed = if given.is_none() { outcomes.may_fail } else { given == outcomes.result };
        if !allowed {
            return Err(format!("{options:?}: {}, not {}", shown(given.as_deref()), shown(outcomes.result.as_deref())));
        }
    }
    if outcomes.may_fail {
        tally.failed += 1
    } else {
        tally.same += 1
    }
    Ok(())
}

/// What a device may answer: it evaluates conjuncts, and what `and` joins in them, in the order it likes, several at once if it likes.
struct Outcomes {
    /// The result, if each row that fails in one conjunct is left out by another.
    result: Option<Vec<String>>,
    /// Whether a row fails if every conjunct is evaluated on all of them.
    may_fail: bool,
}

impl Outcomes {
    fn of(fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<Self, String> {
        let mut conjuncts = Vec::new();
        fragment.filter.iter().for_each(|conjunct| split(conjunct, &mut conjuncts));
        let filters: Vec<Fragment> = conjuncts.into_iter().map(|conjunct| filter(fragment, conjunct)).collect();
        let left_out =
            |row: &&Vec<Scalar>| filters.iter().any(|filter| evaluate(filter, &[row.to_vec()]).is_ok_and(|rows| rows.is_empty()));
        let rest: Vec<Vec<Scalar>> = rows.iter().filter(|row| !left_out(row)).cloned().collect();
        let joined = fragment.filter.iter().cloned().reduce(|left, right| Expr::And(left.into(), right.into()));
        let at_once = Fragment { filter: Vec::from_iter(joined), ..fragment.clone() };
        let may_fail = attempt(&at_once, rows)?.is_none() || has_order_dependent_extreme(fragment, &rest)?;
        Ok(Self { result: attempt(fragment, &rest)?, may_fail })
    }
}

/// Whether `MIN` or `MAX` by group meets a float that DataFusion does not order as everywhere else: that is the host's.
fn has_order_dependent_extreme(fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<bool, String> {
    let Output::Aggregate { keys, aggregates } = &fragment.output else { return Ok(false) };
    let is_extreme = |aggregate: &&Aggregate| {
        matches!(aggregate.function, Function::Min | Function::Max) && is_float(aggregate.value_type) && !keys.is_empty()
    };
    let argument = |aggregate: &Aggregate| Some(Named { name: aggregate.name.clone(), expr: aggregate.argument.clone()? });
    let arguments = Output::Project(aggregates.iter().filter(is_extreme).filter_map(argument).collect());
    match evaluate(&Fragment { output: arguments, ..fragment.clone() }, rows) {
        Ok(values) => Ok(values.iter().flatten().any(is_special)),
        Err(EvaluationError::Fault { .. }) => Ok(true),
        Err(error) => Err(error.to_string()),
    }
}

fn is_special(value: &Scalar) -> bool {
    let special = |value: f64| !value.is_finite() || (value == 0.0 && value.is_sign_negative());
    match value {
        Scalar::Float32(bits) => special(f32::from_bits(*bits).into()),
        Scalar::Float64(bits) => special(f64::from_bits(*bits)),
        _ => false,
    }
}

/// Gathers what `and` joins.
fn split<'a>(conjunct: &'a Expr, conjuncts: &mut Vec<&'a Expr>) {
    match conjunct {
        Expr::And(left, right) => [left, right].into_iter().for_each(|side| split(side, conjuncts)),
        conjunct => conjuncts.push(conjunct),
    }
}

/// One conjunct, and a row of nothing for each row that passes.
fn filter(fragment: &Fragment, conjunct: &Expr) -> Fragment {
    Fragment { columns: fragment.columns.clone(), filter: vec![conjunct.clone()], output: Output::Project(Vec::new()) }
}

/// `None` where a row fails.
fn attempt(fragment: &Fragment, rows: &[Vec<Scalar>]) -> Result<Option<Vec<String>>, String> {
    match evaluate(fragment, rows) {
        Ok(result) => Ok(Some(sorted(fragment, result))),
        Err(EvaluationError::Fault { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The plain way first, then both engines with batches and group tables of all sizes.
fn ways(seed: u64) -> [Options; 3] {
    let pick = |sizes: &[usize]| sizes[seed as usize % sizes.len()];
    let (batch_rows, groups_max) = (pick(&[BATCH_ROWS_MAX as usize, 64, 100, 1, 3]), pick(&[8192, 1, 2, 5]));
    [
        Options { backend: Backend::Interpreter, batch_rows: BATCH_ROWS_MAX as usize, groups_max: 1024, narrow: false },
        Options { backend: Backend::Interpreter, batch_rows, groups_max, narrow: true },
        Options { backend: Backend::Jit, batch_rows, groups_max, narrow: seed.is_multiple_of(2) },
    ]
}

/// Rows as text. Groups come in no order, and sums of floats depend on the order of additions.
fn sorted(fragment: &Fragment, rows: Vec<Vec<Scalar>>) -> Vec<String> {
    let is_aggregate = matches!(fragment.output, Output::Aggregate { .. });
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, is_aggregate)).collect();
    if is_aggregate {
        lines.sort();
    }
    lines
}

fn line(row: &[Scalar], is_aggregate: bool) -> String {
    let shown = |value: &Scalar| match value {
        Scalar::Float64(bits) if is_aggregate && f64::from_bits(*bits).is_finite() => {
            format!("{:.9e}", f64::from_bits(*bits) + 0.0)
        }
        value => nearside_planner::text::write_scalar(value),
    };
    row.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn shown(rows: Option<&[String]>) -> String {
    rows.map_or("a fault".into(), |rows| format!("[{}]", rows.join("; ")))
}
