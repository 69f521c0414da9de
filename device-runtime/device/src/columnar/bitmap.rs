//! Bitmaps of the cage: [`BITMAP_LEN`] bytes, least significant bit first, zero at and beyond the batch's row count.

use arrow::buffer::{BooleanBuffer, Buffer};
use nearside_programs::abi::columnar::BITMAP_LEN;

/// Writes `bits`, whatever their offset, and zeroes the rest of the bitmap.
pub(super) fn write(bits: &BooleanBuffer, out: &mut [u8]) {
    if bits.offset().is_multiple_of(8) {
        let len = bits.len().div_ceil(8);
        let (whole, rest) = out.split_at_mut(len);
        whole.copy_from_slice(&bits.values()[bits.offset() / 8..][..len]);
        cut(bits.len(), whole);
        return rest.fill(0);
    }
    let words = bits.bit_chunks();
    let mut slots = out.chunks_exact_mut(8);
    for (word, slot) in words.iter_padded().zip(&mut slots) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    for slot in slots {
        slot.fill(0);
    }
}

/// Writes ones for rows `[first, count)` and zeroes the rest.
pub(super) fn write_ones(first: usize, count: usize, out: &mut [u8]) {
    let (ones, rest) = out.split_at_mut(count.div_ceil(8));
    ones.fill(0xff);
    rest.fill(0);
    cut(count, ones);
    clear_below(first, out);
}

/// Zeroes the bits at and beyond `count` of the byte that has the last bit before it.
fn cut(count: usize, bytes: &mut [u8]) {
    if let (Some(last), used @ 1..) = (bytes.last_mut(), count % 8) {
        *last &= (1 << used) - 1;
    }
}

/// Zeroes the bits of rows `[0, first)`.
pub(super) fn clear_below(first: usize, bitmap: &mut [u8]) {
    for (index, slot) in bitmap.chunks_exact_mut(8).enumerate().take(first.div_ceil(64)) {
        for (byte, keep) in slot.iter_mut().zip((!below(first, index)).to_le_bytes()) {
            *byte &= keep;
        }
    }
}

/// The first `count` bits of a bitmap, copied.
pub(super) fn read(bitmap: &[u8], count: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from(&bitmap[..count.div_ceil(8)]), 0, count)
}

/// Calls `visit` with every row whose bit is set, ascending. `bitmap` is zero beyond the row count.
pub(super) fn for_each_row(bitmap: &[u8], mut visit: impl FnMut(u32)) {
    let (words, _) = bitmap.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mut word = u64::from_le_bytes(*word);
        while word != 0 {
            visit(index as u32 * 64 + word.trailing_zeros());
            word &= word - 1;
        }
    }
}

/// Word `index` of a bitmap of ones for rows `[0, count)`.
fn below(count: usize, index: usize) -> u64 {
    match count.saturating_sub(index * 64) {
        0 => 0,
        n if n >= 64 => u64::MAX,
        n => (1 << n) - 1,
    }
}

const _: () = assert!(BITMAP_LEN.is_multiple_of(8));

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = BITMAP_LEN as usize * 8;

    /// What goes in comes out, from any bit offset, and nothing but zeros follows.
    #[test]
    fn writes_from_any_offset() {
        let bits = BooleanBuffer::collect_bool(ROWS, |row| row % 3 == 0 || row % 7 == 1);
        for offset in [0, 1, 7, 8, 63, 64, 65, 100] {
            for count in [0, 1, 63, 64, 65, 1000, ROWS - offset] {
                let mut bitmap = vec![0xff; BITMAP_LEN as usize];
                let slice = bits.slice(offset, count);
                write(&slice, &mut bitmap);
                assert_eq!(read(&bitmap, count), slice, "{offset} {count}");
                let set: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
                assert_eq!(set as usize, slice.count_set_bits(), "{offset} {count}");
            }
        }
    }

    /// Ranges begin and end at any bit of a word.
    #[test]
    fn ranges_and_rows() {
        for (first, count) in [(0, 0), (0, 1), (0, 64), (3, 64), (64, 65), (70, 200), (ROWS - 1, ROWS), (0, ROWS)] {
            let mut bitmap = vec![0xaa; BITMAP_LEN as usize];
            write_ones(first, count, &mut bitmap);
            let mut rows = Vec::new();
            for_each_row(&bitmap, |row| rows.push(row as usize));
            assert_eq!(rows, (first..count).collect::<Vec<_>>());
            write_ones(0, count, &mut bitmap);
            clear_below(first, &mut bitmap);
            rows.clear();
            for_each_row(&bitmap, |row| rows.push(row as usize));
            assert_eq!(rows, (first..count).collect::<Vec<_>>());
        }
    }
}
