//! `nearsided`: a device as a process, beside its data.
//!
//! [`Daemon::bind`] opens what [`Config`] names and takes the address; [`Daemon::serve`] answers until it is told to stop. The binary
//! adds arguments, logs and signals; tests and benches run the same in their own process. Not here: what is served
//! (`nearside-device`) and how (`nearside-protocol`).
#![forbid(unsafe_code)]

mod root;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use nearside_device::{Device, DeviceError};
use nearside_protocol::server;
use tokio::net::{TcpListener, lookup_host};

pub use root::Root;

/// What a daemon serves, and where. Also the arguments of the binary.
#[derive(Clone, Debug, Parser)]
#[command(name = "nearsided", version, about = "Runs parts of SQL queries beside the Parquet files they read")]
pub struct Config {
    /// The files: a folder, or an object store's URL (s3://bucket/prefix; credentials, region and endpoint from AWS_* variables).
    #[arg(long, value_name = "DIR|URL")]
    pub root: Root,

    /// Where to listen, as ADDRESS:PORT; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4774", overrides_with = "listen")]
    pub listen: String,

    /// Threads that run programs [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: Option<u32>,

    /// Listen beyond this machine, without encryption, for anybody.
    #[arg(long)]
    pub insecure: bool,

    /// Most executions at a time; one more is told that the device is busy.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub executions: u32,

    /// Seconds that running executions get to finish after SIGTERM or SIGINT.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub grace: u32,
}

impl Config {
    /// Everything at its default, on a free port of this machine.
    pub fn local(root: Root) -> Self {
        Self { root, listen: "127.0.0.1:0".to_owned(), workers: None, insecure: false, executions: 256, grace: 10 }
    }
}

/// Why a daemon did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Somebody else could reach the device, and nobody has said that this is wanted.
    #[error(
        "--listen {listen} is reachable from other machines, and this release has neither TLS nor tokens (a later one brings them): \
         listen on 127.0.0.1 and tunnel (ssh -L 4774:127.0.0.1:4774 HOST), or add --insecure on a network you trust"
    )]
    Exposed {
        /// What was asked for.
        listen: String,
    },
    /// No address.
    #[error("--listen {listen}: {reason}; it is ADDRESS:PORT, like 127.0.0.1:4774")]
    Listen {
        /// What was asked for.
        listen: String,
        /// Why it is none.
        reason: String,
    },
    /// The address is taken, or not this machine's.
    #[error("--listen {listen}: {reason}; port 0 takes a free one")]
    Bind {
        /// What was asked for.
        listen: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// The files cannot be served.
    #[error("--root {root}: {reason}")]
    Root {
        /// What was asked for.
        root: Root,
        /// Why not.
        reason: String,
    },
    /// The device did not start.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The network failed.
    #[error("serving failed: {0}")]
    Serve(String),
}

impl DaemonError {
    /// Whether other arguments would help.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Exposed { .. } | Self::Listen { .. } | Self::Root { root: Root::Directory(_), .. })
    }
}

/// A device that has an address and waits for [`Daemon::serve`].
#[derive(Debug)]
pub struct Daemon {
    device: Arc<dyn Device>,
    listener: TcpListener,
    address: SocketAddr,
    options: server::Options,
}

impl Daemon {
    /// Opens the root and takes the address.
    ///
    /// # Errors
    /// Any [`DaemonError`]; nothing is left behind.
    pub async fn bind(config: Config) -> Result<Self, DaemonError> {
        let addresses = resolve(&config).await?;
        let device = root::open(&config).await?;
        let bind = |reason| DaemonError::Bind { listen: config.listen.clone(), reason };
        let listener = TcpListener::bind(&addresses[..]).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let options = server::Options {
            name: Some(concat!("nearsided ", env!("CARGO_PKG_VERSION")).to_owned()),
            executions_max: config.executions as usize,
            grace: Duration::from_secs(config.grace.into()),
            ..server::Options::default()
        };
        Ok(Self { device, listener, address, options })
    }

    /// Where it listens: the port that was asked for, or the one that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `nearside://ADDRESS`.
    pub fn url(&self) -> String {
        format!("nearside://{}", self.address)
    }

    /// Answers until `shutdown` resolves and running executions have ended or are cut.
    ///
    /// # Errors
    /// [`DaemonError::Serve`].
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), DaemonError> {
        let served = server::serve(self.listener, self.device, self.options, shutdown).await;
        served.map_err(|error| DaemonError::Serve(error.to_string()))
    }
}

/// [`Daemon::bind`] and [`Daemon::serve`] in one, for who knows the port.
///
/// # Errors
/// As theirs.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()> + Send) -> Result<(), DaemonError> {
    Daemon::bind(config).await?.serve(shutdown).await
}

/// The addresses to listen on: this machine's only, unless [`Config::insecure`].
async fn resolve(config: &Config) -> Result<Vec<SocketAddr>, DaemonError> {
    let listen = config.listen.clone();
    let found = lookup_host(&config.listen).await.map(Vec::from_iter);
    let addresses = found.map_err(|error| DaemonError::Listen { listen: listen.clone(), reason: error.to_string() })?;
    if addresses.is_empty() {
        return Err(DaemonError::Listen { listen, reason: "no such host".to_owned() });
    }
    if !config.insecure && addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(DaemonError::Exposed { listen });
    }
    Ok(addresses)
}
