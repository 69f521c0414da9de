//! The contract between a program and what runs it, one module a target.

pub mod columnar;
pub mod helper;
