//! Aggregates: what is accumulated, each thing once, and the loop that does it.

mod accumulation;
mod whole;

use nearside_programs::ValueType;
use nearside_programs::abi::columnar::{ACCUMULATORS, FIRST_ROW, GROUP_IDS as GROUP_IDS_FIELD, ROW_COUNT};
use nearside_programs::abi::helper::{F64_ADD, GROUP_IDS};
use nearside_programs::isa::{AluOp, JumpOp, Size, Width};

use super::bits::{Bits, count_ones};
use super::function::Body;
use super::machine::{Argument, Op, Source, Value};
use super::node::Truth;
use super::order::{Class, compare, less};
use super::project::{Computed, lower_loop};
use super::rows::{Place, Rows};
use super::wide::{self, Wide};
use crate::fragment::{CompareOp, is_decimal, is_float};
use crate::refusal::Refusal;
use accumulation::width_of;
pub(super) use accumulation::{Accumulation, Counted, Extreme, NonNull};
pub(super) use whole::{Reduction, reductions};

/// Most 64-bit accumulators an ungrouped aggregate holds in registers or on the stack; more stay in memory.
const HELD_MAX: usize = 24;

/// Most accumulators whose addresses are kept over the loop.
const ADDRESSES_MAX: usize = 16;

/// What `main` of an aggregate does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Keys that are not plain columns.
    pub(super) keys: Vec<Computed>,
    pub(super) grouped: bool,
    pub(super) accumulations: Vec<Accumulation>,
    /// Helpers' calls that make all of them; `None`: byte code does.
    pub(super) reductions: Option<Vec<Reduction>>,
    /// Column and helper of each text state.
    pub(super) texts: Vec<(u32, u32)>,
}

/// Writes `main` of an aggregate.
pub(super) fn lower(body: &mut Body<'_>, plan: &Plan) -> Result<(), Refusal> {
    if !plan.keys.is_empty() {
        lower_loop(body, &plan.keys)?;
    }
    let end = end_of_rows(body, plan.grouped);
    for (state, (column, helper)) in (0i32..).zip(&plan.texts) {
        let arguments = [Source::Imm(state), Source::Imm(*column as i32), end.into()].map(Argument::Source).into();
        body.emitter.rows.push(Place::Batch, Op::Call { helper: *helper, arguments, dst: None });
    }
    if plan.accumulations.is_empty() {
        body.return_end(end);
        return Ok(());
    }
    if let Some(reductions) = &plan.reductions {
        whole::lower(body, reductions, end);
        body.return_end(end);
        return Ok(());
    }
    let first = body.emitter.rows.field(FIRST_ROW);
    let selection = selection_below(end, plan.grouped, body);
    body.skip_unselected(selection);
    let mut arrays = Arrays::new(plan, body);
    let selected = Bits::word(selection);
    body.for_each_row(selected, |body| {
        for (index, accumulation) in plan.accumulations.iter().enumerate() {
            arrays.accumulate(index, accumulation, selected, body);
        }
    })?;
    arrays.finish(plan, body);
    body.return_end(end);
    body.close_loop(Some(first), end);
    Ok(())
}

/// Groups the rows; where that ends.
fn end_of_rows(body: &mut Body<'_>, grouped: bool) -> Value {
    let rows = &mut body.emitter.rows;
    if !grouped {
        return rows.field(ROW_COUNT);
    }
    let end = rows.fresh(Place::Batch);
    rows.push(Place::Batch, Op::Call { helper: GROUP_IDS, arguments: Vec::new(), dst: Some(end) });
    end
}

/// This word of the selection, without rows at or beyond `end`.
fn selection_below(end: Value, grouped: bool, body: &mut Body<'_>) -> Value {
    let selection = body.selection();
    if !grouped {
        return selection;
    }
    let rows = &mut body.emitter.rows;
    let left = rows.binary(AluOp::Sub, end, rows.word_row());
    let (below, mask, whole) = (rows.fresh(Place::Word), rows.fresh(Place::Word), rows.mark());
    let binary = |op, dst, left, right: Source| Op::Binary { op, width: Width::W64, dst, left, right };
    rows.push(Place::Word, Op::Move { dst: below, src: selection.into() });
    rows.push(Place::Word, Op::Branch { op: JumpOp::Ge, left, right: 64.into(), target: whole });
    rows.push(Place::Word, Op::Move { dst: mask, src: (-1).into() });
    rows.push(Place::Word, binary(AluOp::Lsh, mask, mask, left.into()));
    rows.push(Place::Word, binary(AluOp::Xor, mask, mask, (-1).into()));
    rows.push(Place::Word, binary(AluOp::And, below, below, mask.into()));
    rows.push(Place::Word, Op::Bind(whole));
    below
}

