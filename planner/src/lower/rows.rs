//! The loop over a batch's rows, and where in it a computation stands.
//!
//! ```text
//! batch                              addresses, parameters
//! for each word of 64 rows:
//!     word                           selection (a word of zeros is skipped), validity
//!     for each block of UNROLL rows:
//!         block                      column pointers
//!         row, UNROLL times          values
//!     word_end                       bitmaps written
//! batch_end                          accumulators written
//! ```
//! A pure computation is written once, in the outermost place where its operands are known, and found again when it is asked for again: that is what hoists
//! parameters and column addresses, and computes common subexpressions once.

use std::collections::HashMap;

use nearside_programs::abi::columnar::{BITMAP_LEN, COLUMN_LEN, COLUMN_VALIDITY, COLUMNS, PARAMETERS, SCRATCH};
use nearside_programs::isa::{AluOp, JumpOp, Size, Width};

use super::machine::{Argument, Mark, Op, Source, Value};

/// Where a value is known, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Batch,
    Word,
    Block,
    Row,
    /// After the rows of a word.
    WordEnd,
    /// After the loop.
    BatchEnd,
}

/// What is done with computations that do not depend on the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hoisting {
    /// Outside of the rows: each takes a register or eight bytes of stack for the whole loop.
    Loop,
    /// Once a row, for functions that would need more stack than there is.
    Nothing,
}

/// A computation without effect: same operands, same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pure {
    Constant(i64),
    Binary(AluOp, Width, Value, Source),
    Negate(Value),
    SignExtend(Value, u8),
    Load(Size, bool, Value, i16),
    Call(u32, Vec<Source>),
}

/// What a helper makes of two 128-bit integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct WideResult {
    pub(super) low: Value,
    pub(super) high: Value,
    /// 1 if it wrapped.
    pub(super) wrapped: Value,
}

/// Code of one function while it is being written.
pub(super) struct Rows {
    /// What stands before the current loop, and after those before.
    before: Vec<Op>,
    sections: [Vec<Op>; 6],
    places: Vec<Place>,
    known: HashMap<Pure, Value>,
    /// By helper and operands.
    wide_results: HashMap<(u32, [Value; 4]), WideResult>,
    /// Binary64 by the 128-bit integers they were made from.
    wide_floats: HashMap<[Value; 2], Value>,
    mark_count: u32,
    /// Rows written one after the other in the inner loop.
    unroll: u32,
    /// The row within the block that is being written.
    lane: u32,
    context: Value,
    /// First row of the word.
    word_row: Value,
    /// First row of the block.
    row: Value,
    /// Where a computation stands that rows ask for, but that does not depend on the row.
    hoisting: Hoisting,
    /// Whether rows are being written.
    in_rows: bool,
    /// Bytes of temporaries at the frame's end.
    temporary_len: usize,
    row_len: usize,
}

/// Bytes for the operands and the result of a 128-bit helper.
const WIDE_TEMPORARIES: usize = 48;

impl Rows {
    /// A function that begins; `unroll` divides 64.
    pub(super) fn new(unroll: u32, hoisting: Hoisting) -> Self {
        let mut rows = Self {
            before: Vec::new(),
            sections: Default::default(),
            places: Vec::new(),
            known: HashMap::new(),
            wide_results: HashMap::new(),
            wide_floats: HashMap::new(),
            mark_count: 0,
            unroll,
            lane: 0,
            context: Value(0),
            word_row: Value(0),
            row: Value(0),
            hoisting,
            in_rows: false,
            temporary_len: 0,
            row_len: 0,
        };
        rows.context = rows.fresh(Place::Batch);
        rows.push(Place::Batch, Op::Entry { dst: rows.context });
        rows.word_row = rows.fresh(Place::Word);
        rows.row = rows.fresh(Place::Block);
        rows
    }

    pub(super) fn unroll(&self) -> u32 {
        self.unroll
    }

    /// How many values there are, for the register allocation.
    pub(super) fn value_count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn temporary_len(&self) -> usize {
        self.temporary_len
    }

