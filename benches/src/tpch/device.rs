//! The device processes: `nearsided`, and the one that is plain DataFusion.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use nearside_protocol::server;
use nearsided::{Config, Daemon, Root};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::place;
use crate::tpch::native::NativeDevice;
use crate::tpch::options::Link;
use crate::tpch::{child, network};

/// What a device process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeviceTask {
    /// The tables.
    pub data: PathBuf,
    /// Where it runs.
    pub core: usize,
    /// What is between it and the host.
    pub link: Link,
    /// A device process whose end of the cable it shares.
    pub beside: Option<u32>,
    /// What runs fragments.
    pub engine: Engine,
}

/// What runs fragments.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Engine {
    /// Programs, by `nearsided`.
    Nearside,
    /// DataFusion.
    DataFusion { pushdown_filters: bool },
}

/// A device that answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    /// Its TCP port.
    pub port: u16,
}

/// Serves until it is killed.
pub(crate) fn work(task: &DeviceTask) -> Result<()> {
    place::pin(task.core)?;
    network::enter(task.link, task.beside)?;
    tokio::runtime::Runtime::new().context("threads")?.block_on(serve(task))
}

async fn serve(task: &DeviceTask) -> Result<()> {
    match task.engine {
        Engine::Nearside => serve_nearside(task).await,
        Engine::DataFusion { pushdown_filters } => {
            let listener = TcpListener::bind(network::listen(task.link)).await?;
            child::answer(&Listening { port: listener.local_addr()?.port() })?;
            let device = Arc::new(NativeDevice::new(&task.data, pushdown_filters));
            Ok(server::serve(listener, device, server::Options::default(), std::future::pending()).await?)
        }
    }
}

async fn serve_nearside(task: &DeviceTask) -> Result<()> {
    let config = Config {
        listen: network::listen(task.link).to_owned(),
        workers: Some(1),
        insecure: true,
        ..Config::local(Root::Directory(task.data.clone()))
    };
    let daemon = Daemon::bind(config).await?;
    child::answer(&Listening { port: daemon.address().port() })?;
    Ok(daemon.serve(std::future::pending()).await?)
}
