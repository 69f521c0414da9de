//! The decision to offload a fragment: everything its executions share.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use nearside_device::{DeviceError, Input, ObjectSlice, Options, Request, RowGroups};
use nearside_planner::Capabilities;

use crate::config::{NearsideOptions, Offload as Policy};
use crate::devices::Connection;
use crate::expression::Moment;
use crate::extract::{Chain, Climb, file_url, parquet_scan, scan_shape};
use crate::location::Location;
use crate::program::Program;
use crate::reason::Reason;
use crate::shape::Shape;

/// What stays on the host above a fragment, and why.
pub(crate) type Stayed = (String, Reason);

/// A fragment that goes to a device.
#[derive(Clone, Debug)]
pub(crate) struct Offload {
    pub shape: Shape,
    /// Compiled when the plan was made; the one that runs may have more conjuncts.
    pub program: Arc<Program>,
    /// What that program was allowed to use.
    pub capabilities: Capabilities,
    pub connection: Arc<Connection>,
    pub location: Location,
    pub options: NearsideOptions,
    /// What stays on the host above it, and why.
    pub stayed: Vec<Stayed>,
    /// Rows leave in the order of the input.
    pub ordered: bool,
    /// How often each block of byte code runs is wanted, too.
    pub count_instructions: bool,
}

impl Offload {
    /// Whether this plan computes what was offloaded, over whatever files.
    pub(crate) fn stands_for(&self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        self.shape_of(plan).is_some_and(|shape| shape == self.shape)
    }

    fn shape_of(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<Shape> {
        let chain = Chain::from_top(plan)?;
        let (config, source) = parquet_scan(chain.scan()).ok()?;
        let scan = scan_shape(config, source).ok()?;
        let climb = Climb::new(&chain, scan, &self.options, &|_| Ok(())).ok()?;
        climb.above.is_empty().then_some(climb.shape)
    }

    /// The program for what is known now, on a device that can do this.
    pub(crate) fn current_program(&self, capabilities: &Capabilities) -> Result<Arc<Program>, Reason> {
        if !self.shape.is_late() && *capabilities == self.capabilities {
            return Ok(Arc::clone(&self.program));
        }
        let compile = |shape: &Shape| Program::compile(shape, &self.options, capabilities, Moment::Run);
        // Dynamic filters only spare work: without them if they are what is too much.
        compile(&self.shape).or_else(|_| compile(&Shape { optional: Vec::new(), ..self.shape.clone() })).map(Arc::new)
    }

    /// The request that runs a program over these files.
    pub(crate) fn request(
        &self,
        program: &Program,
        store: &ObjectStoreUrl,
        files: &[PartitionedFile],
    ) -> Result<Request, DeviceError> {
        let objects = files.iter().map(|file| self.slice(store, file)).collect::<Result<_, _>>()?;
        let fields: Vec<_> = program.columns.iter().map(|index| Arc::clone(&self.shape.table.fields()[*index])).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        Ok(Request {
            program: program.digest.clone(),
            input: Input::Objects { schema, objects },
            parameters: program.parameters.clone(),
            options: Options {
                ordered: self.ordered,
                limit: self.shape.fetch.map(|rows| rows as u64),
                interpreter: self.options.interpreter,
                compress: self.options.compress,
                push_back: self.options.offload == Policy::Auto,
                count_instructions: self.count_instructions,
                fuel: None,
            },
        })
    }

    fn slice(&self, store: &ObjectStoreUrl, file: &PartitionedFile) -> Result<ObjectSlice, DeviceError> {
        let url = file_url(store, file);
        let missing = || DeviceError::NotFound { path: url.clone(), reason: format!("it is not below {}", self.location.prefix) };
        let path = self.location.path_of(&url).ok_or_else(missing)?.to_owned();
        let row_groups = match &file.range {
            None => RowGroups::All,
            Some(range) => RowGroups::Starting { start: offset(range.start), end: offset(range.end) },
        };
        Ok(ObjectSlice { path, size: file.object_meta.size, etag: file.object_meta.e_tag.clone(), row_groups })
    }
}

/// DataFusion's offsets are signed; below zero there is nothing.
fn offset(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
