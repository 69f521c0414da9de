//! A hostile program on a device: whatever object is loaded, running it over a batch ends in rows of the promised shape or in an error that blames the
//! program, the same in both engines.
//!
//! The first byte of an input says what the rest is: an object as it is, or choices of the generator of the engine's tests, which makes the code under the
//! manifest of one of our own programs.

use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use nearside_device::columnar::{Program, Worker};
use nearside_device::{DeviceError, Options};
use nearside_programs::manifest::{EntryPoint, Manifest, Output};
use nearside_programs::{Function, Object, Parameters};

use super::values;
use crate::generate::Generator;
use crate::{Choices, Target, fragments};

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 32 << 10;
/// Most memory on the heap, bytes: Cranelift's for a program of so many slots, results, and the manifest's tables.
const MEMORY_MAX: usize = 256 << 20;
/// Most fuel of a call.
const FUEL_MAX: u64 = 50_000;
/// Rows of the batch: not a multiple of a word's 64.
const ROWS: usize = 200;
/// Groups before partials leave: fewer than the batch has.
const GROUPS_MAX: usize = 3;
/// Most columns of a manifest that is worth running: more of them show nothing, and each is copied.
const COLUMNS_MAX: usize = 64;

/// What generated programs do not know, but may guess: the input's region is the first unit, the others follow an unmapped one.
const REGIONS: [u32; 5] = [0x1_0000, 0x2_0000, 0x4_0000, 0x5_0000, 0x8_0000];
/// Name of the only function of a generated program.
const FUNCTION: &str = "f";

static MANIFESTS: LazyLock<Vec<Manifest>> =
    LazyLock::new(|| fragments::programs().into_iter().filter_map(|(_, compiled)| compiled.object.manifest).collect());

pub(crate) const TARGET: Target = Target { name: "columnar", memory: (MEMORY_MAX, 0), prepare: || _ = &*MANIFESTS, check, seeds };

fn check(input: &[u8]) -> bool {
    let Some((&kind, rest)) = input.split_first() else { return false };
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    match kind {
        0 => run(rest),
        kind => run(&generated(kind, rest).write()),
    }
}

/// Code of the generator for one of the manifests.
fn generated(kind: u8, input: &[u8]) -> Object {
    let mut manifest = MANIFESTS[usize::from(kind) % MANIFESTS.len()].clone();
    manifest.notes.clear();
    manifest.selects.iter_mut().chain(&mut manifest.main).for_each(rename);
    let mut generator = Generator::columnar(Choices::new(input), &REGIONS);
    generator.program();
    let functions = vec![Function::new(FUNCTION, 0, generator.slots.len() as u32)];
    Object { code: generator.slots, functions, maps: Vec::new(), manifest: Some(manifest), license: String::new() }
}

fn rename(entry: &mut EntryPoint) {
    entry.general = FUNCTION.into();
    if let Some(narrow) = &mut entry.narrow {
        narrow.symbol = FUNCTION.into();
    }
}

fn run(object: &[u8]) -> bool {
    let Ok(program) = Program::load(object) else { return true };
    if program.manifest().columns.len() > COLUMNS_MAX {
        return false;
    }
    let program = Arc::new(program);
    let [interpreted, translated] = [true, false].map(|interpreter| {
        let result = execute(&program, &Options { interpreter, fuel: Some(FUEL_MAX), ..Options::default() });
        if let Err(error) = &result {
            assert!(is_the_programs(error), "{error:?}");
        }
        result
    });
    assert_eq!(interpreted, translated);
    true
}

/// The program's fault, or a limit of the device.
fn is_the_programs(error: &DeviceError) -> bool {
    use DeviceError::{BadProgram, BadRequest, Limit, Trap};
    matches!(error, BadProgram { .. } | BadRequest { .. } | Limit { .. } | Trap { .. })
}

/// All conjuncts, then the output, as a pipeline does it where it decodes one after the other; then as it does it where it has all columns.
fn execute(program: &Arc<Program>, options: &Options) -> Result<Vec<RecordBatch>, DeviceError> {
    let manifest = program.manifest();
    let table = values::table(&manifest.columns, ROWS);
    let parameters = Arc::new(values::parameters(&manifest.parameters));
    let mut batches = one_by_one(program, &table, Arc::clone(&parameters), options)?;
    if matches!(manifest.output, Output::Aggregate { .. }) {
        let mut worker = Worker::new(Arc::clone(program), &table.schema(), parameters, options, GROUPS_MAX)?;
        let conjuncts: Vec<usize> = (0..manifest.selects.len()).collect();
        let columns: Vec<_> = table.columns().iter().cloned().map(Some).collect();
        let passed = worker.filter_and_aggregate(&conjuncts, &columns, ROWS, None, &mut |batch| batches.push(batch))?;
        assert!(passed <= ROWS as u64);
        batches.extend(worker.finish()?);
    }
    Ok(batches)
}

fn one_by_one(
    program: &Arc<Program>,
    table: &RecordBatch,
    parameters: Arc<Parameters>,
    options: &Options,
) -> Result<Vec<RecordBatch>, DeviceError> {
    let manifest = program.manifest();
    let mut worker = Worker::new(Arc::clone(program), &table.schema(), parameters, options, GROUPS_MAX)?;
    let mut selected = None;
    for conjunct in 0..manifest.selects.len() {
        let columns = only(table, program.select_columns(conjunct));
        selected = Some(worker.select(&[conjunct], &columns, table.num_rows(), selected.as_ref())?);
    }
    let (columns, rows) = (only(table, program.main_columns()), table.num_rows());
    let mut batches = Vec::new();
    match manifest.output {
        Output::Project(_) => batches.push(worker.project(&columns, rows, selected.as_ref())?),
        Output::Aggregate { .. } => {
            worker.aggregate(&columns, rows, selected.as_ref(), &mut |batch| batches.push(batch))?;
            batches.extend(worker.finish()?);
        }
    }
    assert!(batches.iter().all(|batch| batch.schema() == worker.output_schema()));
    Ok(batches)
}

/// The columns a call needs, and no others.
fn only(table: &RecordBatch, needed: &[u32]) -> Vec<Option<ArrayRef>> {
    (0..).zip(table.columns()).map(|(index, array)| needed.contains(&index).then(|| Arc::clone(array))).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let objects = fragments::programs().into_iter().map(|(_, compiled)| compiled.object.write());
    let mut seeds: Vec<Vec<u8>> = objects.map(|object| [&[0], &object[..]].concat()).collect();
    for kind in 1..=MANIFESTS.len() as u8 {
        // Any bytes are a program; these only have to differ.
        seeds.push((0..512_u32).map(|index| ((index * index * 31) >> 3) as u8).map(|byte| byte ^ kind).collect());
        if let Some(first) = seeds.last_mut().and_then(|seed| seed.first_mut()) {
            *first = kind;
        }
    }
    seeds
}
