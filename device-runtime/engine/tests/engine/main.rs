//! Both engines against models that share nothing with them, and against each other.

mod cache;
mod calls;
mod common;
mod containment;
mod counting;
mod differential;
mod generate;
mod generated;
mod intrinsics;
mod isa;
mod kernel;
mod lanes;
mod loops;
mod maps;
mod memory;
mod packet;
mod shifts;
mod traps;
mod verifier;
