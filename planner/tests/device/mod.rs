//! The smallest device that runs `columnar` programs: rows of scalars in, rows of scalars out. Slow and plain; what it lays out is the ABI by the letter.

mod groups;
mod layout;
mod ranges;
mod reduce;

use nearside_engine::{Backend, Code, Fuel, Module};
use nearside_planner::Compiled;
use nearside_planner::fragment::{Aggregate, Fragment, Output as FragmentOutput};
use nearside_programs::abi::columnar::FAULT_ARITHMETIC;
use nearside_programs::manifest::{EntryPoint, Output, OutputColumn, OutputSource};
use nearside_programs::{Manifest, Object, Scalar};

use groups::{Groups, merge};
use layout::Batch;

/// How rows are handed to the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) backend: Backend,
    /// Rows of a batch.
    pub(crate) batch_rows: usize,
    /// Most groups between two emissions.
    pub(crate) groups_max: usize,
    /// Whether narrow entry points are used where their proof holds.
    pub(crate) narrow: bool,
}

/// What a run was made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: usize,
    pub(crate) narrow_calls: usize,
}

/// A program ready to run over one batch after the other.
pub(crate) struct Device<'a> {
    pub(crate) object: &'a Object,
    pub(crate) manifest: &'a Manifest,
    pub(crate) compiled: &'a Compiled,
    /// `None` if there is no code: only columns pass.
    module: Option<Module>,
    options: Options,
    pub(crate) counters: Counters,
}

impl<'a> Device<'a> {
    pub(crate) fn new(compiled: &'a Compiled, options: Options) -> Self {
        let object = &compiled.object;
        let manifest = object.manifest.as_ref().expect("compile writes a manifest");
        let mut entries: Vec<u32> = object.functions.iter().map(|function| function.start).collect();
        entries.sort_unstable();
        let code = Code { slots: &object.code, entries: &entries, maps: &[], target: manifest.target };
        let module = (!object.code.is_empty())
            .then(|| Module::compile(code, options.backend).expect("what compile writes passes the verifier"));
        assert!(module.as_ref().is_none_or(|module| module.backend() == options.backend));
        Self { object, manifest, compiled, module, options, counters: Counters::default() }
    }

    /// The fragment's result over rows, or `None` if the program reported a failed operation.
    pub(crate) fn run(&mut self, fragment: &Fragment, rows: &[Vec<Scalar>]) -> Option<Vec<Vec<Scalar>>> {
        match (&self.manifest.output, &fragment.output) {
            (Output::Project(columns), _) => self.project(columns, rows),
            (Output::Aggregate { keys, .. }, FragmentOutput::Aggregate { aggregates, .. }) => {
                self.aggregate(keys, aggregates, rows)
            }
            _ => panic!("a projection does not become an aggregate"),
        }
    }

    fn project(&mut self, columns: &[OutputColumn], rows: &[Vec<Scalar>]) -> Option<Vec<Vec<Scalar>>> {
        let mut result = Vec::new();
        for rows in rows.chunks(self.options.batch_rows) {
            let mut batch = self.selected(rows)?;
            if let Some(main) = &self.manifest.main {
                let end = self.call(main, &mut batch, &mut Groups::new(self.manifest, 1))?;
                assert_eq!(end, rows.len());
            }
            for row in (0..rows.len()).filter(|row| batch.is_selected(*row)) {
                result.push(columns.iter().map(|column| output_value(column, &batch, row)).collect());
            }
        }
        Some(result)
    }

    fn aggregate(&mut self, keys: &[OutputColumn], aggregates: &[Aggregate], rows: &[Vec<Scalar>]) -> Option<Vec<Vec<Scalar>>> {
        let main = self.manifest.main.as_ref().expect("an aggregate has a main");
        let mut groups = Groups::new(self.manifest, self.options.groups_max);
        let mut result: Vec<Vec<Scalar>> = Vec::new();
        for rows in rows.chunks(self.options.batch_rows) {
            let mut batch = self.selected(rows)?;
            let mut first = 0;
            loop {
                batch.begin_at(first);
                let end = self.call(main, &mut batch, &mut groups)?;
                assert!(end <= rows.len() && end >= first);
                if end == rows.len() {
                    break;
                }
                assert!(!groups.is_empty(), "an empty table has room");
                groups.emit(|partial| merge(&mut result, partial, keys.len(), aggregates));
                first = end;
            }
        }
        groups.emit(|partial| merge(&mut result, partial, keys.len(), aggregates));
        Some(result)
    }

    /// A batch whose selection every conjunct has narrowed, the last one first: the order is the device's.
    fn selected<'b>(&mut self, rows: &'b [Vec<Scalar>]) -> Option<Batch<'b>>
    where
        'a: 'b,
    {
        let mut batch = Batch::new(self.manifest, self.compiled, rows, self.options.groups_max);
        for select in self.manifest.selects.iter().rev() {
            batch.begin_select();
            let end = self.call(select, &mut batch, &mut Groups::new(self.manifest, 1))?;
            assert_eq!(end, rows.len());
            batch.end_select();
        }
        Some(batch)
    }

    fn call(&mut self, entry: &EntryPoint, batch: &mut Batch<'_>, groups: &mut Groups<'_>) -> Option<usize> {
        let proven = |proof| ranges::holds(proof, self.manifest, &self.compiled.parameters, batch.rows);
        let narrow = entry.narrow.as_ref().filter(|narrow| self.options.narrow && proven(&narrow.proof));
        self.counters.calls += 1;
        self.counters.narrow_calls += usize::from(narrow.is_some());
        let symbol = narrow.map_or(&entry.general, |narrow| &narrow.symbol);
        let function = self.object.function(symbol).expect("the manifest was checked");
        batch.load(entry, narrow.is_some());
        batch.load_accumulators(groups);
        let context = batch.context();
        let mut helpers = layout::Helpers { view: batch.view(self.compiled), groups };
        let module = self.module.as_ref().expect("an entry point has code");
        let result =
            module.run(batch.cage(), function.start, [context, 0, 0, 0, 0], &mut Fuel(1 << 40), &mut helpers).expect("no trap");
        batch.store_accumulators(groups);
        (result != FAULT_ARITHMETIC).then_some(result as usize)
    }
}

fn output_value(column: &OutputColumn, batch: &Batch<'_>, row: usize) -> Scalar {
    match column.source {
        OutputSource::Column(index) => batch.rows[row][index as usize].clone(),
        OutputSource::Computed(index) => batch.computed(index, column, row),
    }
}