    /// How much has been written.
    pub(super) fn len(&self) -> usize {
        let sections: usize = self.sections.iter().map(Vec::len).sum();
        self.before.len() + sections
    }

    /// A value nothing assigns yet, known from `place` on.
    pub(super) fn fresh(&mut self, place: Place) -> Value {
        self.places.push(place);
        Value(self.places.len() as u32 - 1)
    }

    pub(super) fn mark(&mut self) -> Mark {
        self.mark_count += 1;
        Mark(self.mark_count)
    }

    /// Appends an instruction with an effect.
    pub(super) fn push(&mut self, place: Place, op: Op) {
        self.sections[place as usize].push(op);
    }

    /// `value = value op right`, in `place`.
    pub(super) fn update(&mut self, place: Place, op: AluOp, value: Value, right: impl Into<Source>) {
        self.push(place, update(op, value, right));
    }

    /// Goes on to a row of the block; what was known of another row is forgotten.
    pub(super) fn enter_lane(&mut self, lane: u32) {
        self.lane = lane;
        self.in_rows = true;
        self.forget(Place::Row);
    }

    /// What follows is no row's; what was known inside the loop over blocks is forgotten.
    pub(super) fn leave_lanes(&mut self) {
        self.in_rows = false;
        self.forget(Place::Block);
    }

    /// Forgets what is known from `place` inwards.
    fn forget(&mut self, place: Place) {
        let places = &self.places;
        self.known.retain(|_, value| places[value.0 as usize] < place);
        self.wide_results.retain(|_, result| places[result.low.0 as usize] < place);
        self.wide_floats.retain(|_, float| places[float.0 as usize] < place);
    }

    /// Whether what rows ask for of a whole word is known to the whole word, and may be used after its rows.
    pub(super) fn has_whole_words(&self) -> bool {
        self.hoisting == Hoisting::Loop
    }

    pub(super) fn lane(&self) -> u32 {
        self.lane
    }

    // Pure computations.

    pub(super) fn constant(&mut self, value: i64) -> Value {
        self.pure(Pure::Constant(value))
    }

    pub(super) fn binary(&mut self, op: AluOp, left: Value, right: impl Into<Source>) -> Value {
        self.pure(Pure::Binary(op, Width::W64, left, right.into()))
    }

    /// On the low 32 bits; the result's upper half is zero.
    pub(super) fn binary32(&mut self, op: AluOp, left: Value, right: impl Into<Source>) -> Value {
        self.pure(Pure::Binary(op, Width::W32, left, right.into()))
    }

    /// `value op constant`, whatever the constant's size.
    pub(super) fn with_constant(&mut self, op: AluOp, value: Value, constant: i64) -> Value {
        match i32::try_from(constant) {
            Ok(imm) => self.binary(op, value, imm),
            Err(_) => {
                let constant = self.constant(constant);
                self.binary(op, value, constant)
            }
        }
    }

    pub(super) fn negate(&mut self, value: Value) -> Value {
        self.pure(Pure::Negate(value))
    }

    pub(super) fn sign_extend(&mut self, value: Value, bits: u8) -> Value {
        self.pure(Pure::SignExtend(value, bits))
    }

    /// Memory that nothing writes while the function runs.
    pub(super) fn load(&mut self, size: Size, signed: bool, base: Value, offset: i16) -> Value {
        self.pure(Pure::Load(size, signed && size != Size::D, base, offset))
    }

    /// The same, of one row's element: as late as the row itself, however early its address is known, so that it does not wait in a register.
    pub(super) fn load_element(
        &mut self,
        size: Size,
        signed: bool,
        (base, offset): (Value, i16),
        note: impl FnOnce() -> String,
    ) -> Value {
        self.pure_from(Place::Row, Pure::Load(size, signed && size != Size::D, base, offset), note)
    }

    /// A helper that is a function of its arguments.
    pub(super) fn call(&mut self, helper: u32, arguments: &[Value]) -> Value {
        self.pure(Pure::Call(helper, arguments.iter().map(|value| Source::Value(*value)).collect()))
    }

