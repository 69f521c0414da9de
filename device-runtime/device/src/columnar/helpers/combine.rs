//! Bitmaps by address: combined, negated, counted.

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::abi::columnar::BITMAP_LEN;

use super::super::vector::{self, Word};
use super::BatchHelpers;

/// Words of a bitmap.
const WORDS: usize = BITMAP_LEN as usize / 8;

/// A whole bitmap.
pub(super) type Bitmap = [Word; WORDS];

/// See [`nearside_programs::abi::helper::BITMAP_COMBINE`].
pub(super) fn bitmap_combine(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let [op, left, right, bitmap, _] = arguments;
    call.charge_words(3, fuel)?;
    let mut words = *at(left, memory)?;
    let others = at(right, memory)?;
    match op {
        0 => combine(&mut words, others, |left, right| left & right),
        1 => combine(&mut words, others, |left, right| left | right),
        2 => combine(&mut words, others, |left, right| left & !right),
        value => return Err(HelperFault::Argument { index: 1, value }),
    }
    write(call, words, bitmap, memory)
}

/// One loop for each operation, without a call inside.
#[inline(always)]
fn combine(words: &mut [Word], others: &[Word], op: impl Fn(u64, u64) -> u64) {
    for (word, other) in words.iter_mut().zip(others) {
        *word = op(u64::from_le_bytes(*word), u64::from_le_bytes(*other)).to_le_bytes();
    }
}

/// See [`nearside_programs::abi::helper::BITMAP_NEGATE`].
pub(super) fn bitmap_negate(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    call.charge_words(2, fuel)?;
    let mut words = *at(arguments[0], memory)?;
    vector::negate(&mut words[..call.words()], call.batch.rows);
    write(call, words, arguments[1], memory)
}

/// See [`nearside_programs::abi::helper::BITMAP_COUNT`].
pub(super) fn bitmap_count(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    call.charge_words(1, fuel)?;
    let mut words = *at(arguments[0], memory)?;
    cut(&mut words, call.batch.rows);
    Ok(vector::count(&words))
}

/// The bitmap at an address, whatever it has beyond the batch's rows: who changes it copies it, once.
pub(super) fn at<'m>(address: u64, memory: &'m Memory<'_>) -> Result<&'m Bitmap, HelperFault> {
    memory.read(address, BITMAP_LEN as usize)?.as_chunks().0.as_array().ok_or(HelperFault::Missing)
}

/// The words of a bitmap to write, once that holds the rows to look at; often it is those.
pub(super) fn selected_rows<'m>(
    call: &BatchHelpers<'_>,
    bitmap: u64,
    memory: &'m mut Memory<'_>,
) -> Result<&'m mut [Word], HelperFault> {
    let len = BITMAP_LEN as usize;
    let bytes = if bitmap as u32 == call.selection {
        memory.write(bitmap, len)?
    } else {
        let (selected, target) = memory.read_and_write(call.selection.into(), bitmap, len)?;
        target.copy_from_slice(selected);
        target
    };
    let words = bytes.as_chunks_mut().0;
    cut(words, call.batch.rows);
    Ok(&mut words[..call.words()])
}

/// Clears the rows that are not set in other words.
pub(super) fn keep(words: &mut [Word], others: impl Iterator<Item = u64>) {
    words.iter_mut().zip(others).for_each(|(word, other)| *word = (u64::from_le_bytes(*word) & other).to_le_bytes());
}

/// Clears what a bitmap has beyond the rows.
pub(super) fn cut(words: &mut [Word], rows: usize) {
    if let (Some(word), used @ 1..) = (words.get_mut(rows / 64), rows % 64) {
        *word = (u64::from_le_bytes(*word) & ((1 << used) - 1)).to_le_bytes();
    }
    words.iter_mut().skip(rows.div_ceil(64)).for_each(|word| *word = [0; 8]);
}

fn write(call: &BatchHelpers<'_>, mut words: Bitmap, address: u64, memory: &mut Memory<'_>) -> Result<u64, HelperFault> {
    cut(&mut words, call.batch.rows);
    memory.write(address, BITMAP_LEN as usize)?.copy_from_slice(words.as_flattened());
    Ok(0)
}
