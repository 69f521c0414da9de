//! What a program *is*: instructions, text, objects, and the contract between a program and the device that runs it.
//!
//! Entry points: [`Object::read`] turns the bytes of an ELF64 eBPF object into code, symbols and a [`Manifest`];
//! [`Object::write`] is its inverse; [`isa::decode`] turns 8-byte slots into [`isa::Instruction`]s, refusing whatever
//! RFC 9669 reserves; [`Builder`] makes code with labels, [`assemble`] makes it of text, and [`Object::disassemble`] makes text of it.
//! [`Manifest::check`] is where what a stranger's object says of itself becomes fit to index with. [`abi::columnar`] is the contract of programs that run over
//! decoded columns. A leaf: no I/O, nothing about engines, Arrow, networks or queries.
#![forbid(unsafe_code)]

pub mod abi;
mod assemble;
pub mod builder;
mod disassemble;
pub mod isa;
pub mod manifest;
pub mod maps;
pub mod object;
pub mod parameters;
pub mod types;

pub use assemble::{AssembleError, assemble};
pub use builder::{Assembled, BuildError, Builder, Label};
pub use disassemble::Disassembly;
pub use manifest::Manifest;
pub use maps::{MapKind, MapSpec};
pub use object::{Function, Object, ObjectError};
pub use parameters::{ParameterSlot, Parameters};
pub use types::{Scalar, ValueType};
