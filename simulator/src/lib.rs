//! The simulator: what would this execution have taken on another device?
//!
//! [`replay`] charges virtual time to the *work* part of a [`nearside_device::Ledger`], morsel by morsel, against a [`Profile`]: a medium, cores, a link. It is
//! deterministic, and it never guesses what was done: that comes from a real execution. Start at [`replay`]. Not here: running programs.
//! Flash dies, queues and faults are not modelled yet; a medium is a latency and a bandwidth.
#![forbid(unsafe_code)]

pub mod profile;
mod replay;
pub mod units;

pub use profile::{Profile, ProfileError};
pub use replay::{Report, Resource, replay};
