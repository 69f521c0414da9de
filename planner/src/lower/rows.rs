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

mod context;
mod temporaries;

use std::collections::HashMap;

use nearside_programs::isa::{AluOp, JumpOp, Size, Width};

use super::machine::{Argument, Mark, Op, Source, Value};
use temporaries::WideResult;

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

    /// Memory that the function itself writes.
    pub(super) fn load_now(&mut self, place: Place, size: Size, base: Value, offset: i16) -> Value {
        let dst = self.fresh(place);
        self.push(place, Op::Load { size, signed: false, dst, base, offset });
        dst
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
