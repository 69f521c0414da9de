//! A loaded program: its checked manifest, where its entry points are, its compiled code, and cages that wait for the next execution.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nearside_engine::{Backend, CacheLimits, Code, CodeKey, CompileCache, JIT_TIME_MAX, Module};
use nearside_programs::abi::columnar;
use nearside_programs::isa::Slot;
use nearside_programs::manifest::{EntryPoint, Manifest, Output, OutputSource, RangeStep, Target};
use nearside_programs::{Object, ValueType};

use super::layout::Layout;
use super::pool::{CagePool, lock};
use crate::{DeviceError, ProgramDigest};

/// How long an execution waits for its program to be compiled; most take some milliseconds.
pub const COMPILE_PATIENCE: Duration = Duration::from_millis(200);

/// The compiled code of this process; `None` if it could not have threads for that, and compiles where it is asked to.
fn compile_cache() -> Option<&'static CompileCache> {
    static CACHE: OnceLock<Option<CompileCache>> = OnceLock::new();
    CACHE.get_or_init(|| CompileCache::new(CacheLimits::default()).ok()).as_ref()
}

/// A `columnar` program, checked, ready for any number of [`Worker`](super::Worker)s.
pub struct Program {
    manifest: Manifest,
    digest: ProgramDigest,
    code: Vec<Slot>,
    pub(super) selects: Vec<Entry>,
    pub(super) main: Option<Entry>,
    /// Conjuncts and `main` in one call, for an aggregate without groups of which nothing looks at single values.
    pub(super) filter_main: Option<Entry>,
    main_columns: Vec<u32>,
    /// What the process' cache of compiled code knows it by.
    key: CodeKey,
    /// Verified code by backend: interpreter, JIT.
    modules: [Mutex<Option<Module>>; 2],
    pub(super) cages: CagePool,
    /// The layout asked for last, and for how many groups it is.
    layout: Mutex<Option<(usize, Arc<Layout>)>>,
}

/// An entry point with its symbols resolved.
pub(super) struct Entry {
    /// Number of its table of columns.
    pub(super) table: usize,
    /// First slot of the general version.
    pub(super) general: u32,
    /// First slots of what runs after it, in the same call.
    pub(super) then: Vec<u32>,
    /// First slot of the narrow version, and what proves it.
    pub(super) narrow: Option<(u32, Vec<RangeStep>)>,
    /// Columns whose values are in the cage, ascending.
    pub(super) loads: Vec<u32>,
    /// All columns it names, ascending: their validity is in the cage.
    pub(super) named: Vec<u32>,
}

impl Program {
    /// Reads and checks an object.
    ///
    /// # Errors
    /// [`DeviceError::BadProgram`] if it is not an object, not for this target or ABI version, or not coherent.
    pub fn load(object: &[u8]) -> Result<Self, DeviceError> {
        let refused = |reason: String| DeviceError::BadProgram { reason };
        let object = Object::read(object).map_err(|error| refused(error.to_string()))?;
        let manifest = object.manifest.clone().ok_or_else(|| refused("the object has no manifest".into()))?;
        manifest.check(&object).map_err(|error| refused(error.to_string()))?;
        if manifest.target != Target::Columnar {
            return Err(refused(format!("its target is {:?}, not columnar", manifest.target)));
        }
        if manifest.abi_version != columnar::VERSION {
            let (theirs, ours) = (manifest.abi_version, columnar::VERSION);
            return Err(refused(format!("it is for version {theirs} of the columnar ABI, this device has {ours}")));
        }
        let key = CodeKey { digest: object.digest(), target: manifest.target };
        let digest = ProgramDigest(key.digest.iter().map(|byte| format!("{byte:02x}")).collect());
        let mut table = 0..;
        let mut resolve = |entry| Entry::resolve(table.next().unwrap_or_default(), entry, &object);
        let selects = manifest.selects.iter().map(&mut resolve).collect::<Result<Vec<_>, _>>()?;
        let main = manifest.main.as_ref().map(&mut resolve).transpose()?;
        let is_ungrouped = matches!(&manifest.output, Output::Aggregate { keys, .. } if keys.is_empty());
        let filter_main = main.as_ref().filter(|_| is_ungrouped).and_then(|main| Entry::after(&selects, main));
        let main_columns = columns_of_main(&manifest);
        Ok(Self {
            manifest,
            digest,
            code: object.code,
            selects,
            main,
            filter_main,
            main_columns,
            key,
            modules: Default::default(),
            cages: CagePool::default(),
            layout: Mutex::new(None),
        })
    }

    /// What the program says of itself, checked.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its name everywhere.
    pub fn digest(&self) -> &ProgramDigest {
        &self.digest
    }

    /// The columns [`Worker::select`](super::Worker::select) needs for a conjunct, ascending; none if there is no such conjunct.
    pub fn select_columns(&self, conjunct: usize) -> &[u32] {
        self.selects.get(conjunct).map_or(&[], |entry| &entry.named)
    }

    /// The columns [`Worker::project`](super::Worker::project) or [`Worker::aggregate`](super::Worker::aggregate) needs, ascending.
    pub fn main_columns(&self) -> &[u32] {
        &self.main_columns
    }

    /// Whether `main` leaves rows that are not selected alone, as helpers for numbers do: to copy the others together then gains nothing.
    pub fn main_skips_rows(&self) -> bool {
        let is_aggregate = matches!(self.manifest.output, Output::Aggregate { .. });
        is_aggregate && self.main.as_ref().is_some_and(|main| self.is_helpers_for_numbers(main))
    }