/// Where an accumulator is while the loop runs.
enum Cell {
    /// Group 0's, in registers or on the stack; stored when the loop ends.
    Held(Vec<Value>),
    /// A batch's sum, added to group 0's when the loop ends.
    Local(Value),
    /// An element of its array for each row.
    Memory,
}

struct Arrays {
    cells: Vec<Cell>,
    grouped: bool,
}

impl Arrays {
    fn new(plan: &Plan, body: &mut Body<'_>) -> Self {
        let words: usize = plan.accumulations.iter().map(Accumulation::words).sum();
        let held = !plan.grouped && words <= HELD_MAX;
        let cell = |(index, accumulation): (usize, &Accumulation)| match accumulation {
            Accumulation::Sum { number, .. } if held && body.emitter.narrow && is_decimal(number.value_type) => {
                let sum = body.emitter.rows.fresh(Place::BatchEnd);
                body.emitter.rows.push(Place::Batch, Op::Move { dst: sum, src: 0.into() });
                Cell::Local(sum)
            }
            accumulation if held => Cell::Held(hold(index, accumulation, body)),
            _ => Cell::Memory,
        };
        Self { cells: plan.accumulations.iter().enumerate().map(cell).collect(), grouped: plan.grouped }
    }

    /// A row's code for one accumulator.
    fn accumulate(&mut self, index: usize, accumulation: &Accumulation, selected: Bits, body: &mut Body<'_>) {
        match accumulation {
            Accumulation::Count(counted) => self.count(index, counted, selected, body),
            Accumulation::Sum { number, filter } => {
                let term = body.emitter.number(number);
                let counted = counted_bits(filter.as_ref(), term.known, selected, body);
                let mask = counted.mask(&mut body.emitter.rows);
                self.sum(index, number.value_type, term.low, term.high, mask, body);
            }
            Accumulation::Extreme { which, number, filter } => {
                let term = body.emitter.key(number);
                let counted = counted_bits(filter.as_ref(), term.known, selected, body);
                if self.grouped && is_float(number.value_type) {
                    let special = orders_differently(number.value_type, term.low, &mut body.emitter.rows);
                    body.emitter.fault(special, counted);
                }
                let mask = counted.mask(&mut body.emitter.rows);
                if is_decimal(number.value_type) {
                    let value = term.extended(number.value_type, &mut body.emitter.rows);
                    self.extreme_wide(index, *which, value, mask, body);
                } else {
                    self.extreme(index, *which, Class::of(number.value_type), term.low, mask, body);
                }
            }
        }
    }

    fn count(&mut self, index: usize, counted: &Counted, selected: Bits, body: &mut Body<'_>) {
        let known = match &counted.known {
            NonNull::Columns(columns) => columns.iter().fold(Bits::ALWAYS, |all, column| {
                let known = body.emitter.column_known(*column);
                all.and(known, &mut body.emitter.rows)
            }),
            NonNull::Computed(truth) => body.emitter.is_true(truth),
        };
        let bits = counted_bits(counted.filter.as_ref(), known, selected, body);
        let rows = &mut body.emitter.rows;
        match (&self.cells[index], bits) {
            (_, Bits::Never) => {}
            (Cell::Held(values), Bits::Where { word: Some(word), row: None }) if rows.has_whole_words() => {
                // All rows of the word at once.
                if rows.lane() == 0 {
                    let count = count_ones(word, rows);
                    rows.update(Place::Word, AluOp::Add, values[0], count);
                }
            }
            (Cell::Held(values), bits) => {
                let bit = bits.bit(rows);
                rows.update(Place::Row, AluOp::Add, values[0], bit);
            }
            (_, bits) => {
                let bit = bits.bit(rows);
                let (old, at) = self.read(index, 0, 8, body);
                let new = body.emitter.rows.binary(AluOp::Add, old, bit);
                self.write(index, 0, at, new, body);
            }
        }
    }

