//! Nearside in DataFusion: filters, projections and aggregates of a table run as eBPF programs beside its files.
//!
//! [`extend`] gives an existing [`SessionContext`] the settings `nearside.*` ([`NearsideOptions`]), object stores for `nearside://host:port` and the
//! [`OffloadRule`], which replaces the highest subtrees that devices take by [`OffloadExec`]. Tables are registered as ever; which device answers for
//! which files is a setting. Follow a query: [`OffloadRule`] → `extract` (what can be pushed) → `shape` → `nearside_planner::compile` →
//! [`OffloadExec`] → `run` (one partition, and its fallback).
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use datafusion::prelude::*;
//! # let directory = tempfile::tempdir()?;
//! # let (data, context) = (directory.path().display().to_string(), SessionContext::new());
//! # context.sql(&format!("COPY (SELECT value AS x FROM range(100000)) TO '{data}/t.parquet'")).await?.collect().await?;
//! let context = nearside::extend(context)?;
//! context.sql(&format!("SET nearside.devices = 'file://{data}/=embedded'")).await?;
//!
//! context.register_parquet("t", format!("{data}/t.parquet"), ParquetReadOptions::default()).await?;
//! let rows = context.sql("SELECT count(*), sum(x) FROM t WHERE x >= 99990").await?.collect().await?;
//! # use datafusion::arrow::{array::AsArray, datatypes::Int64Type};
//! # assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 10);
//! # assert_eq!(rows[0].column(1).as_primitive::<Int64Type>().value(0), 999945);
//! # Ok(()) }
//! ```
//!
//! Not here: what programs are (`nearside-programs`), how they are made (`nearside-planner`) and run (`nearside-device`).
#![forbid(unsafe_code)]

mod analyze;
mod config;
mod conform;
mod cost;
mod delivery;
mod devices;
mod exec;
mod experience;
mod explain;
mod expression;
mod extract;
mod fallback;
mod fallback_exec;
mod footers;
mod health;
pub mod location;
mod metrics;
mod offload;
mod program;
mod reason;
mod rule;
mod run;
mod selectivity;
mod shape;
mod store;
pub mod tpch;
mod types;
mod verify;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::OptimizerOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};

pub use config::{FloatSum, NearsideOptions, NoSuchWord, Offload};
pub use exec::OffloadExec;
pub use fallback_exec::FallbackExec;
pub use metrics::{Account, account};
pub use reason::Reason;
pub use rule::OffloadRule;

use analyze::CountingPlanner;
use devices::Devices;
use location::DeviceUrl;
use nearside_device::Device;
use nearside_planner::IN_LIST_MAX;
use store::Registry;

/// The context with Nearside: its tables, functions and settings stay, `nearside.*` comes with defaults ([`NearsideOptions`]).
///
/// A context that has it already is returned as it is.
///
/// # Errors
/// None today; making a session may fail in later versions of DataFusion.
pub fn extend(context: SessionContext) -> Result<SessionContext> {
    extend_with(context, [])
}

/// [`extend`] with devices of your own, simulated or instrumented ones, under the URLs by which `nearside.devices` names them.
///
/// # Errors
/// As [`extend`].
pub fn extend_with(
    context: SessionContext,
    own: impl IntoIterator<Item = (DeviceUrl, Arc<dyn Device>)>,
) -> Result<SessionContext> {
    let state = context.state();
    let mut config = state.config().clone();
    if config.options().extensions.get::<NearsideOptions>().is_some() {
        return Ok(context);
    }
    config.options_mut().extensions.insert(NearsideOptions::default());
    prefer_lists(&mut config);
    let stores = Arc::clone(&state.runtime_env().object_store_registry);
    let devices = Arc::new(Devices::new(Arc::clone(&stores), own));
    let registry = Arc::new(Registry::new(stores, Arc::clone(&devices)));
    let runtime = RuntimeEnv { object_store_registry: registry, ..RuntimeEnv::clone(state.runtime_env()) };
    let planner = CountingPlanner::new(Arc::clone(state.query_planner()));
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .with_query_planner(Arc::new(planner))
        .with_runtime_env(Arc::new(runtime))
        .with_physical_optimizer_rule(Arc::new(OffloadRule::new(devices)))
        .build();
    Ok(SessionContext::new_with_state(state))
}

/// Has joins tell scans the keys they look for as a list, if they are no more than a program takes: a device cannot look into a join's hash table.
///
/// A setting that somebody has changed stays.
fn prefer_lists(config: &mut SessionConfig) {
    let default = OptimizerOptions::default().hash_join_inlist_pushdown_max_distinct_values;
    let keys_max = &mut config.options_mut().optimizer.hash_join_inlist_pushdown_max_distinct_values;
    if *keys_max == default {
        *keys_max = IN_LIST_MAX;
    }
}
