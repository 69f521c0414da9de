//! What a device is doing now.

use serde::{Deserialize, Serialize};

/// What executions, and programs between them, hold of a device at this moment.
///
/// Without executions only the programs' numbers are above zero, and unloading brings those down too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Executions that have begun and whose last thread has not ended.
    pub executions: u64,
    /// Memory that row groups under way take, bytes.
    pub row_group_bytes: u64,
    /// Loaded programs.
    pub programs: u64,
    /// Bytes of their objects.
    pub program_bytes: u64,
}