    fn sum(&mut self, index: usize, value_type: ValueType, low: Value, high: Option<Value>, mask: Value, body: &mut Body<'_>) {
        let rows = &mut body.emitter.rows;
        if value_type == ValueType::Float64 {
            // Adding -0.0 changes nothing, not even a zero's sign.
            let nothing = rows.constant(i64::MIN);
            let value = wide::choose_word(nothing, low, mask, rows);
            let (old, at) = self.read(index, 0, 8, body);
            let new = body.emitter.rows.call(F64_ADD, &[old, value]);
            return self.write(index, 0, at, new, body);
        }
        let low = rows.binary(AluOp::And, low, mask);
        match &self.cells[index] {
            Cell::Local(sum) => return rows.update(Place::Row, AluOp::Add, *sum, low),
            Cell::Held(values) if values.len() == 1 => return rows.update(Place::Row, AluOp::Add, values[0], low),
            _ => {}
        }
        let width = width_of(value_type);
        let (old, at) = self.read(index, 0, width, body);
        if width == 8 {
            let new = body.emitter.rows.binary(AluOp::Add, old, low);
            return self.write(index, 0, at, new, body);
        }
        if let (None, Some(at)) = (high, at) {
            return add_in_memory(at, old, low, body);
        }
        let (old_high, at_high) = self.read(index, 1, width, body);
        let rows = &mut body.emitter.rows;
        let old = Wide { low: old, high: old_high };
        let new = match high {
            Some(high) => {
                let high = rows.binary(AluOp::And, high, mask);
                wide::add(old, Wide { low, high }, rows)
            }
            None => wide::add_signed(old, low, rows),
        };
        self.write(index, 0, at, new.low, body);
        self.write(index, 1, at_high, new.high, body);
    }

    fn extreme(&mut self, index: usize, which: Extreme, class: Class, value: Value, mask: Value, body: &mut Body<'_>) {
        let (old, at) = self.read(index, 0, 8, body);
        let rows = &mut body.emitter.rows;
        let better = match which {
            Extreme::Min => less(class, value, old, rows),
            Extreme::Max => less(class, old, value, rows),
        };
        let better = rows.negate(better);
        let taken = rows.binary(AluOp::And, better, mask);
        let new = wide::choose_word(old, value, taken, rows);
        self.write(index, 0, at, new, body);
    }

    fn extreme_wide(&mut self, index: usize, which: Extreme, value: Wide, mask: Value, body: &mut Body<'_>) {
        let (low, at) = self.read(index, 0, 16, body);
        let (high, at_high) = self.read(index, 1, 16, body);
        let rows = &mut body.emitter.rows;
        let old = Wide { low, high };
        let better = match which {
            Extreme::Min => wide::less(value, old, rows),
            Extreme::Max => wide::less(old, value, rows),
        };
        let better = rows.negate(better);
        let taken = rows.binary(AluOp::And, better, mask);
        let new = wide::choose(old, value, taken, rows);
        self.write(index, 0, at, new.low, body);
        self.write(index, 1, at_high, new.high, body);
    }

    /// What half `half` of the row's accumulator holds, and where it is in memory.
    fn read(&self, index: usize, half: usize, width: u32, body: &mut Body<'_>) -> (Value, Option<(Value, i16)>) {
        if let Cell::Held(values) = &self.cells[index] {
            return (values[half], None);
        }
        let keep = self.cells.len() <= ADDRESSES_MAX;
        let array = array_address(index, keep, body);
        let rows = &mut body.emitter.rows;
        let base = if self.grouped {
            let ids = rows.field(GROUP_IDS_FIELD);
            let element = rows.row_element(ids, 4);
            let id = rows.load_element(Size::W, false, element, String::new);
            let bytes = rows.binary(AluOp::Lsh, id, width.trailing_zeros() as i32);
            rows.binary(AluOp::Add, bytes, array)
        } else {
            array
        };
        let offset = 8 * half as i16;
        (rows.load_now(Place::Row, Size::D, base, offset), Some((base, offset)))
    }

    fn write(&self, index: usize, half: usize, at: Option<(Value, i16)>, value: Value, body: &mut Body<'_>) {
        let rows = &mut body.emitter.rows;
        match (&self.cells[index], at) {
            (Cell::Held(values), _) => rows.push(Place::Row, Op::Move { dst: values[half], src: value.into() }),
            (_, Some((base, offset))) => rows.push(Place::Row, Op::Store { size: Size::D, base, offset, src: value.into() }),
            (_, None) => {}
        }
    }

    /// Stores what was held.
    fn finish(self, plan: &Plan, body: &mut Body<'_>) {
        for (index, (cell, accumulation)) in self.cells.iter().zip(&plan.accumulations).enumerate() {
            let values = match cell {
                Cell::Memory => continue,
                Cell::Held(values) => values.clone(),
                Cell::Local(sum) => {
                    let array = array_address(index, true, body);
                    let rows = &mut body.emitter.rows;
                    let [low, high] = [0, 8].map(|offset| rows.load_now(Place::BatchEnd, Size::D, array, offset));
                    let total = wide::add_signed(Wide { low, high }, *sum, rows);
                    vec![total.low, total.high]
                }
            };
            debug_assert_eq!(values.len(), accumulation.words());
            let base = array_address(index, true, body);
            for (offset, value) in (0i16..).step_by(8).zip(values) {
                body.emitter.rows.push(Place::BatchEnd, Op::Store { size: Size::D, base, offset, src: value.into() });
            }
        }
    }
}

