//! Generated fragments over generated tables: the reference evaluator, DataFusion alone, and DataFusion with a device, by JIT and by interpreter, give one answer.
//!
//! `planner/tests/differential.rs` holds programs to the evaluator, fast and on more cases; here the evaluator is held to DataFusion, and everything between SQL's
//! plan and the program to both. `NEARSIDE_SEARCH_SECONDS=60` goes on for a minute after the test's own seeds; a failure prints the command that runs
//! its case alone.

mod query;
mod table;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::physical_plan::collect;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use nearside::account;
use nearside_planner::evaluate;
use nearside_planner::fragment::{Aggregate, Fragment, Function, Output, is_float, state_type};
use nearside_planner::generate::Generator;
use nearside_programs::{Scalar, ValueType};
use tempfile::TempDir;

use table::{Cell, is_nan};

/// Seeds that the test tries.
const SEEDS: u64 = 400;

/// One case alone.
const SEED_VARIABLE: &str = "NEARSIDE_SEARCH_SEED";

/// How long to go on after the test's own seeds.
const SECONDS_VARIABLE: &str = "NEARSIDE_SEARCH_SECONDS";

/// The error of who panics.
const PANIC: &str = "a panic";

/// What came of the cases.
#[derive(Debug, Default)]
struct Tally {
    /// Parquet has no type for a column.
    unstorable: usize,
    /// DataFusion's simplifier changes the answer: `cast(d AS INT) IN (1)` is no longer true of 1.5.
    simplified: usize,
    /// DataFusion fails, and so does the evaluator, or which rows are evaluated makes the difference.
    failed: usize,
    /// `min` or `max` by group of floats with NaNs among them: DataFusion's answer is what it happens to see last.
    last_seen: usize,
    /// All answers are the same.
    same: usize,
    /// Of those: a device had a part in it.
    offloaded: usize,
}

/// Rows, sorted; or an error.
type Answer = std::result::Result<Vec<Vec<Cell>>, String>;

