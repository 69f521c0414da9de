//! A conjunct of the filter: it takes rows out of the result, which is its selection, too.

use nearside_programs::abi::columnar::{RESULT, ROW_COUNT};
use nearside_programs::abi::helper::BITMAP_COMBINE;

use super::bits::Bits;
use super::function::{BitmapWriter, Body};
use super::machine::{Argument, Op, Source};
use super::node::Truth;
use super::rows::Place;
use super::vector::Joined;
use crate::refusal::Refusal;

/// `op` of `bitmap_combine`.
const OR: i32 = 1;

/// Writes the function of one conjunct.
pub(super) fn lower(body: &mut Body<'_>, conjunct: &Truth) -> Result<(), Refusal> {
    let end = body.emitter.rows.field(ROW_COUNT);
    let selection = body.selection();
    let result = body.emitter.rows.field(RESULT);
    let mut writer = BitmapWriter::new(result, body);
    // A word that is skipped is zero, and stays so.
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

/// The same of a conjunct that is nothing but helpers' bitmaps joined: no loop at all. Where `OR` joins them, each is of selected rows, and so is the result.
pub(super) fn lower_joined(body: &mut Body<'_>, joined: Joined) {
    let [end, result] = [ROW_COUNT, RESULT].map(|field| body.emitter.rows.field(field));
    if let Joined::ByOr(count) = joined {
        let mut left = body.scratch_bitmap(0);
        for scratch in 1..count {
            let right = body.scratch_bitmap(scratch);
            let arguments = [Source::Imm(OR), left.into(), right.into(), result.into()].map(Argument::Source).into();
            body.emitter.rows.push(Place::Batch, Op::Call { helper: BITMAP_COMBINE, arguments, dst: None });
            left = result;
        }
    }
    body.return_end(end);
}