/// 1 where a float with this total-order key may come out differently by group in DataFusion (see [`Aggregate`](crate::fragment::Aggregate)): NaNs,
/// infinities, and `-0.0`, which there is equal to `+0.0`.
fn orders_differently(value_type: ValueType, key: Value, rows: &mut Rows) -> Value {
    // By how much the exponent is shifted to the top, and to the bottom from there. A negative number's key has its exponent inverted.
    let (to_top, to_bottom, bits) = if value_type == ValueType::Float32 { (33, 56, 8) } else { (1, 53, 11) };
    let sign = rows.binary(AluOp::Arsh, key, 63);
    let magnitude = rows.binary(AluOp::Xor, key, sign);
    let top = rows.binary(AluOp::Lsh, magnitude, to_top);
    let exponent = rows.binary(AluOp::Rsh, top, to_bottom);
    let above = rows.binary(AluOp::Add, exponent, 1);
    let not_finite = rows.binary(AluOp::Rsh, above, bits);
    let negative_zero = rows.constant(-1);
    let is_negative_zero = compare(CompareOp::Eq, Class::Signed, key, negative_zero, rows);
    rows.binary(AluOp::Or, not_finite, is_negative_zero)
}

/// Adds a 64-bit value to 128 bits in memory, whose low half is `old`.
///
/// With a branch, against the rule: the low half's top bit hardly ever changes, so the processor foresees it, and most of what
/// [`wide::add_signed`] does is spared. TPC-H Q1's `main` takes half as long again without it.
fn add_in_memory((base, offset): (Value, i16), old: Value, value: Value, body: &mut Body<'_>) {
    let rows = &mut body.emitter.rows;
    let new = rows.binary(AluOp::Add, old, value);
    rows.push(Place::Row, Op::Store { size: Size::D, base, offset, src: new.into() });
    let changed = rows.binary(AluOp::Xor, old, new);
    let same = rows.mark();
    rows.push(Place::Row, Op::Branch { op: JumpOp::SGe, left: changed, right: 0.into(), target: same });
    let [opposed, step] = [(); 2].map(|()| rows.fresh(Place::Row));
    let binary = |op, dst, left, right: Source| Op::Binary { op, width: Width::W64, dst, left, right };
    rows.push(Place::Row, binary(AluOp::Xor, opposed, old, value.into()));
    rows.push(Place::Row, binary(AluOp::Arsh, opposed, opposed, 63.into()));
    rows.push(Place::Row, binary(AluOp::Arsh, step, value, 63.into()));
    rows.push(Place::Row, binary(AluOp::Or, step, step, 1.into()));
    rows.push(Place::Row, binary(AluOp::And, step, step, opposed.into()));
    let high = rows.load_now(Place::Row, Size::D, base, offset + 8);
    rows.update(Place::Row, AluOp::Add, high, step);
    rows.push(Place::Row, Op::Store { size: Size::D, base, offset: offset + 8, src: high.into() });
    rows.push(Place::Row, Op::Bind(same));
}

/// Loads group 0's accumulator before the loop.
fn hold(index: usize, accumulation: &Accumulation, body: &mut Body<'_>) -> Vec<Value> {
    let base = array_address(index, true, body);
    let rows = &mut body.emitter.rows;
    let load = |word: usize| {
        let dst = rows.fresh(Place::Row);
        rows.push(Place::Batch, Op::Load { size: Size::D, signed: false, dst, base, offset: 8 * word as i16 });
        dst
    };
    (0..accumulation.words()).map(load).collect()
}

/// Address of an accumulator's array; `keep` it over the loop, or load it where it is used.
fn array_address(index: usize, keep: bool, body: &mut Body<'_>) -> Value {
    let rows = &mut body.emitter.rows;
    let arrays = rows.field(ACCUMULATORS);
    let (base, offset) = rows.element(arrays, 4 * index as i64);
    if keep { rows.load(Size::W, false, base, offset) } else { rows.load_now(Place::Row, Size::W, base, offset) }
}

/// The selected rows that pass the aggregate's filter and whose argument is not NULL.
fn counted_bits(filter: Option<&Truth>, known: Bits, selected: Bits, body: &mut Body<'_>) -> Bits {
    let bits = selected.and(known, &mut body.emitter.rows);
    match filter {
        None => bits,
        Some(filter) => {
            let passes = body.emitter.is_true(filter);
            bits.and(passes, &mut body.emitter.rows)
        }
    }
}