/// The property, over the test's seeds, or for as long as the environment says.
#[tokio::test]
async fn differential_against_datafusion() {
    let directory = tempfile::tempdir().unwrap();
    let mut tally = Tally::default();
    if let Some(seed) = variable(SEED_VARIABLE) {
        return try_seed(seed, &directory, &mut tally).await;
    }
    for seed in 0..SEEDS {
        try_seed(seed, &directory, &mut tally).await;
    }
    println!("{tally:?}");
    // A test in which nothing is offloaded, or nearly everything fails, tests nothing.
    assert!(tally.same > SEEDS as usize / 2 && tally.offloaded > tally.same / 2, "{tally:?}");
    if let Some(seconds) = variable(SECONDS_VARIABLE) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut seed = SEEDS;
        while Instant::now() < end {
            try_seed(seed, &directory, &mut tally).await;
            seed += 1;
        }
        println!("tried seeds 0 to {}: {tally:?}", seed - 1);
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Everything that follows from one seed.
async fn try_seed(seed: u64, directory: &TempDir, tally: &mut Tally) {
    let mut generator = Generator::new(seed);
    let fragment = with_plain_states(generator.fragment());
    let rows = generator.rows(&fragment.columns);
    let (fragment, rows) = if has_arithmetic(&fragment) { with_one_nan(&fragment, rows) } else { (fragment, rows) };
    let is_storable = |value_type| !matches!(value_type, ValueType::Decimal128 { scale, .. } if scale < 0);
    if !fragment.columns.iter().all(|column| is_storable(column.value_type)) {
        tally.unstorable += 1;
        return;
    }
    let path = directory.path().join("t.parquet");
    table::write(&path, &fragment.columns, &rows, seed);
    let about = sums_of_floats(&fragment);
    let cells = |row: &Vec<_>| row.iter().zip(&about).map(|(cell, about)| Cell::of_scalar(cell, *about)).collect();
    let reference =
        evaluate(&fragment, &rows).map(|rows| sorted(rows.iter().map(cells).collect())).map_err(|error| error.to_string());
    let case = Case { seed, directory, fragment: &fragment, about: &about };
    let (plain, _) = case.ask(Way::Host { simplify: true }).await;
    let (jit, offloaded) = case.ask(Way::Device { interpreter: false }).await;
    let (interpreted, _) = case.ask(Way::Device { interpreter: true }).await;

    let show = |name: &str, answer: &Answer| format!("{name}: {answer:?}\n");
    let report = || {
        let answers = [("evaluator", &reference), ("DataFusion", &plain), ("JIT", &jit), ("interpreter", &interpreted)];
        let answers: String = answers.map(|(name, answer)| show(name, answer)).concat();
        format!("{fragment}\n{answers}{SEED_VARIABLE}={seed} cargo test --release --workspace against_datafusion")
    };
    if depends_on_order(&fragment) && rows.iter().flatten().any(is_nan) {
        tally.last_seen += 1;
        return;
    }
    match (&reference, &plain) {
        (Ok(reference), Ok(plain)) if same_values(reference, plain) => {
            tally.same += 1;
            tally.offloaded += usize::from(offloaded);
        }
        (Ok(reference), Ok(_)) => {
            let (literal, _) = case.ask(Way::Host { simplify: false }).await;
            let is_same = literal.is_ok_and(|literal| same_values(reference, &literal));
            assert!(is_same, "seed {seed}: the evaluator is not DataFusion\n{}", report());
            tally.simplified += 1;
        }
        _ => tally.failed += 1,
    }
    for (name, device) in [("JIT", &jit), ("interpreter", &interpreted)] {
        match (&plain, device) {
            (Ok(plain), Ok(device)) => assert!(same(plain, device), "seed {seed}: by {name} the answer is another\n{}", report()),
            (Ok(_), Err(error)) if reference.is_ok() || error == PANIC => {
                panic!("seed {seed}: by {name} there is an error\n{}", report())
            }
            // Which rows are evaluated decides whether one fails, in DataFusion as well.
            _ => {}
        }
    }
}

/// The fragment with the states of plain functions: those of an `AVG`'s parts are in no query's result.
fn with_plain_states(mut fragment: Fragment) -> Fragment {
    let columns = fragment.columns.clone();
    if let Output::Aggregate { aggregates, .. } = &mut fragment.output {
        for Aggregate { function, argument, value_type, .. } in aggregates {
            let argument = argument.as_ref().map(|argument| argument.value_type(&columns).expect("it checks"));
            *value_type = state_type(*function, argument).expect("the generator gives no other functions");
        }
    }
    fragment
}

fn has_arithmetic(fragment: &Fragment) -> bool {
    let text = fragment.to_string();
    [" + ", " - ", " * "].iter().any(|op| text.contains(op))
}

/// Fragment and rows with no other NaN than the one that x86-64 makes itself: which of two comes out of an addition is whichever the compiler put first.
fn with_one_nan(fragment: &Fragment, mut rows: Vec<Vec<Scalar>>) -> (Fragment, Vec<Vec<Scalar>>) {
    const SINGLE: u32 = 0xffc0_0000;
    const DOUBLE: u64 = 0xfff8 << 48;
    for value in rows.iter_mut().flatten().filter(|value| is_nan(value)) {
        *value = if matches!(value, Scalar::Float32(_)) { Scalar::Float32(SINGLE) } else { Scalar::Float64(DOUBLE) };
    }
    let words = fragment.to_string();
    let words = words.split_inclusive([' ', ',', ')']).map(|word| {
        let bits = word.trim_end_matches([' ', ',', ')']);
        let nan = match (bits.len(), bits.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())) {
            (10, Some(single)) if f32::from_bits(single as u32).is_nan() => format!("{SINGLE:#x}"),
            (18, Some(double)) if f64::from_bits(double).is_nan() => format!("{DOUBLE:#x}"),
            _ => bits.to_owned(),
        };
        nan + &word[bits.len()..]
    });
    (words.collect::<String>().parse().expect("what was printed"), rows)
}

/// For each column of the result, whether it is a sum of floats.
fn sums_of_floats(fragment: &Fragment) -> Vec<bool> {
    let is_sum = |aggregate: &Aggregate| aggregate.function == Function::Sum && is_float(aggregate.value_type);
    match &fragment.output {
        Output::Project(columns) => vec![false; columns.len()],
        Output::Aggregate { keys, aggregates } => keys.iter().map(|_| false).chain(aggregates.iter().map(is_sum)).collect(),
    }
}

