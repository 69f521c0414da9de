//! A hostile file on a device: whatever a Parquet file says, honest programs over it end in rows or in an error that blames the file, within bounded
//! memory; and the device goes on.

use std::sync::LazyLock;

use nearside_device::{Device, DeviceError, hush_expected_panics};
use tokio::runtime::{Builder, Runtime};

use super::files;
use super::host::{Host, drain};
use crate::Target;

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 64 << 10;
/// What the device may have of row groups, bytes.
const ROW_GROUPS_BYTES_MAX: u64 = 32 << 20;
/// Most memory on the heap, bytes: the device's, what decoding makes of it, and the batches that wait.
const MEMORY_MAX: usize = 256 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
static HOST: LazyLock<Host> = LazyLock::new(|| RUNTIME.block_on(Host::new(ROW_GROUPS_BYTES_MAX, &[])));

pub(crate) const TARGET: Target = Target { name: "parquet", memory: (MEMORY_MAX, 0), prepare, check, seeds: files::files };

fn prepare() {
    hush_expected_panics();
    LazyLock::force(&HOST);
}

fn check(input: &[u8]) -> bool {
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    RUNTIME.block_on(execute(input));
    true
}

async fn execute(input: &[u8]) {
    HOST.put(input).await;
    for request in HOST.requests(input.len() as u64) {
        let result = match HOST.device.execute(request).await {
            Ok(execution) => drain(execution).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            assert!(is_the_files(&error), "{error:?}");
        }
    }
}

/// The file's fault, or a limit of the device.
fn is_the_files(error: &DeviceError) -> bool {
    matches!(error, DeviceError::BadObject { .. } | DeviceError::Limit { .. } | DeviceError::Busy { .. })
}
