//! A device without eBPF: DataFusion, in a process beside the data.
//!
//! It speaks the protocol of every device, but what is loaded is a fragment in its text form instead of a program. [`NativeDevice`] plans it as a query over the
//! file, once, and runs the plan as often as it is asked; [`offload`] makes a host's plan ask it. Both are as fast as plain DataFusion makes them: plans, schemas
//! and footers are kept.

mod device;
mod exec;
mod expression;
mod plan;

pub(crate) use device::NativeDevice;
pub(crate) use exec::offload;
