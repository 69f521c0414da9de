//! The optimizer rule, run last: replaces the highest subtrees that devices take.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions};
use nearside_planner::Capabilities;

use crate::config::{NearsideOptions, Offload as Policy};
use crate::cost::Estimate;
use crate::devices::{Connection, Devices};
use crate::exec::OffloadExec;
use crate::expression::Moment;
use crate::extract::{Chain, Climb, file_scan, file_url, over, parquet_scan, scan_shape};
use crate::location::Location;
use crate::offload::{Offload, Stayed};
use crate::program::Program;
use crate::reason::Reason;
use crate::shape::{Shape, ShapeOutput};

/// Puts [`OffloadExec`] where it pays, and a declined one, with the reason, where it does not.
#[derive(Debug)]
pub struct OffloadRule {
    devices: Arc<Devices>,
}

impl OffloadRule {
    pub(crate) fn new(devices: Arc<Devices>) -> Self {
        Self { devices }
    }
}

impl PhysicalOptimizerRule for OffloadRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let options = NearsideOptions::of(config);
        if options.offload == Policy::Never {
            return Ok(plan);
        }
        let pass = Pass { devices: &self.devices, options };
        Ok(pass.rewrite(&plan, None).unwrap_or_else(|error| {
            // Not even with its reasons: DataFusion has no plan for what is above them, but it has this one.
            tracing::warn!(%error, "a plan stays as it is");
            plan
        }))
    }

    fn name(&self) -> &str {
        "nearside_offload"
    }

    /// Fields, order and partitions stay what they were.
    fn schema_check(&self) -> bool {
        true
    }
}

/// One plan's settings.
struct Pass<'a> {
    devices: &'a Devices,
    options: NearsideOptions,
}

impl Pass<'_> {
    fn rewrite(&self, node: &Arc<dyn ExecutionPlan>, parent: Option<&Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if node.is::<OffloadExec>() {
            return Ok(Arc::clone(node));
        }
        if let Some(chain) = Chain::from_top(node) {
            return self.rewrite_chain(&chain, node, parent);
        }
        let children = node.children();
        let rewritten = children.iter().map(|child| self.rewrite(child, Some(node))).collect::<Result<Vec<_>>>()?;
        if children.iter().zip(&rewritten).all(|(old, new)| Arc::ptr_eq(old, new)) {
            return Ok(Arc::clone(node));
        }
        Arc::clone(node).replace_children(rewritten, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn rewrite_chain(
        &self,
        chain: &Chain,
        top: &Arc<dyn ExecutionPlan>,
        parent: Option<&Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let location = match file_scan(chain.scan()).map(|scan| self.locate(scan)) {
            // In memory, or of no file, or nobody has said anything about devices.
            None | Some(Ok(None)) => return Ok(Arc::clone(top)),
            Some(Ok(Some(location))) => Ok(location),
            Some(Err(reason)) => Err(reason),
        };
        match location.and_then(|location| self.target(chain, location)) {
            // A query that DataFusion can plan is never failed for a part of it that it cannot.
            Ok(target) => self.offload(chain, &target, parent).or_else(|error| decline(chain, error.into(), Vec::new())),
            Err(reason) => decline(chain, reason, Vec::new()),
        }
    }

    /// Where all files of a scan are; `None` if no device was ever mentioned for this session and these files.
    fn locate(&self, scan: &FileScanConfig) -> Result<Option<Location>, Reason> {
        let mut found: Option<Location> = None;
        for file in scan.file_groups.iter().flat_map(|group| group.iter()) {
            let url = file_url(&scan.object_store_url, file);
            let Some(location) = self.options.devices.locate(&url) else {
                return if self.options.devices.is_empty() { Ok(None) } else { Err(Reason::NoDevice { url }) };
            };
            if found.as_ref().is_some_and(|other| *other != location) {
                return Err(Reason::SeveralDevices);
            }
            found = Some(location);
        }
        Ok(found)
    }

    fn target<'c>(&self, chain: &'c Chain, location: Location) -> Result<Target<'c>, Reason> {
        let (scan, source) = parquet_scan(chain.scan())?;
        let device = location.device.to_string();
        if self.options.denies_device(&device) {
            return Err(Reason::DeniedDevice { device });
        }
        let shape = scan_shape(scan, source)?;
        let connection = self.devices.connect(&location)?;
        let capabilities = connection.presumed_capabilities();
        self.compile(&shape, &capabilities)?;
        Ok(Target { scan, shape, location, connection, capabilities })
    }

    fn compile(&self, shape: &Shape, capabilities: &Capabilities) -> Result<Program, Reason> {
        Program::compile(shape, &self.options, capabilities, Moment::Plan)
    }

    fn offload(
        &self,
        chain: &Chain,
        target: &Target<'_>,
        parent: Option<&Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let supports = |shape: &Shape| self.compile(shape, &target.capabilities).map(drop);
        let mut climb = Climb::new(chain, target.shape.clone(), &self.options, &supports)?;
        let program = match self.compile(&climb.shape, &target.capabilities) {
            Ok(program) => program,
            Err(reason) => return decline(chain, reason, climb.stayed),
        };
        if self.options.offload == Policy::Auto {
            let estimate = Estimate { shape: &climb.shape, program: &program, plan: &climb.plan, scan: target.scan, late: &[] };
            if let Err(reason) = estimate.pays(Moment::Plan, &target.connection.experience) {
                return decline(chain, reason, climb.stayed);
            }
        }
        let is_projection = matches!(climb.shape.output, ShapeOutput::Project(_));
        let offload = Offload {
            ordered: is_projection && (target.scan.preserve_order || climb.plan.output_ordering().is_some()),
            shape: climb.shape.clone(),
            program: Arc::new(program),
            capabilities: target.capabilities.clone(),
            connection: Arc::clone(&target.connection),
            location: target.location.clone(),
            options: self.options.clone(),
            stayed: std::mem::take(&mut climb.stayed),
            count_instructions: false,
        };
        let offloaded = Arc::new(OffloadExec::new(offload, Arc::clone(&climb.plan)));
        climb.rebuild(put_back(offloaded, climb.repartition, climb.above.first().or(parent))?)
    }
}

/// Where a chain could go.
struct Target<'a> {
    scan: &'a FileScanConfig,
    /// The scan alone.
    shape: Shape,
    location: Location,
    connection: Arc<Connection>,
    capabilities: Capabilities,
}

/// The round-robin repartition that was inside of a fragment, above it; unless what comes next gathers or distributes anyway.
fn put_back(
    offloaded: Arc<dyn ExecutionPlan>,
    partitions: Option<usize>,
    next: Option<&Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let indifferent = next.is_some_and(|next| next.is::<CoalescePartitionsExec>() || next.is::<RepartitionExec>());
    match partitions {
        Some(partitions) if !indifferent => {
            Ok(Arc::new(RepartitionExec::try_new(offloaded, Partitioning::RoundRobinBatch(partitions))?))
        }
        _ => Ok(offloaded),
    }
}

/// The chain as it was, with the reason at its scan.
fn decline(chain: &Chain, reason: Reason, stayed: Vec<Stayed>) -> Result<Arc<dyn ExecutionPlan>> {
    let declined: Arc<dyn ExecutionPlan> = Arc::new(OffloadExec::declined(reason, stayed, Arc::clone(chain.scan())));
    chain.nodes[1..].iter().try_fold(declined, |input, node| over(node, input))
}
