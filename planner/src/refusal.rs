//! Why a fragment, or a part of it, does not become a program.
//!
//! A refusal is no error: the host runs the part itself, and shows the reason. Each variant asks for another reaction.

use nearside_programs::ValueType;

use crate::check::TypeError;
use crate::fragment::DEPTH_MAX;

/// Why [`compile`](crate::compile) made no program. One line, for `EXPLAIN`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The fragment means nothing: a bug of whoever made it.
    #[error("the fragment is not well typed: {0}")]
    IllTyped(#[source] TypeError),
    /// The language has it, programs do not: keep that expression on the host.
    #[error("{operator} on type {value_type} is not offloaded")]
    Operator {
        /// Operator or function, as SQL writes it.
        operator: &'static str,
        /// Type of its operand.
        value_type: ValueType,
    },
    /// A cast programs do not do exactly as DataFusion does it.
    #[error("the cast from {from} to {to} is not offloaded")]
    Cast {
        /// From.
        from: ValueType,
        /// To.
        to: ValueType,
    },
    /// Text that is computed, where programs only hand columns to helpers: predicates can do without, results cannot.
    #[error("{place} is computed text, and programs make none")]
    ComputedText {
        /// What would be that text.
        place: &'static str,
    },
    /// Another device, or a newer one, could run it.
    #[error("the device has no helper `{name}`")]
    Helper {
        /// Its symbol.
        name: &'static str,
    },
    /// The same in smaller pieces might do.
    #[error("too complex: {given} {what}, the limit is {limit}")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, at least.
        given: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The fragment cannot be described to a device (two columns of one name), or lowering went wrong: a bug of whoever made either.
    #[error("the program would not be valid: {0}")]
    Invalid(String),
}

/// What DataFusion has and the language does not is no bug: it is refused like what programs do not have.
impl From<TypeError> for Refusal {
    fn from(error: TypeError) -> Self {
        match error {
            TypeError::Cast { from, to } => Self::Cast { from, to },
            TypeError::Operands { op, left, .. } => Self::Operator { operator: op, value_type: left },
            TypeError::CaseFolding => {
                Self::Operator { operator: "ILIKE with a pattern beyond ASCII", value_type: ValueType::Utf8 }
            }
            TypeError::TooDeep => Self::TooComplex { what: "levels of an expression", given: DEPTH_MAX + 1, limit: DEPTH_MAX },
            error => Self::IllTyped(error),
        }
    }
}