/// Whether DataFusion's own answer depends on the order in which it sees the rows.
fn depends_on_order(fragment: &Fragment) -> bool {
    let extreme =
        |aggregate: &Aggregate| matches!(aggregate.function, Function::Min | Function::Max) && is_float(aggregate.value_type);
    matches!(&fragment.output, Output::Aggregate { keys, aggregates } if !keys.is_empty() && aggregates.iter().any(extreme))
}

/// Who computes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// DataFusion alone.
    Host { simplify: bool },
    /// DataFusion with a device.
    Device { interpreter: bool },
}

/// What is asked, again and again.
struct Case<'a> {
    seed: u64,
    directory: &'a TempDir,
    fragment: &'a Fragment,
    about: &'a [bool],
}

impl Case<'_> {
    /// The answer, and whether a device had a part in it.
    async fn ask(&self, way: Way) -> (Answer, bool) {
        let context = self.session(way).await.expect("a session");
        let rows = |batches: Vec<RecordBatch>| sorted(batches.iter().flat_map(|batch| cells(batch, self.about)).collect());
        match AssertUnwindSafe(self.run(&context)).catch_unwind().await {
            Ok(Ok((batches, offloaded))) => (Ok(rows(batches)), offloaded),
            Ok(Err(error)) => (Err(error.to_string()), false),
            // DataFusion 55.2 divides by zero when it moves a cast from a decimal to its literal (`datafusion-expr-common/src/casts.rs`).
            Err(_) => (Err(PANIC.into()), false),
        }
    }

    async fn run(&self, context: &SessionContext) -> Result<(Vec<RecordBatch>, bool)> {
        let plan = query::of(context, self.fragment).await?.create_physical_plan().await?;
        let batches = collect(plan.clone(), context.task_ctx()).await?;
        Ok((batches, account(&plan).executions > 0))
    }

    /// A session with the table; its settings follow from the seed.
    async fn session(&self, way: Way) -> Result<SessionContext> {
        let partitions = if depends_on_order(self.fragment) { 1 } else { 1 + self.seed as usize % 3 };
        let mut config = SessionConfig::new().with_target_partitions(partitions).with_repartition_file_min_size(0);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = self.seed.is_multiple_of(2);
        parquet.schema_force_view_types = self.seed.is_multiple_of(7);
        let context = nearside::extend(SessionContext::new_with_config(config))?;
        if way == (Way::Host { simplify: false }) {
            context.remove_optimizer_rule("simplify_expressions");
        }
        let offload = if matches!(way, Way::Device { .. }) { "always" } else { "never" };
        let interpreter = way == (Way::Device { interpreter: true });
        for (name, value) in [
            ("devices", format!("file://{}/=embedded", self.directory.path().display())),
            ("offload", offload.to_owned()),
            ("interpreter", interpreter.to_string()),
        ] {
            context.sql(&format!("SET nearside.{name} = '{value}'")).await?.collect().await?;
        }
        let url = format!("file://{}/t.parquet", self.directory.path().display());
        context.register_parquet("t", url, ParquetReadOptions::default()).await?;
        Ok(context)
    }
}

fn cells(batch: &RecordBatch, about: &[bool]) -> Vec<Vec<Cell>> {
    let cell = |row, column: usize| {
        let value = ScalarValue::try_from_array(batch.column(column), row).expect("a value of each type");
        Cell::of_value(&value, about[column])
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|column| cell(row, column)).collect()).collect()
}

/// Keys come first, and are different: sums whose last digits differ do not change the order.
fn sorted(mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    rows.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    rows
}

fn same(left: &[Vec<Cell>], right: &[Vec<Cell>]) -> bool {
    let agree = |(left, right): (&Vec<Cell>, &Vec<Cell>)| left.iter().zip(right).all(|(left, right)| left.agrees(right));
    left.len() == right.len() && left.iter().zip(right).all(agree)
}

/// [`same`], but for the bits of NaNs: which one arithmetic makes is the processor's and the compiler's choice.
fn same_values(left: &[Vec<Cell>], right: &[Vec<Cell>]) -> bool {
    let canonical = |rows: &[Vec<Cell>]| sorted(rows.iter().map(|row| row.iter().map(Cell::canonical).collect()).collect());
    same(&canonical(left), &canonical(right))
}