    /// A helper's arithmetic on two 128-bit integers: operands and result pass through temporaries.
    pub(super) fn wide_call(&mut self, helper: u32, operands: [Value; 4]) -> WideResult {
        if let Some(result) = self.wide_results.get(&(helper, operands)) {
            return *result;
        }
        let place = self.store_temporaries(&operands);
        let [low, high, wrapped] = [(); 3].map(|()| self.fresh(place));
        let arguments = vec![Argument::Frame(-48), Argument::Frame(-32), Argument::Frame(-16)];
        self.push(place, Op::Call { helper, arguments, dst: Some(wrapped) });
        self.push(place, Op::FrameLoad { dst: low, offset: -48 });
        self.push(place, Op::FrameLoad { dst: high, offset: -40 });
        let result = WideResult { low, high, wrapped };
        self.wide_results.insert((helper, operands), result);
        result
    }

    /// The binary64 that a helper makes of a 128-bit integer.
    pub(super) fn wide_float(&mut self, helper: u32, operand: [Value; 2]) -> Value {
        if let Some(float) = self.wide_floats.get(&operand) {
            return *float;
        }
        let place = self.store_temporaries(&operand);
        let float = self.fresh(place);
        self.push(place, Op::Call { helper, arguments: vec![Argument::Frame(-32)], dst: Some(float) });
        self.wide_floats.insert(operand, float);
        float
    }

    /// Stores a helper's operands from 32 bytes below the frame's end; where that is done.
    fn store_temporaries(&mut self, operands: &[Value]) -> Place {
        self.temporary_len = WIDE_TEMPORARIES;
        let place = operands.iter().map(|operand| self.place(*operand)).max().unwrap_or(Place::Batch);
        for (index, operand) in (0..).zip(operands) {
            self.push(place, Op::FrameStore { offset: -32 + 8 * index, src: *operand });
        }
        place
    }

    /// Memory that the function itself writes.
    pub(super) fn load_now(&mut self, place: Place, size: Size, base: Value, offset: i16) -> Value {
        let dst = self.fresh(place);
        self.push(place, Op::Load { size, signed: false, dst, base, offset });
        dst
    }

    // What the context names.

    /// A 32-bit field of the context.
    pub(super) fn field(&mut self, offset: i16) -> Value {
        self.load(Size::W, false, self.context, offset)
    }

    /// Low (`half` 0) or high (1) 64 bits of a parameter slot.
    pub(super) fn parameter(&mut self, slot: u32, half: i64) -> Value {
        let parameters = self.field(PARAMETERS);
        let (base, offset) = self.element(parameters, i64::from(slot) * 16 + half * 8);
        self.pure_from(Place::Batch, Pure::Load(Size::D, false, base, offset), || format!("parameter {slot}"))
    }

    /// Address of an element of a column's values in this row, as base and offset.
    pub(super) fn column_element(&mut self, column: u32, width: u32) -> (Value, i16) {
        let columns = self.field(COLUMNS);
        let (base, offset) = self.element(columns, i64::from(column) * i64::from(COLUMN_LEN));
        let values = self.load(Size::W, false, base, offset);
        self.row_element(values, width)
    }

    /// The 64 bits of a column's validity bitmap for this word.
    pub(super) fn column_validity(&mut self, column: u32) -> Value {
        self.column_word(column, i64::from(COLUMN_VALIDITY))
    }

