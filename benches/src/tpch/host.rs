//! The host process: sessions of all arms, which take turns, query by query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use nearside::location::DeviceUrl;
use nearside::tpch;
use nearside_device::Device;
use nearside_protocol::RemoteDevice;
use serde::{Deserialize, Serialize};

use crate::place;
use crate::tpch::measure::{Cost, Meter, Metered};
use crate::tpch::options::{Arm, Link};
use crate::tpch::{child, native, network};

/// What the host process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostTask {
    /// Where it runs.
    pub core: usize,
    /// What is between it and the devices.
    pub link: Link,
    /// `nearsided`: it has the tables of every arm.
    pub nearside: Place,
    /// Who else runs fragments.
    pub native: BTreeMap<Arm, Place>,
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
    Registered(Arm, Cost),
    /// A query was run by an arm.
    Measured(Sample),
}

/// A query, run by one arm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub query: u8,
    pub arm: Arm,
    /// All measured runs; none if the warm-up failed.
    pub runs: Vec<Cost>,
    /// Rows of the answer.
    pub rows: usize,
    /// Executions on the device.
    pub executions: u64,
    /// Why there is no answer, or how it differs from the first arm's.
    pub problem: Option<String>,
}

/// Runs everything.
pub(crate) fn work(task: &HostTask) -> Result<()> {
    place::pin(task.core)?;
    network::enter(task.link, None)?;
    network::connect(task.link, task.nearside.process)?;
    tokio::runtime::Runtime::new().context("threads")?.block_on(run(task))
}

