//! Fragments, and how they become programs.
//!
//! A [`Fragment`] is the part of a query that only filters, projects and aggregates one table. [`compile`] checks its types, lowers it to a `columnar`
//! object and gathers its literals as parameters, or refuses it with a typed [`Refusal`]. [`evaluate()`] is the slow reference
//! that everything else is compared with. Nothing here knows DataFusion, Arrow or any transport.
#![forbid(unsafe_code)]

pub mod capabilities;
pub mod check;
pub mod evaluate;
pub mod fragment;
pub mod generate;
pub mod lower;
pub mod refusal;
pub mod text;

pub use capabilities::Capabilities;
pub use check::TypeError;
pub use evaluate::{EvaluationError, evaluate};
pub use fragment::Fragment;
pub use lower::{Compiled, IN_LIST_MAX, compile};
pub use refusal::Refusal;
pub use text::ParseError;
