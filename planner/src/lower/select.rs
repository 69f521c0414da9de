//! A conjunct of the filter: `result = selection AND conjunct`.

use nearside_programs::abi::columnar::{RESULT, ROW_COUNT};
use nearside_programs::isa::Size;

use super::bits::Bits;
use super::function::{BitmapWriter, Body};
use super::machine::Op;
use super::node::Truth;
use super::rows::Place;
use crate::refusal::Refusal;

/// Writes the function of one conjunct.
pub(super) fn lower(body: &mut Body<'_>, conjunct: &Truth) -> Result<(), Refusal> {
    let end = body.emitter.rows.field(ROW_COUNT);
    let selection = body.selection();
    let result = body.emitter.rows.field(RESULT);
    let mut writer = BitmapWriter::new(result, body);
    // For words that are skipped.
    body.emitter.rows.push(Place::Word, Op::Store { size: Size::D, base: writer.address(), offset: 0, src: selection.into() });
    body.skip_unselected(selection);
    body.for_each_row(Bits::word(selection), |body| {
        let bits = body.emitter.is_true(conjunct);
        writer.row(bits, body);
    })?;
    writer.finish(Bits::word(selection), body);
    body.return_end(end);
    body.close_loop(None, end);
    Ok(())
}
