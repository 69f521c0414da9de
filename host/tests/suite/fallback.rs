//! Whatever happens to a device, the answer is right or the error says what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use nearside::{Reason, tpch};
use nearside_device::{Config, Embedded};
use nearside_device::{Description, Device, DeviceError, Event, Execution, ProgramDigest, Request, Status};
use object_store::ObjectStore;

use crate::common;

/// A device that fails every execution after it has completed so many morsels.
#[derive(Debug)]
struct Flaky {
    inner: Arc<dyn Device>,
    completes: usize,
    error: DeviceError,
    executions: AtomicU64,
}

#[async_trait]
impl Device for Flaky {
    async fn describe(&self) -> Result<Description, DeviceError> {
        self.inner.describe().await
    }

    async fn status(&self) -> Result<Status, DeviceError> {
        self.inner.status().await
    }

    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        self.inner.load(object).await
    }

    async fn activate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.inner.activate(program).await
    }

    async fn deactivate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.inner.deactivate(program).await
    }

    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.inner.unload(program).await
    }

    async fn execute(&self, request: Request) -> Result<Execution, DeviceError> {
        self.executions.fetch_add(1, Ordering::Relaxed);
        let Execution { schema, events } = self.inner.execute(request).await?;
        let (error, mut left) = (self.error.clone(), self.completes);
        let events = events.flat_map(move |event| {
            let events = match event {
                Ok(Event::MorselsDone(_) | Event::Finished(_)) if left == 0 => vec![Err(error.clone())],
                Ok(Event::MorselsDone(morsels)) => {
                    left -= 1;
                    vec![Ok(Event::MorselsDone(morsels))]
                }
                event => vec![event],
            };
            futures::stream::iter(events)
        });
        // After its error a device says nothing more.
        let events = events.scan(false, |failed, event| {
            let last = *failed;
            *failed = event.is_err();
            futures::future::ready((!last).then_some(event))
        });
        Ok(Execution { schema, events: events.boxed() })
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        self.inner.objects()
    }
}

async fn flaky(completes: usize, error: DeviceError) -> (SessionContext, Arc<Flaky>) {
    let inner = Embedded::directory(common::data(), Config::default()).unwrap();
    let device = Arc::new(Flaky { inner, completes, error, executions: AtomicU64::new(0) });
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let url = "nearside://flaky:1".parse().unwrap();
    let context = nearside::extend_with(context, [(url, Arc::clone(&device) as Arc<dyn Device>)]).unwrap();
    common::set(&context, "nearside.devices", &format!("file://{}/=nearside://flaky:1", common::data().display())).await;
    common::set(&context, "nearside.offload", "always").await;
    common::register(&context, &format!("file://{}", common::data().display())).await;
    (context, device)
}

const SQL: [&str; 4] = [
    "SELECT l_orderkey, l_linenumber, l_comment FROM lineitem WHERE l_quantity < 10",
    "SELECT l_returnflag, count(*), sum(l_extendedprice), min(l_shipdate), max(l_comment) FROM lineitem GROUP BY l_returnflag",
    "SELECT count(*), sum(l_quantity) FROM lineitem WHERE l_discount > 0.05",
    "SELECT o_orderkey FROM orders ORDER BY o_orderkey DESC LIMIT 7",
];

/// No row is lost or given twice, wherever an execution breaks off and whatever the reason.
#[tokio::test]
async fn only_what_is_missing_is_run_again() {
    let plain = common::plain(SessionConfig::new().with_target_partitions(2)).await;
    let errors = [
        DeviceError::Trap { reason: "instruction 3: fuel used up".into() },
        DeviceError::Busy { reason: "8 executions".into() },
        DeviceError::Internal { reason: "disk".into() },
        DeviceError::BadObject { path: "x".into(), reason: "truncated".into() },
    ];
    for (completes, error) in [0, 1, 2, 4].into_iter().zip(errors) {
        for sql in SQL {
            let (context, device) = flaky(completes, error.clone()).await;
            let (plan, given) = common::run(&context, sql).await;
            let (_, expected) = common::run(&plain, sql).await;
            assert_eq!(
                common::sorted_lines(&given),
                common::sorted_lines(&expected),
                "{sql} after {completes}\n{}",
                common::explain(&plan)
            );
            let reasons = nearside::account(&plan).fallbacks;
            // The device knows its file as `x`, people by its whole path; and itself not at all.
            let named = match &error {
                DeviceError::BadObject { path, reason } => {
                    DeviceError::BadObject { path: format!("{}/{path}", common::data().display()), reason: reason.clone() }
                }
                DeviceError::Busy { reason } => DeviceError::Busy { reason: format!("nearside://flaky:1: {reason}") },
                other => other.clone(),
            };
            assert!(reasons.iter().all(|reason| *reason == Reason::Device(named.clone())), "{reasons:?}");
            assert!(device.executions.load(Ordering::Relaxed) > 0, "{sql}\n{}", common::explain(&plan));
        }
    }
}

