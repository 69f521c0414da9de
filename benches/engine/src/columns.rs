//! The columns steps work on, with the distributions of TPC-H where it has them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, StringArray, UInt8Array, UInt32Array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::Int32Type;

/// A column of fixed width without NULLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// 1 to 50, in hundredths.
    Quantity,
    /// 900 to 101,000, in hundredths.
    Price,
    /// 0 to 10, in hundredths.
    Discount,
    /// Days of seven years.
    Date,
    /// A group: one of [`FLAGS`].
    Flag,
    /// Key of a dictionary, [`MODES`].
    Mode,
    /// Any 32 bits.
    Word,
    /// Any 8 bits.
    Byte,
}

/// Groups of Q1, and two that TPC-H has no rows for.
pub(crate) const FLAGS: u64 = 6;

/// The values of `l_shipmode`.
pub(crate) const MODES: [&str; 7] = ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"];

impl Column {
    /// Bytes of a value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Quantity | Self::Price | Self::Discount => 8,
            Self::Date | Self::Flag | Self::Mode | Self::Word => 4,
            Self::Byte => 1,
        }
    }

    /// In a fragment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quantity => "quantity",
            Self::Price => "price",
            Self::Discount => "discount",
            Self::Date => "shipdate",
            Self::Flag => "flag",
            Self::Mode => "mode",
            Self::Word => "word",
            Self::Byte => "byte",
        }
    }

    fn value(self, random: u64) -> u64 {
        match self {
            Self::Quantity => (1 + random % 50) * 100,
            Self::Price => 90_000 + random % 10_010_000,
            Self::Discount => random % 11,
            Self::Date => 8_036 + random % 2_526,
            Self::Flag => random % FLAGS,
            Self::Mode => random % MODES.len() as u64,
            Self::Word | Self::Byte => random,
        }
    }

    /// Fills its bytes: whole values, the same ones every time.
    pub(crate) fn fill(self, out: &mut [u8]) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (self as u64) << 32;
        for bytes in out.chunks_exact_mut(self.width()) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // The low bits of xorshift are its weak ones.
            bytes.copy_from_slice(&self.value(state >> 16).to_le_bytes()[..self.width()]);
        }
    }

    /// As Arrow has it.
    pub(crate) fn array(self, buffer: Buffer) -> ArrayRef {
        match self {
            Self::Quantity | Self::Price | Self::Discount => Arc::new(Int64Array::new(ScalarBuffer::from(buffer), None)),
            Self::Date => Arc::new(Date32Array::new(ScalarBuffer::from(buffer), None)),
            Self::Flag => Arc::new(Int32Array::new(ScalarBuffer::from(buffer), None)),
            Self::Word => Arc::new(UInt32Array::new(ScalarBuffer::from(buffer), None)),
            Self::Byte => Arc::new(UInt8Array::new(ScalarBuffer::from(buffer), None)),
            Self::Mode => {
                let keys = Int32Array::new(ScalarBuffer::from(buffer), None);
                let values = Arc::new(StringArray::from(MODES.to_vec()));
                Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
            }
        }
    }
}
