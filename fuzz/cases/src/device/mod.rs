//! Targets of a whole device, and what they share: programs, rows, files, a host, a peer that lies.

pub(crate) mod columnar;
mod files;
mod host;
mod liar;
pub(crate) mod parquet;
mod values;
pub(crate) mod wire;
