//! Both engines against models that share nothing with them, and against each other.

mod alu;
mod calls;
mod common;
mod counting;
mod differential;
mod generate;
mod intrinsics;
mod maps;
mod memory;
mod packet;
mod traps;
mod verifier;
