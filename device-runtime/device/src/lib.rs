//! A device: something that runs programs near the data.
//!
//! [`Device`] is the one trait of everything that executes: the in-process device here, the remote client of
//! `nearside-protocol`, the simulated device. A program's life is load → activate → execute → deactivate → unload
//! (the NVMe Computational Programs command set). [`Device::execute`] takes a [`Request`] and streams [`Event`]s, the
//! last of which is the [`Ledger`]. Nothing here knows DataFusion or gRPC.
// `columnar::vector` alone calls functions made for one processor's instructions.
#![deny(unsafe_code)]

pub mod columnar;
mod config;
mod embedded;
pub mod error;
pub mod ledger;
mod media;
mod panics;
mod pipeline;
mod programs;
pub mod request;
mod status;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::ObjectStore;

pub use config::Config;
pub use embedded::Embedded;
pub use error::DeviceError;
pub use ledger::Ledger;
pub use panics::{catch_expected_panic, hush_expected_panics};
pub use request::{Description, Input, MorselId, ObjectSlice, Options, ProgramDigest, Request, RowGroups};
pub use status::Status;

/// Anything that executes programs near data.
#[async_trait]
pub trait Device: Debug + Send + Sync {
    /// What the device is and can do.
    async fn describe(&self) -> Result<Description, DeviceError>;

    /// What it is doing now.
    async fn status(&self) -> Result<Status, DeviceError>;

    /// Checks an object and keeps it under its digest. Loading what is loaded renews its lease.
    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError>;

    /// Compiles a loaded program; [`Device::execute`] does it on first use otherwise.
    async fn activate(&self, program: &ProgramDigest) -> Result<(), DeviceError>;

    /// Drops the compiled code, keeps the object.
    async fn deactivate(&self, program: &ProgramDigest) -> Result<(), DeviceError>;

    /// Forgets a program.
    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError>;

    /// Runs a loaded program over an input. Dropping the stream stops the device within one batch of each worker.
    async fn execute(&self, request: Request) -> Result<Execution, DeviceError>;

    /// The objects the device sits beside, by the paths [`ObjectSlice::path`] uses. For plain reads, listing and fallback.
    fn objects(&self) -> Arc<dyn ObjectStore>;
}

/// A running execution.
pub struct Execution {
    /// Schema of every batch.
    pub schema: SchemaRef,
    /// Ends with [`Event::Finished`] or an error. After an error, what [`Event::MorselsDone`] has covered is still good.
    pub events: BoxStream<'static, Result<Event, DeviceError>>,
}

/// What an execution says on its way.
///
/// The rows of a morsel are exactly those of the [`Event::Batch`]es that name it. They are complete, and may be used, once a
/// [`Event::MorselsDone`] has named it; if the execution fails before, they must be thrown away. In an aggregate a batch may cover several morsels, which
/// are then done together.
#[derive(Debug)]
pub enum Event {
    /// Rows of these morsels.
    Batch {
        /// Where they come from.
        morsels: Vec<MorselId>,
        /// The rows.
        batch: RecordBatch,
    },
    /// These morsels are complete. Morsels that were pruned are named too.
    MorselsDone(Vec<MorselId>),
    /// Everything is done; nothing follows.
    Finished(Box<Ledger>),
}
