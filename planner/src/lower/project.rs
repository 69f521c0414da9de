//! Computed columns: of a projection, or the computed keys of an aggregate.

use nearside_programs::ValueType;
use nearside_programs::abi::columnar::{COLUMN_LEN, COLUMN_VALIDITY, FIRST_ROW, OUTPUTS, ROW_COUNT};
use nearside_programs::isa::Size;

use super::bits::Bits;
use super::emit::layout;
use super::function::{BitmapWriter, Body};
use super::machine::{Op, Value};
use super::node::{Number, Truth};
use super::rows::{Place, Rows};
use crate::refusal::Refusal;

/// A computed column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Computed {
    pub(super) value: ComputedValue,
    pub(super) nullable: bool,
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ComputedValue {
    Number(Number),
    Truth(Truth),
}

/// Writes `main` of a projection.
pub(super) fn lower(body: &mut Body<'_>, outputs: &[Computed]) -> Result<(), Refusal> {
    let end = body.emitter.rows.field(ROW_COUNT);
    body_of_loop(body, outputs)?;
    let first = body.emitter.rows.field(FIRST_ROW);
    body.return_end(end);
    body.close_loop(Some(first), end);
    Ok(())
}

/// Writes the loop that computes columns, for `main` to go on after it.
pub(super) fn lower_loop(body: &mut Body<'_>, outputs: &[Computed]) -> Result<(), Refusal> {
    body_of_loop(body, outputs)?;
    let (first, end) = (body.emitter.rows.field(FIRST_ROW), body.emitter.rows.field(ROW_COUNT));
    body.close_loop(Some(first), end);
    Ok(())
}

fn body_of_loop(body: &mut Body<'_>, outputs: &[Computed]) -> Result<(), Refusal> {
    let selection = body.selection();
    body.skip_unselected(selection);
    let mut writers: Vec<_> = (0u32..).zip(outputs).map(|(index, output)| Writer::new(index, output, body)).collect();
    body.for_each_row(Bits::word(selection), |body| {
        for (writer, output) in writers.iter_mut().zip(outputs) {
            writer.row(output, body);
        }
    })?;
    for writer in writers {
        writer.finish(body);
    }
    Ok(())
}

/// Where a computed column goes.
struct Writer {
    index: u32,
    /// The values of a boolean column.
    truth: Option<BitmapWriter>,
    validity: Option<BitmapWriter>,
}

impl Writer {
    fn new(index: u32, output: &Computed, body: &mut Body<'_>) -> Self {
        let mut bitmap = |field: i16| {
            let bitmap = output_address(index, field, &mut body.emitter.rows);
            BitmapWriter::new(bitmap, body)
        };
        let truth = matches!(output.value, ComputedValue::Truth(_)).then(|| bitmap(0));
        let validity = output.nullable.then(|| bitmap(COLUMN_VALIDITY));
        Self { index, truth, validity }
    }

    fn row(&mut self, output: &Computed, body: &mut Body<'_>) {
        let known = match &output.value {
            ComputedValue::Number(number) => self.number(number, body),
            ComputedValue::Truth(truth) => {
                let bits = body.emitter.is_true(truth);
                if let Some(writer) = &mut self.truth {
                    writer.row(bits, body);
                }
                if output.nullable { body.emitter.is_known(truth) } else { Bits::ALWAYS }
            }
        };
        if let Some(writer) = &mut self.validity {
            writer.row(known, body);
        }
    }

    fn number(&mut self, number: &Number, body: &mut Body<'_>) -> Bits {
        let term = body.emitter.number(number);
        let rows = &mut body.emitter.rows;
        let values = output_address(self.index, 0, rows);
        if matches!(number.value_type, ValueType::Decimal128 { .. }) {
            let wide = term.extended(number.value_type, rows);
            let (base, offset) = rows.row_element(values, 16);
            rows.push(Place::Row, Op::Store { size: Size::D, base, offset, src: wide.low.into() });
            rows.push(Place::Row, Op::Store { size: Size::D, base, offset: offset + 8, src: wide.high.into() });
        } else {
            let (size, _) = layout(number.value_type);
            let (base, offset) = rows.row_element(values, size.bytes());
            rows.push(Place::Row, Op::Store { size, base, offset, src: term.low.into() });
        }
        term.known
    }

    fn finish(self, body: &mut Body<'_>) {
        for writer in [self.truth, self.validity].into_iter().flatten() {
            writer.finish(Bits::ALWAYS, body);
        }
    }
}

/// What a field of a computed column's element of the context's array names.
fn output_address(index: u32, field: i16, rows: &mut Rows) -> Value {
    let outputs = rows.field(OUTPUTS);
    let (base, offset) = rows.element(outputs, i64::from(index) * i64::from(COLUMN_LEN) + i64::from(field));
    rows.load(Size::W, false, base, offset)
}
