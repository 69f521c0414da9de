//! What the context names: parameters, columns, bitmaps, and where this row and this word are in them.

use nearside_programs::abi::columnar::{BITMAP_LEN, COLUMN_LEN, COLUMN_VALIDITY, COLUMNS, PARAMETERS, SCRATCH};
use nearside_programs::isa::{AluOp, Size};

use super::{Place, Pure, Rows, Value};

impl Rows {
    /// A 32-bit field of the context.
    pub(in super::super) fn field(&mut self, offset: i16) -> Value {
        self.load(Size::W, false, self.context, offset)
    }

    /// Low (`half` 0) or high (1) 64 bits of a parameter slot.
    pub(in super::super) fn parameter(&mut self, slot: u32, half: i64) -> Value {
        let parameters = self.field(PARAMETERS);
        let (base, offset) = self.element(parameters, i64::from(slot) * 16 + half * 8);
        self.pure_from(Place::Batch, Pure::Load(Size::D, false, base, offset), || format!("parameter {slot}"))
    }

    /// Address of an element of a column's values in this row, as base and offset.
    pub(in super::super) fn column_element(&mut self, column: u32, width: u32) -> (Value, i16) {
        let columns = self.field(COLUMNS);
        let (base, offset) = self.element(columns, i64::from(column) * i64::from(COLUMN_LEN));
        let values = self.load(Size::W, false, base, offset);
        self.row_element(values, width)
    }

    /// The 64 bits of a column's validity bitmap for this word.
    pub(in super::super) fn column_validity(&mut self, column: u32) -> Value {
        self.column_word(column, i64::from(COLUMN_VALIDITY))
    }

    /// The 64 bits of a boolean column for this word.
    pub(in super::super) fn column_bits(&mut self, column: u32) -> Value {
        self.column_word(column, 0)
    }

    /// This word of the bitmap whose address is `field` bytes into the column's element of the context's array.
    fn column_word(&mut self, column: u32, field: i64) -> Value {
        let columns = self.field(COLUMNS);
        let (base, offset) = self.element(columns, i64::from(column) * i64::from(COLUMN_LEN) + field);
        let bitmap = self.load(Size::W, false, base, offset);
        self.bitmap_word(bitmap, 0)
    }

    /// This word of the scratch bitmap of that index.
    pub(in super::super) fn scratch_bits(&mut self, index: u32) -> Value {
        let scratch = self.field(SCRATCH);
        self.bitmap_word(scratch, i64::from(index) * i64::from(BITMAP_LEN))
    }

    /// Address of this row's element in an array of `width` bytes each.
    pub(in super::super) fn row_element(&mut self, array: Value, width: u32) -> (Value, i16) {
        let bytes = match width {
            1 => self.row,
            width => self.binary(AluOp::Lsh, self.row, width.trailing_zeros() as i32),
        };
        (self.binary(AluOp::Add, bytes, array), (self.lane * width) as i16)
    }

    /// Address of this word in a bitmap.
    pub(in super::super) fn bitmap_element(&mut self, bitmap: Value) -> Value {
        let bytes = self.binary(AluOp::Rsh, self.word_row, 3);
        self.binary(AluOp::Add, bytes, bitmap)
    }

    /// This word of a bitmap that lies `offset` bytes from `bitmap`.
    pub(in super::super) fn bitmap_word(&mut self, bitmap: Value, offset: i64) -> Value {
        let address = self.bitmap_element(bitmap);
        let (base, offset) = self.element(address, offset);
        self.load(Size::D, false, base, offset)
    }

    /// Base and offset of what is `bytes` from `base`, near enough for a load.
    pub(in super::super) fn element(&mut self, base: Value, bytes: i64) -> (Value, i16) {
        match i16::try_from(bytes) {
            Ok(offset) => (base, offset),
            Err(_) => (self.with_constant(AluOp::Add, base, bytes), 0),
        }
    }

    /// This row's bit of a word, 0 or 1.
    pub(in super::super) fn bit(&mut self, word: Value) -> Value {
        let block = self.binary(AluOp::Rsh, word, self.row);
        let bit = match self.lane {
            0 => block,
            lane => self.binary_in_row(AluOp::Rsh, block, lane as i32),
        };
        self.binary_in_row(AluOp::And, bit, 1)
    }

    /// This row's bit of a word in every bit: 0 or -1.
    pub(in super::super) fn bit_mask(&mut self, word: Value) -> Value {
        let block = self.binary(AluOp::Rsh, word, self.row);
        let top = self.binary_in_row(AluOp::Lsh, block, 63 - self.lane as i32);
        self.binary(AluOp::Arsh, top, 63)
    }
}
