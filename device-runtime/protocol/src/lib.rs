//! A device over the network: Arrow Flight server and client, and the object store the device serves.
//!
//! [`server::serve`] answers for any [`nearside_device::Device`]; [`RemoteDevice`] *is* a `Device` whose work happens at the other
//! end. `docs/protocol.md` describes what travels: an execution is one `DoExchange`, everything else a `DoAction`. Neither side
//! trusts the other: every message passes a named bound of [`limits`] and a check before anything indexes with it. Start at
//! [`RemoteDevice::connect`] or [`server::serve`]. Not here: what a program does, configuration, DataFusion.
#![forbid(unsafe_code)]

pub mod client;
pub mod limits;
pub mod server;

mod failure;
mod ipc;
mod message;

pub use client::{RemoteDevice, SocketBytes, Tuning};

/// Version of the protocol this crate speaks; both sides must speak the same.
pub const VERSION: u32 = 1;

/// The port of a `nearside://` URL that names none.
pub const DEFAULT_PORT: u16 = 4774;

/// Name of the gRPC header that carries [`VERSION`], in every request and every response.
pub const VERSION_HEADER: &str = "nearside-protocol";
