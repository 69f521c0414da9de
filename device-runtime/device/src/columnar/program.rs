//! A loaded program: its checked manifest, where its entry points are, its compiled code, and cages that wait for the next execution.

use std::sync::{Arc, Mutex};

use nearside_engine::{Backend, Code, Module};
use nearside_programs::Object;
use nearside_programs::abi::columnar;
use nearside_programs::isa::Slot;
use nearside_programs::manifest::{EntryPoint, Manifest, Output, OutputSource, RangeStep, Target};

use super::layout::Layout;
use super::pool::{CagePool, lock};
use crate::{DeviceError, ProgramDigest};

/// A `columnar` program, checked, ready for any number of [`Worker`](super::Worker)s.
pub struct Program {
    manifest: Manifest,
    digest: ProgramDigest,
    code: Vec<Slot>,
    pub(super) selects: Vec<Entry>,
    pub(super) main: Option<Entry>,
    main_columns: Vec<u32>,
    /// Compiled code by backend: interpreter, JIT.
    modules: [Mutex<Option<Module>>; 2],
    pub(super) cages: CagePool,
    /// The layout asked for last, and for how many groups it is.
    layout: Mutex<Option<(usize, Arc<Layout>)>>,
}

/// An entry point with its symbols resolved.
pub(super) struct Entry {
    /// First slot of the general version.
    pub(super) general: u32,
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
        let digest = ProgramDigest(object.digest().iter().map(|byte| format!("{byte:02x}")).collect());
        let selects = manifest.selects.iter().map(|entry| Entry::resolve(entry, &object)).collect::<Result<_, _>>()?;
        let main = manifest.main.as_ref().map(|entry| Entry::resolve(entry, &object)).transpose()?;
        let main_columns = columns_of_main(&manifest);
        Ok(Self {
            manifest,
            digest,
            code: object.code,
            selects,
            main,
            main_columns,
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

    /// Whether there is anything to run: a projection of plain columns without a filter has no code.
    pub fn has_code(&self) -> bool {
        !self.selects.is_empty() || self.main.is_some()
    }

    /// The compiled code; compiled on first use.
    ///
    /// # Errors
    /// [`DeviceError::BadProgram`] if the verifier refuses it, as it does if [there is none](Self::has_code).
    pub fn module(&self, backend: Backend) -> Result<Module, DeviceError> {
        let mut cached = lock(&self.modules[matches!(backend, Backend::Jit) as usize]);
        if let Some(module) = &*cached {
            return Ok(module.clone());
        }
        let entries = self.entries();
        let code = Code { slots: &self.code, entries: &entries, maps: &[], target: self.manifest.target };
        let module = Module::compile(code, backend).map_err(|error| DeviceError::BadProgram { reason: error.to_string() })?;
        Ok(cached.insert(module).clone())
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
    fn resolve(entry: &EntryPoint, object: &Object) -> Result<Self, DeviceError> {
        let start = |name: &str| {
            let missing = || DeviceError::BadProgram { reason: format!("there is no function {name}") };
            object.function(name).map(|function| function.start).ok_or_else(missing)
        };
        let narrow = entry.narrow.as_ref().map(|narrow| Ok((start(&narrow.symbol)?, narrow.proof.clone()))).transpose()?;
        let loads = ascending(entry.loads.iter().copied());
        let named = ascending(entry.loads.iter().chain(&entry.handles).copied());
        Ok(Self { general: start(&entry.general)?, narrow, loads, named })
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
