//! The host process: sessions of all arms, which take turns, query by query.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::collect;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use nearside::location::DeviceUrl;
use nearside::tpch;
use nearside_device::Device;
use nearside_protocol::RemoteDevice;
use serde::{Deserialize, Serialize};

use crate::measure::{Cost, Meter};
use crate::options::{Arm, Link};
use crate::{child, network};

/// What the host process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostTask {
    /// Where it runs.
    pub core: usize,
    /// What is between it and the devices.
    pub link: Link,
    /// `nearsided`.
    pub device: Place,
    pub queries: Vec<u8>,
    pub arms: Vec<Arm>,
    pub runs: u32,
}

/// A device process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub process: u32,
    pub port: u16,
}

/// What the host process says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// An arm's tables are registered.
    Registered { arm: Arm, cost: Cost },
    /// A query was run by an arm.
    Measured(Sample),
}

/// A query, run by one arm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub query: u8,
    pub arm: Arm,
    /// All measured runs.
    pub runs: Vec<Cost>,
    /// Rows of the answer.
    pub rows: usize,
    /// Executions on the device.
    pub executions: u64,
    /// How the answer differs from the first arm's.
    pub difference: Option<String>,
}

/// Runs everything.
pub(crate) fn work(task: &HostTask) -> Result<()> {
    child::pin(task.core)?;
    network::enter_own(task.link)?;
    network::connect(task.link, task.device.process)?;
    tokio::runtime::Runtime::new().context("threads")?.block_on(run(task))
}

async fn run(task: &HostTask) -> Result<()> {
    let mut sessions = Vec::new();
    for arm in &task.arms {
        let session = Session::open(*arm, task).await.with_context(|| format!("opening a session for {arm}"))?;
        sessions.push(session);
    }
    for query in &task.queries {
        let samples = run_query(&sessions, *query, task.runs).await.with_context(|| format!("query {query}"))?;
        samples.into_iter().try_for_each(|sample| child::answer(&Answer::Measured(sample)))?;
    }
    Ok(())
}

/// A warm-up, which also compares the answers, then all arms in turn, so that what else happens on the machine hits all alike.
async fn run_query(sessions: &[Session], query: u8, runs: u32) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut expected = None;
    for session in sessions {
        let (run, _) = session.run(query).await.with_context(|| session.arm.to_string())?;
        let expected = expected.get_or_insert_with(|| run.batches.clone());
        samples.push(Sample {
            query,
            arm: session.arm,
            runs: Vec::new(),
            rows: run.batches.iter().map(RecordBatch::num_rows).sum(),
            executions: run.executions,
            difference: tpch::difference(expected, &run.batches)?,
        });
    }
    for _ in 0..runs {
        for (session, sample) in sessions.iter().zip(&mut samples) {
            let (_, cost) = session.run(query).await.with_context(|| session.arm.to_string())?;
            sample.runs.push(cost);
        }
    }
    Ok(samples)
}

/// A session of one arm.
struct Session {
    arm: Arm,
    context: SessionContext,
    device: Arc<RemoteDevice>,
    process: u32,
}

/// An answer and what devices did for it.
struct Run {
    batches: Vec<RecordBatch>,
    executions: u64,
}

impl Session {
    async fn open(arm: Arm, task: &HostTask) -> Result<Self> {
        let url = format!("nearside://{}:{}", network::device_address(task.link), task.device.port);
        let device = RemoteDevice::connect(&url)?;
        let parquet = "datafusion.execution.parquet.pushdown_filters";
        let config = SessionConfig::new().with_target_partitions(1).set_bool(parquet, arm.pushdown_filters());
        let own: (DeviceUrl, Arc<dyn Device>) = (url.parse()?, Arc::clone(&device) as _);
        let context = nearside::extend_with(SessionContext::new_with_config(config), [own])?;
        context.sql(&format!("SET nearside.offload = '{}'", arm.offload())).await?;
        let session = Self { arm, context, device, process: task.device.process };
        session.register(&url).await?;
        Ok(session)
    }

    async fn register(&self, url: &str) -> Result<()> {
        let before = self.meter().read()?;
        for table in tpch::TABLES {
            let file = format!("{url}/{table}.parquet");
            self.context.register_parquet(table, file, ParquetReadOptions::default()).await?;
        }
        let cost = self.meter().read()?.since(&before);
        child::answer(&Answer::Registered { arm: self.arm, cost })
    }

    async fn run(&self, query: u8) -> Result<(Run, Cost)> {
        let meter = self.meter();
        let before = meter.read()?;
        let plan = self.context.sql(tpch::query(query)).await?.create_physical_plan().await?;
        let batches = collect(Arc::clone(&plan), self.context.task_ctx()).await?;
        let cost = meter.read()?.since(&before);
        let executions = nearside::account(&plan).executions;
        Ok((Run { batches, executions }, cost))
    }

    fn meter(&self) -> Meter<'_> {
        Meter { device: &self.device, process: self.process }
    }
}