async fn run(task: &HostTask) -> Result<()> {
    let mut sessions = Vec::new();
    for arm in &task.arms {
        let (session, cost) = Session::open(*arm, task).await.with_context(|| format!("opening a session for {arm}"))?;
        child::answer(&Answer::Registered(*arm, cost))?;
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
    let mut expected = None;
    let mut samples = Vec::new();
    for session in sessions {
        samples.push(session.warm_up(query, &mut expected).await?);
    }
    for _ in 0..runs {
        for (session, sample) in sessions.iter().zip(&mut samples) {
            if sample.problem.is_none() {
                let (_, cost) = session.run(query).await.with_context(|| session.arm.to_string())?;
                sample.runs.push(cost);
            }
        }
    }
    Ok(samples)
}

/// A session of one arm.
struct Session {
    arm: Arm,
    context: SessionContext,
    meter: Meter,
    /// Who runs fragments instead of `nearsided`.
    native: Option<Arc<RemoteDevice>>,
}

/// An answer and what devices did for it.
struct Run {
    batches: Vec<RecordBatch>,
    executions: u64,
}

impl Session {
    /// Opens it and registers the tables, which is the cost.
    async fn open(arm: Arm, task: &HostTask) -> Result<(Self, Cost)> {
        let url = |place: &Place| format!("nearside://{}:{}", network::device_address(task.link), place.port);
        let metered =
            |place: &Place| -> Result<_> { Ok(Metered { device: RemoteDevice::connect(&url(place))?, process: place.process }) };
        let tables = metered(&task.nearside)?;
        let context = context(arm, &tables.device).await?;
        let native = task.native.get(&arm).map(metered).transpose()?;
        let session = Self {
            arm,
            context,
            native: native.as_ref().map(|native| Arc::clone(&native.device)),
            meter: Meter { devices: native.into_iter().chain([tables]).collect() },
        };
        let before = session.meter.read()?;
        session.register(&url(&task.nearside)).await?;
        let cost = session.meter.read()?.since(&before);
        Ok((session, cost))
    }

    async fn register(&self, url: &str) -> Result<()> {
        for table in tpch::TABLES {
            let file = format!("{url}/{table}.parquet");
            self.context.register_parquet(table, file, ParquetReadOptions::default()).await?;
        }
        Ok(())
    }

    async fn warm_up(&self, query: u8, expected: &mut Option<Vec<RecordBatch>>) -> Result<Sample> {
        let sample = Sample { query, arm: self.arm, runs: Vec::new(), rows: 0, executions: 0, problem: None };
        let run = match self.run(query).await {
            Ok((run, _)) => run,
            Err(error) => return Ok(Sample { problem: Some(format!("{error:#}")), ..sample }),
        };
        let expected = expected.get_or_insert_with(|| run.batches.clone());
        let problem = tpch::difference(expected, &run.batches)?;
        let rows = run.batches.iter().map(RecordBatch::num_rows).sum();
        Ok(Sample { rows, executions: run.executions, problem, ..sample })
    }

    /// Plans and runs a query.
    async fn run(&self, query: u8) -> Result<(Run, Cost)> {
        let before = self.meter.read()?;
        let plan = self.context.sql(tpch::query(query)).await?.create_physical_plan().await?;
        let (batches, executions) = match &self.native {
            Some(device) => {
                let (plan, executions) = native::offload(plan, device)?;
                (self.collect(plan).await?, executions.load(Ordering::Relaxed))
            }
            None => (self.collect(Arc::clone(&plan)).await?, nearside::account(&plan).executions),
        };
        let cost = self.meter.read()?.since(&before);
        Ok((Run { batches, executions }, cost))
    }

    async fn collect(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        Ok(collect(plan, self.context.task_ctx()).await?)
    }
}

/// DataFusion with Nearside, set as the arm wants it; one partition, as there is one core.
async fn context(arm: Arm, device: &Arc<RemoteDevice>) -> Result<SessionContext> {
    let parquet = "datafusion.execution.parquet.pushdown_filters";
    let config = SessionConfig::new().with_target_partitions(1).set_bool(parquet, arm.pushdown_filters());
    let own: (DeviceUrl, Arc<dyn Device>) = (device.url().parse()?, Arc::clone(device) as _);
    let context = nearside::extend_with(SessionContext::new_with_config(config), [own])?;
    context.sql(&format!("SET nearside.offload = '{}'", arm.offload())).await?;
    Ok(context)
}

#[cfg(test)]
mod tests {
    use nearsided::{Config, Daemon, Root};
    use tokio::net::TcpListener;

    use super::*;
    use crate::tpch::native::NativeDevice;

    /// Every arm gives the first one's answer to every query; those that offload have something offloaded.
    #[tokio::test(flavor = "multi_thread")]
    async fn all_arms_agree() {
        let data = tempfile::tempdir().unwrap();
        tpch::generate(data.path(), 0.01, &tpch::Options::default()).unwrap();
        let daemon = Daemon::bind(Config::local(Root::Directory(data.path().to_owned()))).await.unwrap();
        let place = |port| Place { process: std::process::id(), port };
        let nearside = place(daemon.address().port());
        tokio::spawn(daemon.serve(std::future::pending()));
        let mut native = BTreeMap::new();
        for arm in [Arm::Native, Arm::NativePushdown] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            native.insert(arm, place(listener.local_addr().unwrap().port()));
            let device = Arc::new(NativeDevice::new(data.path(), arm.pushdown_filters()));
            let options = nearside_protocol::server::Options::default();
            tokio::spawn(nearside_protocol::server::serve(listener, device, options, std::future::pending()));
        }
        let arms = vec![Arm::Host, Arm::HostPushdown, Arm::Native, Arm::NativePushdown, Arm::Auto, Arm::Always];
        let task = HostTask { core: 0, link: Link::Loopback, nearside, native, queries: Vec::new(), arms, runs: 1 };
        let mut sessions = Vec::new();
        for arm in &task.arms {
            sessions.push(Session::open(*arm, &task).await.unwrap().0);
        }
        for query in tpch::QUERIES {
            let samples = run_query(&sessions, query, 1).await.unwrap();
            let executions = |wanted| samples.iter().find(|sample| sample.arm == wanted).unwrap().executions;
            assert!(samples.iter().all(|sample| sample.problem.is_none() && sample.runs.len() == 1), "{samples:?}");
            assert_eq!(executions(Arm::Native), executions(Arm::Always), "query {query}");
        }
    }
}
