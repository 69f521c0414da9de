//! A conjunct of the filter: `result = selection AND conjunct`.

use nearside_programs::abi::columnar::{RESULT, ROW_COUNT};
use nearside_programs::abi::helper::BITMAP_COMBINE;
use nearside_programs::isa::Size;

use super::bits::Bits;
use super::function::{BitmapWriter, Body};
use super::machine::{Argument, Op, Source};
use super::node::Truth;
use super::rows::Place;
use super::vector::Joined;
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

/// The same of a conjunct that is helpers' bitmaps joined: no loop at all. They are of selected rows, and the first one is where the result belongs.
pub(super) fn lower_joined(body: &mut Body<'_>, joined: &Joined) {
    let [end, result] = [ROW_COUNT, RESULT].map(|field| body.emitter.rows.field(field));
    for scratch in &joined.scratch[1..] {
        let bitmap = body.scratch_bitmap(*scratch);
        let arguments = [Source::Imm(joined.op), result.into(), bitmap.into(), result.into()].map(Argument::Source).into();
        body.emitter.rows.push(Place::Batch, Op::Call { helper: BITMAP_COMBINE, arguments, dst: None });
    }
    body.return_end(end);
}
