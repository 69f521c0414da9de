//! One execution over Parquet: plan, prune, read, decode, select, decode the rest, project or aggregate, stream.
//!
//! [`start`] plans on a thread of the device and then runs. A *morsel* is a row group; a *lane* is what one worker does in
//! one go: a morsel of a projection, some consecutive morsels of an aggregate, whose partials leave together. Lanes follow
//! from the input alone, never from threads or time, and with them all of [`Work`](crate::ledger::Work). Not here: byte
//! code (`columnar`), files (`media`).

mod batch;
mod casts;
mod columns;
mod cores;
mod decode;
mod footer;
mod lane;
mod morsel;
mod plan;
mod run;
mod size;
mod zones;

pub(crate) use cores::{Cores, Memory};
pub(crate) use footer::FooterCache;
pub(crate) use run::{Environment, Job, start};

use crate::error::DeviceError;
use crate::panics;

/// Why a worker stopped before the end.
#[derive(Debug)]
enum Halt {
    /// The execution fails with this.
    Failed(DeviceError),
    /// Nobody wants more rows.
    Enough,
}

impl From<DeviceError> for Halt {
    fn from(error: DeviceError) -> Self {
        Self::Failed(error)
    }
}

/// Runs Parquet code over bytes that nobody vouches for: its errors, and its panics too, are the object's fault.
fn guarded<T>(path: &str, parse: impl FnOnce() -> Result<T, parquet::errors::ParquetError>) -> Result<T, DeviceError> {
    // What was half done is dropped by the caller, with the error.
    match panics::catch_expected_panic(parse) {
        Some(result) => result.map_err(|error| bad_object(path, error)),
        None => Err(bad_object(path, "it makes the Parquet reader panic: corrupt")),
    }
}

fn bad_object(path: &str, reason: impl ToString) -> DeviceError {
    DeviceError::BadObject { path: path.to_owned(), reason: reason.to_string() }
}

fn nanos_since(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
