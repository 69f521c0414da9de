//! The instruction set of RFC 9669: encoded slots, decoded instructions, text.
//!
//! A [`Slot`] is the 8 bytes as they stand in an object. An [`Instruction`] is what they mean; everything that looks at a
//! program (verifier, interpreter, JIT, disassembler) works on instructions, and [`decode`] is the one place that knows
//! the encoding. Start at [`decode`].
//! An instruction's `Display` and `FromStr` are the syntax of `llvm-objdump -d`.

mod decode;
mod display;
mod encode;
mod instruction;
mod opcode;
mod parse;
mod slot;

pub use decode::{DecodeError, decode};
pub use encode::{EncodeError, Encoded, encode};
pub use instruction::{AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, WideSource, Width};
pub use parse::ParseError;
pub(crate) use parse::{Statement, parse};
pub use slot::Slot;