/// A program that keeps stopping is left alone for a while.
#[tokio::test]
async fn programs_that_keep_trapping_are_quarantined() {
    let (context, device) = flaky(0, DeviceError::Trap { reason: "division".into() }).await;
    let mut last = Vec::new();
    for _ in 0..5 {
        last = nearside::account(&common::run(&context, SQL[2]).await.0).fallbacks;
    }
    assert!(matches!(last.as_slice(), [Reason::Quarantined { .. }, ..]), "{last:?}");
    assert!(device.executions.load(Ordering::Relaxed) < 5 * 2);
}

/// A file that is not the one that was registered is an error by name.
#[tokio::test]
async fn changed_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let location = format!("file://{}", directory.path().display());
    let generate = |scale| tpch::generate(directory.path(), scale, &tpch::Options::default()).unwrap();
    generate(0.001);
    let context = nearside::extend(SessionContext::new()).unwrap();
    common::set(&context, "nearside.devices", &format!("{location}/=embedded")).await;
    common::set(&context, "nearside.offload", "always").await;
    context.register_parquet("orders", format!("{location}/orders.parquet"), Default::default()).await.unwrap();
    let frame = context.sql("SELECT count(*) FROM orders WHERE o_orderkey > 7").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    generate(0.002);
    let error = datafusion::physical_plan::collect(plan, context.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("orders.parquet") && error.contains("changed"), "{error}");
}

/// Where only the device has the files, an unreachable device is a clear error, not an answer.
#[tokio::test]
async fn unreachable_devices_are_named() {
    let context = nearside::extend(SessionContext::new()).unwrap();
    // Port 1 of this machine: nobody listens there.
    let error =
        context.register_parquet("t", "nearside://127.0.0.1:1/t.parquet", Default::default()).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1"), "{error}");

    let plain = common::plain(SessionConfig::new()).await;
    let mapped = nearside::extend(SessionContext::new()).unwrap();
    let location = format!("file://{}", common::data().display());
    common::set(&mapped, "nearside.devices", &format!("{location}/=nearside://127.0.0.1:1")).await;
    common::set(&mapped, "nearside.offload", "always").await;
    common::register(&mapped, &location).await;
    let (plan, given) = common::run(&mapped, tpch::query(6)).await;
    assert_eq!(common::lines(&given), common::lines(&common::run(&plain, tpch::query(6)).await.1));
    assert_eq!(common::metric(&plan, "push_backs"), 0, "a failure is no push-back");
    assert!(common::metric(&plan, "fallback_rows") > 0);
    let reasons = nearside::account(&plan).fallbacks;
    assert!(matches!(reasons.as_slice(), [Reason::Device(DeviceError::Unreachable { .. }), ..]), "{reasons:?}");
}

/// Aggregates over nothing, because a partition has no row group or statistics prune all of them, are results as any other: no device failed.
#[tokio::test]
async fn aggregates_over_nothing_are_no_failures() {
    let (context, never) = (common::embedded(SessionConfig::new(), "always").await, common::plain(SessionConfig::new()).await);
    // Of part there is less than a row group for each partition.
    common::set(&context, "datafusion.optimizer.repartition_file_min_size", "1").await;
    common::set(&context, "datafusion.execution.target_partitions", "13").await;
    for sql in [
        "SELECT count(*), sum(p_size), min(p_name) FROM part WHERE p_size > 10",
        "SELECT count(*), sum(l_quantity), max(l_shipdate) FROM lineitem WHERE l_shipdate > DATE '2100-01-01'",
    ] {
        let (plan, rows) = common::run(&context, sql).await;
        assert_eq!(common::lines(&rows), common::lines(&common::run(&never, sql).await.1), "{sql}");
        let account = nearside::account(&plan);
        assert!(account.executions > 0 && account.fallbacks.is_empty(), "{sql}: {:?}", account.fallbacks);
    }
}
