//! One bit a row, kept as 64 rows in a word for as long as that is possible.

use nearside_programs::isa::AluOp;

use super::machine::Value;
use super::rows::Rows;

/// For which rows something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// For none.
    Never,
    /// For those whose bit is set in `word` (one bit a row of the word) *and* in `row` (0 or 1, of the current row); a part that is absent is all ones.
    Where { word: Option<Value>, row: Option<Value> },
}

impl Bits {
    pub(super) const ALWAYS: Self = Self::Where { word: None, row: None };

    pub(super) fn word(word: Value) -> Self {
        Self::Where { word: Some(word), row: None }
    }

    pub(super) fn row(row: Value) -> Self {
        Self::Where { word: None, row: Some(row) }
    }

    pub(super) fn constant(value: bool) -> Self {
        if value { Self::ALWAYS } else { Self::Never }
    }

    pub(super) fn and(self, other: Self, rows: &mut Rows) -> Self {
        let (Self::Where { word: w1, row: r1 }, Self::Where { word: w2, row: r2 }) = (self, other) else {
            return Self::Never;
        };
        let mut both = |a: Option<Value>, b: Option<Value>| match (a, b) {
            (Some(a), Some(b)) if a != b => Some(rows.binary(AluOp::And, a, b)),
            (a, b) => a.or(b),
        };
        Self::Where { word: both(w1, w2), row: both(r1, r2) }
    }

    pub(super) fn or(self, other: Self, rows: &mut Rows) -> Self {
        match (self, other) {
            (Self::Never, bits) | (bits, Self::Never) => bits,
            (Self::ALWAYS, _) | (_, Self::ALWAYS) => Self::ALWAYS,
            (a, b) if a == b => a,
            (Self::Where { word: Some(a), row: None }, Self::Where { word: Some(b), row: None }) => {
                Self::word(rows.binary(AluOp::Or, a, b))
            }
            (a, b) => {
                let (a, b) = (a.bit(rows), b.bit(rows));
                Self::row(rows.binary(AluOp::Or, a, b))
            }
        }
    }

    pub(super) fn not(self, rows: &mut Rows) -> Self {
        match self {
            Self::Never => Self::ALWAYS,
            Self::ALWAYS => Self::Never,
            Self::Where { word: Some(word), row: None } => Self::word(rows.binary(AluOp::Xor, word, -1)),
            bits => {
                let bit = bits.bit(rows);
                Self::row(rows.binary(AluOp::Xor, bit, 1))
            }
        }
    }

    /// The current row's bit: 0 or 1.
    pub(super) fn bit(self, rows: &mut Rows) -> Value {
        match self {
            Self::Never => rows.constant(0),
            Self::ALWAYS => rows.constant(1),
            Self::Where { word: None, row: Some(row) } => row,
            Self::Where { word: Some(word), row: None } => rows.bit(word),
            Self::Where { word: Some(word), row: Some(row) } => {
                let bit = rows.bit(word);
                rows.binary(AluOp::And, bit, row)
            }
        }
    }

    /// The current row's bit in all 64 bits: 0 or -1.
    pub(super) fn mask(self, rows: &mut Rows) -> Value {
        match self {
            Self::Never => rows.constant(0),
            Self::ALWAYS => rows.constant(-1),
            Self::Where { word: Some(word), row: None } => rows.bit_mask(word),
            bits => {
                let bit = bits.bit(rows);
                rows.negate(bit)
            }
        }
    }
}

const M1: i64 = 0x5555_5555_5555_5555;
const M2: i64 = 0x3333_3333_3333_3333;
const M4: i64 = 0x0f0f_0f0f_0f0f_0f0f;
const H01: i64 = 0x0101_0101_0101_0101;

/// How many bits of a word are set (Hacker's Delight §5-1): twelve operations for 64 rows.
pub(super) fn count_ones(word: Value, rows: &mut Rows) -> Value {
    let odd = rows.binary(AluOp::Rsh, word, 1);
    let odd = rows.with_constant(AluOp::And, odd, M1);
    let pairs = rows.binary(AluOp::Sub, word, odd);
    let low = rows.with_constant(AluOp::And, pairs, M2);
    let high = rows.binary(AluOp::Rsh, pairs, 2);
    let high = rows.with_constant(AluOp::And, high, M2);
    let nibbles = rows.binary(AluOp::Add, low, high);
    let upper = rows.binary(AluOp::Rsh, nibbles, 4);
    let bytes = rows.binary(AluOp::Add, nibbles, upper);
    let bytes = rows.with_constant(AluOp::And, bytes, M4);
    let sum = rows.with_constant(AluOp::Mul, bytes, H01);
    rows.binary(AluOp::Rsh, sum, 56)
}
