//! Arrow IPC inside Flight messages: [`Encoder`] turns the events of an execution into messages, [`Decoder`] turns them back.
//!
//! `arrow-flight`'s own stream types do neither: the encoder has no place for marks beside a batch, and the decoder trusts its peer.

mod decode;
mod encode;
mod guard;
mod lz4;

pub(crate) use decode::Decoder;
pub(crate) use encode::{Encoder, encode_schema};
pub(crate) use guard::read_schema;