    /// Whether a batch that has the columns of all that is best aggregated by [`Worker::filter_and_aggregate`](super::Worker::filter_and_aggregate) of those conjuncts.
    pub fn filters_in_main(&self, conjuncts: &[usize]) -> bool {
        self.main_skips_rows() && conjuncts.iter().all(|conjunct| self.select_skips_rows(*conjunct))
    }

    /// The same of a conjunct: it takes a whole batch faster than anybody copies the rows together that are selected.
    pub(crate) fn select_skips_rows(&self, conjunct: usize) -> bool {
        self.selects.get(conjunct).is_some_and(|entry| self.is_helpers_for_numbers(entry))
    }

    fn is_helpers_for_numbers(&self, entry: &Entry) -> bool {
        let is_text = |column: &u32| self.manifest.columns[*column as usize].value_type == ValueType::Utf8;
        entry.loads.is_empty() && !entry.named.iter().any(is_text)
    }

    /// Whether there is anything to run: a projection of plain columns without a filter has no code.
    pub fn has_code(&self) -> bool {
        !self.selects.is_empty() || self.main.is_some()
    }

    /// The code for an execution; compiled on first use, by threads of the process and once for all who have the program. If that takes longer than
    /// [`COMPILE_PATIENCE`], the execution is interpreted.
    ///
    /// # Errors
    /// [`DeviceError::BadProgram`] if the verifier refuses it, as it does if [there is none](Self::has_code).
    pub fn module(&self, backend: Backend) -> Result<Module, DeviceError> {
        self.module_within(backend, COMPILE_PATIENCE)
    }

    /// Compiles, however long that takes.
    ///
    /// # Errors
    /// As for [`Program::module`].
    pub fn activate(&self) -> Result<(), DeviceError> {
        self.module_within(Backend::Jit, 2 * JIT_TIME_MAX).map(drop)
    }

    fn module_within(&self, backend: Backend, patience: Duration) -> Result<Module, DeviceError> {
        let cached = &self.modules[matches!(backend, Backend::Jit) as usize];
        if let Some(module) = &*lock(cached) {
            return Ok(module.clone());
        }
        let entries = self.entries();
        let code = Code { slots: &self.code, entries: &entries, maps: &[], target: self.manifest.target };
        let module = match (backend, compile_cache()) {
            (Backend::Jit, Some(cache)) => cache.module(self.key, code, patience),
            _ => Module::compile(code, backend),
        };
        let module = module.map_err(|error| DeviceError::BadProgram { reason: error.to_string() })?;
        // An interpreter that only bridges the time is not kept.
        if module.backend() == backend || module.fallback().is_some() {
            *lock(cached) = Some(module.clone());
        }
        Ok(module)
    }

    /// Where everything is in a cage for so many groups.
    pub(super) fn layout(&self, groups_max: usize) -> Result<Arc<Layout>, DeviceError> {
        let mut known = lock(&self.layout);
        if let Some((_, layout)) = known.as_ref().filter(|(groups, _)| *groups == groups_max) {
            return Ok(layout.clone());
        }
        let layout = Arc::new(Layout::new(&self.manifest, groups_max)?);
        *known = Some((groups_max, layout.clone()));
        Ok(layout)
    }

    /// Drops compiled code and idle cages; the next use makes them again.
    pub fn deactivate(&self) {
        if let Some(cache) = compile_cache() {
            cache.remove(&self.key);
        }
        self.modules.iter().for_each(|module| *lock(module) = None);
        self.cages.clear();
    }

    /// Instruction slots: a bound on what one pass over a row executes.
    pub(super) fn slot_count(&self) -> u64 {
        self.code.len() as u64
    }

    fn entries(&self) -> Vec<u32> {
        let entries = self.selects.iter().chain(&self.main);
        let mut starts: Vec<u32> =
            entries.flat_map(|entry| [Some(entry.general), entry.narrow.as_ref().map(|(start, _)| *start)]).flatten().collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("digest", &self.digest).field("slots", &self.code.len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn resolve(table: usize, entry: &EntryPoint, object: &Object) -> Result<Self, DeviceError> {
        let start = |name: &str| {
            let missing = || DeviceError::BadProgram { reason: format!("there is no function {name}") };
            object.function(name).map(|function| function.start).ok_or_else(missing)
        };
        let narrow = entry.narrow.as_ref().map(|narrow| Ok((start(&narrow.symbol)?, narrow.proof.clone()))).transpose()?;
        let loads = ascending(entry.loads.iter().copied());
        let named = ascending(entry.loads.iter().chain(&entry.handles).copied());
        Ok(Self { table, general: start(&entry.general)?, then: Vec::new(), narrow, loads, named })
    }

    /// Conjuncts and then `main`, if all of them work on whole columns.
    fn after(selects: &[Self], main: &Self) -> Option<Self> {
        let (first, others) = selects.split_first()?;
        let entries = selects.iter().chain([main]);
        if entries.clone().any(|entry| !entry.loads.is_empty() || entry.narrow.is_some()) {
            return None;
        }
        let then = others.iter().chain([main]).map(|entry| entry.general).collect();
        let named = ascending(entries.clone().flat_map(|entry| entry.named.iter().copied()));
        Some(Self { table: entries.count(), general: first.general, then, narrow: None, loads: Vec::new(), named })
    }
}

fn columns_of_main(manifest: &Manifest) -> Vec<u32> {
    let (Output::Project(columns) | Output::Aggregate { keys: columns, .. }) = &manifest.output;
    let plain = columns.iter().filter_map(|column| match column.source {
        OutputSource::Column(index) => Some(index),
        OutputSource::Computed(_) => None,
    });
    let named = manifest.main.iter().flat_map(|entry| entry.loads.iter().chain(&entry.handles).copied());
    ascending(plain.chain(named))
}

fn ascending(columns: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut columns: Vec<u32> = columns.collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}
