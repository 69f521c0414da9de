//! The device processes: `nearsided`, and the one that is plain DataFusion.

use std::path::PathBuf;

use anyhow::{Context, Result};
use nearsided::{Config, Daemon, Root};
use serde::{Deserialize, Serialize};

use crate::options::Link;
use crate::{child, network};

/// What a device process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeviceTask {
    /// The tables.
    pub data: PathBuf,
    /// Where it runs.
    pub core: usize,
    /// What is between it and the host.
    pub link: Link,
}

/// A device that answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    /// Its TCP port.
    pub port: u16,
}

/// Serves until it is killed.
pub(crate) fn work(task: &DeviceTask) -> Result<()> {
    child::pin(task.core)?;
    network::enter_own(task.link)?;
    tokio::runtime::Runtime::new().context("threads")?.block_on(serve(task))
}

async fn serve(task: &DeviceTask) -> Result<()> {
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
