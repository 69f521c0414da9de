//! The text form of fragments: what people read in `EXPLAIN`, write in tests and replay a failure with.
//!
//! ```text
//! scan (k: i64 null, s: utf8, d: decimal(15,2)) | filter k > 10 and s like 'a%' | emit k, x: k + 1
//! scan (k: i64 null, s: utf8) | filter k > 0 | filter s <> '' | group by s | aggregate n: count(*), t: sum(k) filter (where k > 1)
//! ```
//!
//! `Display` writes it, `FromStr` reads it, and a fragment that [checks](Fragment::check) survives the trip unchanged.
//!
//! - Each `filter` is one conjunct. A result without a name has its column's.
//! - Literals carry their types: `5` is `i64`, `5i32`, `1.5` is `f64`, `1.5f32`, `f64 0x7ff8000000000000` (by its bits: what is not finite), `1.50d(15,2)`,
//!   `date '1998-09-02'` or `5date` (a day by its number), `'it''s'`, `true`, `null utf8`. Nothing is coerced.
//! - Operators by rising precedence: `or`; `and`; `not`; `= <> < <= > >=`, `is [not] null`, `[not] in (…)`, `[not] like '…'`, `[not] ilike '…'`; `+ -`; `*`.
//!   `case when … then … else … end` and `cast(… as …)` need no parentheses.
//! - The state of an aggregate has its function's [usual type](state_type), or the one after `as`: `count(k) as u64`.
//! - `#3` is the fourth column, whatever its name; `"two words"` is a name that is no word, or a reserved one.
//! - `# …` at the start of a line is a comment.

mod date;
mod lex;
mod literal;
mod parse;
mod write;

use nearside_programs::ValueType;

use crate::check::TypeError;
#[expect(unused_imports, reason = "the documentation links to them")]
use crate::fragment::{Fragment, state_type};

pub use literal::{parse_scalar, write_scalar};

/// A text that is no fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else should be here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should be here.
        expected: &'static str,
        /// What is, shortened.
        found: String,
    },
    /// No column has this name.
    #[error("no column is named {0:?}")]
    UnknownColumn(String),
    /// A text or a quoted name without its end.
    #[error("a quote is never closed")]
    Unclosed,
    /// A number that is no value of its type.
    #[error("not a value of type {0}")]
    Literal(ValueType),
    /// Parentheses, or operators, nested beyond what is read.
    #[error("nested too deep")]
    TooDeep,
    /// It reads well and means nothing.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Words that are not names unless quoted.
const RESERVED: &[&str] = &[
    "scan",
    "filter",
    "emit",
    "group",
    "by",
    "aggregate",
    "where",
    "and",
    "or",
    "not",
    "is",
    "null",
    "in",
    "like",
    "ilike",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "as",
    "true",
    "false",
    "date",
    "f32",
    "f64",
];

/// Whether a name can stand without quotes.
fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests;
