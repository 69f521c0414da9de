//! What the functions of all entry points have in common: helper calls before the loop, skipping, faults, bitmaps written, the size they may have.

use nearside_programs::Builder;
use nearside_programs::abi::columnar::{BITMAP_LEN, RESULT, SCRATCH, SELECTION};
use nearside_programs::isa::{AluOp, JumpOp, Size};

use super::allocate::{Homes, allocate};
use super::bits::Bits;
use super::emit::Emitter;
use super::machine::{Argument, Mark, Op, Source, Value};
use super::resolve::BitmapCall;
use super::rows::{Hoisting, Place, Rows};
use super::write::write;
use crate::fragment::Column;
use crate::refusal::Refusal;

/// Most instructions of a function before registers are chosen.
const INSTRUCTIONS_MAX: usize = 8192;

/// Most instructions of the inner loop's body, where more than one row is worth writing.
const BODY_MAX: usize = 256;

/// Most rows written one after the other.
const UNROLL_MAX: u32 = 8;

/// A function being written.
pub(super) struct Body<'a> {
    pub(super) emitter: Emitter<'a>,
    word_skip: Mark,
    block_skip: Mark,
    /// Becomes non-zero once a selected row failed.
    fault: Option<Value>,
}

/// Everything that decides what a function is, beside what its rows compute.
#[derive(Clone, Copy)]
pub(super) struct Signature<'a> {
    pub(super) columns: &'a [Column],
    pub(super) narrow: bool,
    pub(super) bitmaps: &'a [BitmapCall],
    /// Whether each helper takes rows out of the result, of a conjunct that is comparisons joined by `AND`; else it writes a bitmap of its own.
    pub(super) is_in_place: bool,
}

