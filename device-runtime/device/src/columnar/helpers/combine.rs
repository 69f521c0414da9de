//! Bitmaps by address: combined, negated, counted.

use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::abi::columnar::BITMAP_LEN;

use super::super::vector::{self, Word};
use super::BatchHelpers;

/// See [`nearside_programs::abi::helper::BITMAP_COMBINE`].
pub(super) fn bitmap_combine(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let [op, left, right, bitmap, _] = arguments;
    let combine: fn(u64, u64) -> u64 = match op {
        0 => |left, right| left & right,
        1 => |left, right| left | right,
        2 => |left, right| left & !right,
        value => return Err(HelperFault::Argument { index: 1, value }),
    };
    call.charge_words(3, fuel)?;
    let mut words = read(call, left, memory)?;
    let others = words_of(memory.read(right, BITMAP_LEN as usize)?);
    for (word, other) in words.iter_mut().zip(others) {
        *word = combine(u64::from_le_bytes(*word), u64::from_le_bytes(*other)).to_le_bytes();
    }
    write(call, words, bitmap, memory)
}

/// See [`nearside_programs::abi::helper::BITMAP_NEGATE`].
pub(super) fn bitmap_negate(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    call.charge_words(2, fuel)?;
    let mut words = read(call, arguments[0], memory)?;
    vector::negate(&mut words, call.batch.rows);
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
    Ok(vector::count(&read(call, arguments[0], memory)?))
}

/// The words of the batch's rows, zero beyond them, of the bitmap at an address.
pub(super) fn read(call: &BatchHelpers<'_>, address: u64, memory: &Memory<'_>) -> Result<Vec<Word>, HelperFault> {
    let mut words = words_of(memory.read(address, BITMAP_LEN as usize)?)[..call.words()].to_vec();
    cut(&mut words, call.batch.rows);
    Ok(words)
}

/// Clears what the last of the words has beyond the rows.
pub(super) fn cut(words: &mut [Word], rows: usize) {
    if let (Some(word), used @ 1..) = (words.last_mut(), rows % 64) {
        *word = (u64::from_le_bytes(*word) & ((1 << used) - 1)).to_le_bytes();
    }
}

fn write(call: &BatchHelpers<'_>, mut words: Vec<Word>, address: u64, memory: &mut Memory<'_>) -> Result<u64, HelperFault> {
    cut(&mut words, call.batch.rows);
    let (out, _) = memory.write(address, BITMAP_LEN as usize)?.as_chunks_mut();
    let (out, beyond) = out.split_at_mut(words.len());
    out.copy_from_slice(&words);
    beyond.fill([0; 8]);
    Ok(0)
}

fn words_of(bitmap: &[u8]) -> &[Word] {
    bitmap.as_chunks().0
}