    /// The 64 bits of a boolean column for this word.
    pub(super) fn column_bits(&mut self, column: u32) -> Value {
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
    pub(super) fn scratch_bits(&mut self, index: u32) -> Value {
        let scratch = self.field(SCRATCH);
        self.bitmap_word(scratch, i64::from(index) * i64::from(BITMAP_LEN))
    }

    /// Address of this row's element in an array of `width` bytes each.
    pub(super) fn row_element(&mut self, array: Value, width: u32) -> (Value, i16) {
        let bytes = match width {
            1 => self.row,
            width => self.binary(AluOp::Lsh, self.row, width.trailing_zeros() as i32),
        };
        (self.binary(AluOp::Add, bytes, array), (self.lane * width) as i16)
    }

    /// Address of this word in a bitmap.
    pub(super) fn bitmap_element(&mut self, bitmap: Value) -> Value {
        let bytes = self.binary(AluOp::Rsh, self.word_row, 3);
        self.binary(AluOp::Add, bytes, bitmap)
    }

    /// This word of a bitmap that lies `offset` bytes from `bitmap`.
    pub(super) fn bitmap_word(&mut self, bitmap: Value, offset: i64) -> Value {
        let address = self.bitmap_element(bitmap);
        let (base, offset) = self.element(address, offset);
        self.load(Size::D, false, base, offset)
    }

    /// Base and offset of what is `bytes` from `base`, near enough for a load.
    pub(super) fn element(&mut self, base: Value, bytes: i64) -> (Value, i16) {
        match i16::try_from(bytes) {
            Ok(offset) => (base, offset),
            Err(_) => (self.with_constant(AluOp::Add, base, bytes), 0),
        }
    }

    /// This row's bit of a word, 0 or 1.
    pub(super) fn bit(&mut self, word: Value) -> Value {
        let block = self.binary(AluOp::Rsh, word, self.row);
        let bit = match self.lane {
            0 => block,
            lane => self.binary_in_row(AluOp::Rsh, block, lane as i32),
        };
        self.binary_in_row(AluOp::And, bit, 1)
    }

    /// This row's bit of a word in every bit: 0 or -1.
    pub(super) fn bit_mask(&mut self, word: Value) -> Value {
        let block = self.binary(AluOp::Rsh, word, self.row);
        let top = self.binary_in_row(AluOp::Lsh, block, 63 - self.lane as i32);
        self.binary(AluOp::Arsh, top, 63)
    }

    // The loop.

    /// First row of the word that is being worked on.
    pub(super) fn word_row(&self) -> Value {
        self.word_row
    }

    /// First row of the block that is being worked on.
    pub(super) fn block_row(&self) -> Value {
        self.row
    }

    /// Ends the loop over words `[first / 64, ceil(end / 64))`. `word_skip` and `block_skip` are bound where skipped words and blocks go on.
    pub(super) fn close_loop(&mut self, first: Option<Value>, end: Value, word_skip: Mark, block_skip: Mark) {
        let (done, words, blocks) = (self.mark(), self.mark(), self.mark());
        let [batch, word, block, rows, word_end, batch_end] = std::mem::take(&mut self.sections);
        self.row_len = self.row_len.max(rows.len());
        let code = &mut self.before;
        code.extend(batch);
        match first {
            Some(first) => {
                code.push(Op::Binary { op: AluOp::And, width: Width::W64, dst: self.word_row, left: first, right: (-64).into() })
            }
            None => code.push(Op::Move { dst: self.word_row, src: 0.into() }),
        }
        code.push(Op::Branch { op: JumpOp::Ge, left: self.word_row, right: end.into(), target: done });
        code.push(Op::Bind(words));
        code.extend(word);
        if !rows.is_empty() {
            let block_end = Value(self.places.len() as u32);
            self.places.push(Place::Word);
            code.push(Op::Binary { op: AluOp::Add, width: Width::W64, dst: block_end, left: self.word_row, right: 64.into() });
            code.push(Op::Move { dst: self.row, src: self.word_row.into() });
            code.push(Op::Bind(blocks));
            code.extend(block);
            code.extend(rows);
            code.push(Op::Bind(block_skip));
            code.push(update(AluOp::Add, self.row, self.unroll as i32));
            code.push(Op::Branch { op: JumpOp::Ne, left: self.row, right: block_end.into(), target: blocks });
        }
        code.extend(word_end);
        code.push(Op::Bind(word_skip));
        code.push(update(AluOp::Add, self.word_row, 64));
        code.push(Op::Branch { op: JumpOp::Lt, left: self.word_row, right: end.into(), target: words });
        code.push(Op::Bind(done));
        code.extend(batch_end);
        self.known.clear();
        self.wide_results.clear();
        self.wide_floats.clear();
        self.lane = 0;
    }

    /// Whether the loop has anything to do for single rows.
    pub(super) fn has_rows(&self) -> bool {
        !self.sections[Place::Row as usize].is_empty()
    }

    /// How many instructions a block of the longest loop has.
    pub(super) fn row_len(&self) -> usize {
        self.row_len
    }

    /// The whole function.
    pub(super) fn finish(mut self) -> Vec<Op> {
        self.before.extend(self.sections.into_iter().flatten());
        without_unused(self.before, self.places.len())
    }

    /// Whether `a` is known in an outer place than `b`.
    pub(super) fn is_known_before(&self, a: Value, b: Value) -> bool {
        self.place(a) < self.place(b)
    }

    fn place(&self, value: Value) -> Place {
        self.places[value.0 as usize]
    }

    fn binary_in_row(&mut self, op: AluOp, left: Value, right: i32) -> Value {
        self.pure_from(Place::Row, Pure::Binary(op, Width::W64, left, right.into()), String::new)
    }

    fn pure(&mut self, pure: Pure) -> Value {
        self.pure_from(Place::Batch, pure, String::new)
    }

    /// A pure computation that stands in `earliest`, or where its operands are known if that is later; with a remark, unless it is empty.
    fn pure_from(&mut self, earliest: Place, pure: Pure, note: impl FnOnce() -> String) -> Value {
        if let Some(value) = self.known.get(&pure) {
            return *value;
        }
        let place = match self.pure_place(&pure).max(earliest) {
            Place::Batch | Place::Word if self.in_rows && self.hoisting == Hoisting::Nothing => Place::Row,
            place => place,
        };
        let note = note();
        if !note.is_empty() {
            self.push(place, Op::Note(note));
        }
        let dst = self.fresh(place);
        let op = match pure.clone() {
            Pure::Constant(value) => Op::Constant { dst, value },
            Pure::Binary(op, width, left, right) => Op::Binary { op, width, dst, left, right },
            Pure::Negate(src) => Op::Negate { dst, src },
            Pure::SignExtend(src, bits) => Op::SignExtend { dst, src, bits },
            Pure::Load(size, signed, base, offset) => Op::Load { size, signed, dst, base, offset },
            Pure::Call(helper, arguments) => {
                Op::Call { helper, arguments: arguments.into_iter().map(Argument::Source).collect(), dst: Some(dst) }
            }
        };
        self.push(place, op);
        self.known.insert(pure, dst);
        dst
    }

    fn pure_place(&self, pure: &Pure) -> Place {
        let of = |source: &Source| match source {
            Source::Value(value) => self.place(*value),
            Source::Imm(_) => Place::Batch,
        };
        match pure {
            Pure::Constant(_) => Place::Batch,
            Pure::Binary(_, _, left, right) => self.place(*left).max(of(right)),
            Pure::Negate(value) | Pure::SignExtend(value, _) | Pure::Load(_, _, value, _) => self.place(*value),
            Pure::Call(_, arguments) => arguments.iter().map(of).max().unwrap_or(Place::Batch),
        }
    }
}

/// The code without computations that nothing uses.
fn without_unused(mut code: Vec<Op>, value_count: usize) -> Vec<Op> {
    let mut uses = vec![0u32; value_count];
    code.iter().for_each(|op| op.visit_used(|value| uses[value.0 as usize] += 1));
    let mut kept = Vec::with_capacity(code.len());
    // Backwards, so that what only an unused computation uses goes too.
    while let Some(op) = code.pop() {
        let unused = op.is_pure() && op.defined().is_some_and(|value| uses[value.0 as usize] == 0);
        if unused {
            op.visit_used(|value| uses[value.0 as usize] -= 1);
            code.pop_if(|op| matches!(op, Op::Note(_)));
        } else {
            kept.push(op);
        }
    }
    kept.reverse();
    kept
}

/// `value = value op right`.
pub(super) fn update(op: AluOp, value: Value, right: impl Into<Source>) -> Op {
    Op::Binary { op, width: Width::W64, dst: value, left: value, right: right.into() }
}