/// Appends the function `name`, made by `lower`: once to see how long a row is, and again with as many rows in the inner loop as that allows.
/// What needs too much stack is tried once more with nothing hoisted.
pub(super) fn append(
    builder: &mut Builder,
    name: &str,
    note: &str,
    signature: Signature<'_>,
    lower: impl Fn(&mut Body<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let once = Body::lowered(signature, Rows::new(1, Hoisting::Loop), &lower)?;
    let unroll = unroll_for(once.row_len);
    let many = if unroll == 1 { once } else { Body::lowered(signature, Rows::new(unroll, Hoisting::Loop), &lower)? };
    let (code, homes) = many.allocated().or_else(|refusal| match refusal {
        Refusal::TooComplex { .. } => Body::lowered(signature, Rows::new(1, Hoisting::Nothing), &lower)?.allocated(),
        refusal => Err(refusal),
    })?;
    builder.note(note);
    write(builder, name, &code, homes);
    Ok(())
}

/// A function whose values have no homes yet.
struct Lowered {
    code: Vec<Op>,
    value_count: usize,
    temporary_len: usize,
    row_len: usize,
}

impl Lowered {
    fn allocated(self) -> Result<(Vec<Op>, Homes), Refusal> {
        let homes = allocate(&self.code, self.value_count, self.temporary_len)?;
        Ok((self.code, homes))
    }
}

fn unroll_for(row_len: usize) -> u32 {
    let fits = |unroll: &u32| row_len * *unroll as usize <= BODY_MAX;
    [UNROLL_MAX, 4, 2].into_iter().find(fits).unwrap_or(1)
}

impl<'a> Body<'a> {
    fn lowered(
        signature: Signature<'a>,
        rows: Rows,
        lower: impl Fn(&mut Body<'_>) -> Result<(), Refusal>,
    ) -> Result<Lowered, Refusal> {
        let mut emitter = Emitter::new(signature.columns, signature.narrow, rows);
        let (word_skip, block_skip) = (emitter.rows.mark(), emitter.rows.mark());
        let mut body = Body { emitter, word_skip, block_skip, fault: None };
        body.call_helpers(signature);
        lower(&mut body)?;
        let rows = body.emitter.rows;
        let (value_count, temporary_len, row_len) = (rows.value_count(), rows.temporary_len(), rows.row_len());
        Ok(Lowered { code: rows.finish(), value_count, temporary_len, row_len })
    }

    fn call_helpers(&mut self, signature: Signature<'_>) {
        for (index, call) in (0..).zip(signature.bitmaps) {
            let bitmap = if signature.is_in_place { self.emitter.rows.field(RESULT) } else { self.scratch_bitmap(index) };
            let fixed = call.arguments.iter().map(|argument| Argument::Source(Source::Imm(*argument)));
            let arguments = fixed.chain([Argument::Source(bitmap.into())]).collect();
            self.emitter.rows.push(Place::Batch, Op::Call { helper: call.helper, arguments, dst: None });
        }
    }

    /// Address of a scratch bitmap.
    pub(super) fn scratch_bitmap(&mut self, index: u32) -> Value {
        let rows = &mut self.emitter.rows;
        let scratch = rows.field(SCRATCH);
        if index == 0 { scratch } else { rows.with_constant(AluOp::Add, scratch, i64::from(index) * i64::from(BITMAP_LEN)) }
    }

    /// The program gives up, at the end, if `failed` is not zero.
    pub(super) fn note_failure(&mut self, failed: Value) {
        let fault = self.fault();
        self.emitter.rows.update(Place::Batch, AluOp::Or, fault, failed);
    }

    /// Where faults are gathered.
    fn fault(&mut self) -> Value {
        let rows = &mut self.emitter.rows;
        *self.fault.get_or_insert_with(|| {
            let fault = rows.fresh(Place::Row);
            rows.push(Place::Batch, Op::Move { dst: fault, src: 0.into() });
            fault
        })
    }

    /// This word of the selection.
    pub(super) fn selection(&mut self) -> Value {
        let selection = self.emitter.rows.field(SELECTION);
        self.emitter.rows.bitmap_word(selection, 0)
    }

    /// Goes on with the next word, or block, where nothing is selected.
    pub(super) fn skip_unselected(&mut self, selection: Value) {
        let rows = &mut self.emitter.rows;
        rows.push(Place::Word, Op::Branch { op: JumpOp::Eq, left: selection, right: 0.into(), target: self.word_skip });
        let block = rows.binary(AluOp::Rsh, selection, rows.block_row());
        let any = rows.binary(AluOp::And, block, (1 << rows.unroll()) - 1);
        rows.push(Place::Block, Op::Branch { op: JumpOp::Eq, left: any, right: 0.into(), target: self.block_skip });
    }

    /// Writes a row's code for each row of the block; faults count where `selected`.
    pub(super) fn for_each_row(&mut self, selected: Bits, mut row: impl FnMut(&mut Self)) -> Result<(), Refusal> {
        for lane in 0..self.emitter.rows.unroll() {
            self.emitter.enter_lane(lane);
            row(self);
            self.note_faults(selected);
            if let Some((given, limit)) = self.emitter.too_many_visits() {
                return Err(Refusal::TooComplex { what: "operations a row", given, limit });
            }
            let given = self.emitter.rows.len();
            if given > INSTRUCTIONS_MAX {
                return Err(Refusal::TooComplex { what: "instructions", given, limit: INSTRUCTIONS_MAX });
            }
            if !self.emitter.rows.has_rows() {
                // Words of 64 rows were enough.
                break;
            }
        }
        self.emitter.rows.leave_lanes();
        Ok(())
    }

    /// Ends the loop over words from that of row `first` to that of row `end - 1`.
    pub(super) fn close_loop(&mut self, first: Option<Value>, end: Value) {
        self.emitter.rows.close_loop(first, end, self.word_skip, self.block_skip);
        (self.word_skip, self.block_skip) = (self.emitter.rows.mark(), self.emitter.rows.mark());
    }

    /// Returns `end`, or that a selected row failed.
    pub(super) fn return_end(&mut self, end: Value) {
        let rows = &mut self.emitter.rows;
        if let Some(fault) = self.fault {
            let sound = rows.mark();
            rows.push(Place::BatchEnd, Op::Branch { op: JumpOp::Eq, left: fault, right: 0.into(), target: sound });
            rows.push(Place::BatchEnd, Op::Note("an operation failed: the host evaluates the fragment".into()));
            rows.push(Place::BatchEnd, Op::Return { src: (-1).into() });
            rows.push(Place::BatchEnd, Op::Bind(sound));
        }
        rows.push(Place::BatchEnd, Op::Return { src: end.into() });
    }

    fn note_faults(&mut self, selected: Bits) {
        let faults = std::mem::take(&mut self.emitter.faults);
        let rows = &mut self.emitter.rows;
        let Some(any) = faults.into_iter().reduce(|a, b| rows.binary(AluOp::Or, a, b)) else {
            return;
        };
        let bit = selected.bit(rows);
        let failed = rows.binary(AluOp::And, any, bit);
        let fault = self.fault();
        self.emitter.rows.update(Place::Row, AluOp::Or, fault, failed);
    }
}

/// A bitmap that is written a word at a time.
pub(super) struct BitmapWriter {
    /// Address of the word.
    address: Value,
    bits: Bits,
    /// The bits of the word's rows so far, and of the block's.
    gathered: Option<(Value, Value)>,
}

impl BitmapWriter {
    /// Writes to the bitmap at that address.
    pub(super) fn new(bitmap: Value, body: &mut Body<'_>) -> Self {
        Self { address: body.emitter.rows.bitmap_element(bitmap), bits: Bits::Never, gathered: None }
    }

    /// Takes a row's bit; to be called for every row of the block.
    pub(super) fn row(&mut self, bits: Bits, body: &mut Body<'_>) {
        let rows = &mut body.emitter.rows;
        self.bits = match bits {
            Bits::Where { word: Some(_), .. } if !rows.has_whole_words() => Bits::row(bits.bit(rows)),
            bits => bits,
        };
        let Bits::Where { row: Some(row), .. } = self.bits else {
            return;
        };
        let (word, block) = *self.gathered.get_or_insert_with(|| {
            let (word, block) = (rows.fresh(Place::WordEnd), rows.fresh(Place::Row));
            rows.push(Place::Word, Op::Move { dst: word, src: 0.into() });
            (word, block)
        });
        if rows.lane() == 0 {
            rows.push(Place::Row, Op::Move { dst: block, src: row.into() });
        } else {
            let shifted = rows.binary(AluOp::Lsh, row, rows.lane() as i32);
            rows.update(Place::Row, AluOp::Or, block, shifted);
        }
        if rows.lane() + 1 == rows.unroll() {
            rows.update(Place::Row, AluOp::Lsh, block, rows.block_row());
            rows.update(Place::Row, AluOp::Or, word, block);
        }
    }

    /// Writes the word, restricted to `selected`.
    pub(super) fn finish(self, selected: Bits, body: &mut Body<'_>) {
        let rows = &mut body.emitter.rows;
        let word = match self.bits {
            Bits::Never => Bits::Never,
            Bits::Where { word, .. } => Bits::Where { word, row: None },
        };
        let gathered = self.gathered.map_or(Bits::ALWAYS, |(word, _)| Bits::word(word));
        let src = match word.and(gathered, rows).and(selected, rows) {
            Bits::Never => Source::Imm(0),
            Bits::Where { word, .. } => word.map_or(Source::Imm(-1), Source::Value),
        };
        rows.push(Place::WordEnd, Op::Store { size: Size::D, base: self.address, offset: 0, src });
    }
}
