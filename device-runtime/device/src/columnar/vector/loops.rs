//! The loops, plain Rust: 64 rows become one word of a bitmap, or one word of a bitmap picks among 64 rows.
//!
//! They have no branch inside of 64 rows, and are inlined into whoever wants them for an instruction set: the compiler does the rest.

use super::lanes::{Key, Lane};
use super::products::Factor;

/// Rows in a word of a bitmap.
pub(super) const WORD_ROWS: usize = 64;

/// Rows in a byte of one.
pub(super) const BYTE_ROWS: usize = 8;

/// If so few of 64 rows are selected, looking at those alone is less work, and fewer cache lines.
const FEW: u32 = 6;

/// If at most one in so many bytes of a selection has a row, only those rows are compared.
const SPARSE: usize = 3;

/// Words of a bitmap that are looked at together to see whether those are few.
const STRETCH_WORDS: usize = 16;
const STRETCH_ROWS: usize = STRETCH_WORDS * WORD_ROWS;

/// Rows of a word that are listed without asking how many it has.
const GUESSED: usize = 3;

/// A word of a bitmap as it stands in memory.
pub(in super::super) type Word = [u8; 8];

/// What an instruction set does better than what the compiler makes of a loop.
pub(super) trait Instructions: Sized {
    /// Whether eight numbers of 64 bits are one vector: then looking at eight rows is no more work than looking at one.
    const HAS_WIDE_VECTORS: bool = false;

    /// The word of 64 truths that are 0 or 1.
    fn fold(truths: &[u8; WORD_ROWS]) -> Word;

    /// Which of 64 keys are at most `bound`.
    #[inline(always)]
    fn at_most<K: Key>(keys: &[K; WORD_ROWS], bound: K) -> Word {
        gather::<Self>(keys.iter().map(|key| !bound.is_less(*key)))
    }

    /// Which of eight keys are at most `bound`.
    #[inline(always)]
    fn at_most_of_eight<K: Key>(keys: &[K; BYTE_ROWS], bound: K) -> u8 {
        eight(keys.iter().map(|key| !bound.is_less(*key)))
    }

    /// Adds to each sum the product of its row, modulo 2^64, if the row's bit is set.
    #[inline(always)]
    fn add_products(sums: &mut [u64; BYTE_ROWS], left: &[[u8; 8]; BYTE_ROWS], right: &[[u8; 8]; BYTE_ROWS], bits: u8) {
        for (row, (sum, (left, right))) in sums.iter_mut().zip(left.iter().zip(right)).enumerate() {
            let product = u64::from_le_bytes(*left).wrapping_mul(u64::from_le_bytes(*right));
            *sum = sum.wrapping_add(product & u64::from(bits >> row & 1).wrapping_neg());
        }
    }
}

/// Nothing: what every processor of the target has.
pub(super) struct Portable;

impl Instructions for Portable {
    /// Eight bytes at a time: the product's top byte gets byte `i` at bit `i`, and below it nothing carries.
    #[inline(always)]
    fn fold(truths: &[u8; WORD_ROWS]) -> Word {
        let mut word = [0; 8];
        for (bits, eight) in word.iter_mut().zip(truths.as_chunks::<8>().0) {
            *bits = (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
        }
        word
    }
}

/// Keeps of the selected rows those whose key is at most `bound`, or, if `flip` is all ones, those whose key is not.
#[inline(always)]
fn pack<S: Instructions, L: Lane>(
    values: &[u8],
    selected: &mut [Word],
    flip: u64,
    bound: L::Key,
    key: impl Fn(L::Raw) -> L::Key + Copy,
) {
    let bytes = L::elements(values).len().div_ceil(BYTE_ROWS);
    let is_wide = S::HAS_WIDE_VECTORS && size_of::<L::Raw>() >= size_of::<u64>();
    if is_wide && occupied_bytes::<S>(&selected.as_flattened()[..bytes]) * SPARSE <= bytes {
        pack_few::<S, L>(values, selected, flip, bound, key);
    } else {
        pack_all::<S, L>(values, selected, flip, bound, key);
    }
}

/// As [`pack`], all rows.
///
/// A column of 64 bits or more is read as two streams, which caches answer faster than one; each by instructions of its own, so that the processor tells them apart.
#[inline(always)]
fn pack_all<S: Instructions, L: Lane>(
    values: &[u8],
    selected: &mut [Word],
    flip: u64,
    bound: L::Key,
    key: impl Fn(L::Raw) -> L::Key + Copy,
) {
    let (blocks, rest) = L::elements(values).as_chunks::<WORD_ROWS>();
    let (selected, last) = selected.split_at_mut(blocks.len());
    let half = if size_of::<L::Raw>() < size_of::<u64>() { 0 } else { blocks.len() / 2 };
    let ((a, b), (kept_a, kept_b)) = (blocks.split_at(half), selected.split_at_mut(half));
    for ((a, kept_a), (b, kept_b)) in a.iter().zip(kept_a).zip(b.iter().zip(&mut *kept_b)) {
        keep(kept_a, word::<S, L>(a, bound, key), flip);
        keep(kept_b, word::<S, L>(b, bound, key), flip);
    }
    for (block, kept) in b.iter().zip(kept_b).skip(half) {
        keep(kept, word::<S, L>(block, bound, key), flip);
    }
    if let (false, Some(kept)) = (rest.is_empty(), last.first_mut()) {
        keep(kept, gather::<S>(rest.iter().map(|raw| !bound.is_less(key(*raw)))), flip);
    }
}

/// As [`pack`], but eight rows of which none is selected are left alone.
#[inline(always)]
fn pack_few<S: Instructions, L: Lane>(
    values: &[u8],
    selected: &mut [Word],
    flip: u64,
    bound: L::Key,
    key: impl Fn(L::Raw) -> L::Key + Copy,
) {
    let (blocks, rest) = L::elements(values).as_chunks::<BYTE_ROWS>();
    let (selected, last) = selected.as_flattened_mut().split_at_mut(blocks.len());
    for (blocks, selected) in blocks.chunks(WORD_ROWS).zip(selected.chunks_mut(WORD_ROWS)) {
        for_each_bit(occupied::<S>(selected), |at| {
            if let (Some(block), Some(kept)) = (blocks.get(at), selected.get_mut(at)) {
                *kept &= S::at_most_of_eight(&block.map(key), bound) ^ flip as u8;
            }
        });
    }
    if let (false, Some(kept)) = (rest.is_empty(), last.first_mut()) {
        *kept &= eight(rest.iter().map(|raw| !bound.is_less(key(*raw)))) ^ flip as u8;
    }
}

/// Which of up to 64 bytes of a bitmap have a row.
#[inline(always)]
pub(super) fn occupied<S: Instructions>(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(match bytes.as_array::<WORD_ROWS>() {
        Some(bytes) => gather::<S>(bytes.iter().map(|byte| *byte != 0)),
        None => gather::<S>(bytes.iter().map(|byte| *byte != 0)),
    })
}

/// How many bytes of a bitmap have a row.
#[inline(always)]
fn occupied_bytes<S: Instructions>(bytes: &[u8]) -> usize {
    bytes.chunks(WORD_ROWS).map(|bytes| occupied::<S>(bytes).count_ones() as usize).sum()
}

/// Calls `visit` with the number of each bit that is set, ascending.
#[inline(always)]
pub(super) fn for_each_bit(mut bits: u64, mut visit: impl FnMut(usize)) {
    while bits != 0 {
        visit(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Up to eight truths as bits.
#[inline(always)]
fn eight(truths: impl Iterator<Item = bool>) -> u8 {
    truths.zip(0..).fold(0, |bits, (truth, row)| bits | u8::from(truth) << row)
}

/// Keeps of 64 rows those that are true, or, if `flip` is all ones, those that are not.
#[inline(always)]
fn keep(selected: &mut Word, truths: Word, flip: u64) {
    *selected = (u64::from_le_bytes(*selected) & (u64::from_le_bytes(truths) ^ flip)).to_le_bytes();
}

/// Which of 64 elements have a key of at most `bound`.
#[inline(always)]
fn word<S: Instructions, L: Lane>(block: &[L::Raw; WORD_ROWS], bound: L::Key, key: impl Fn(L::Raw) -> L::Key) -> Word {
    let mut keys = [L::Key::ZERO; WORD_ROWS];
    for (key_of_row, raw) in keys.iter_mut().zip(block) {
        *key_of_row = key(*raw);
    }
    S::at_most(&keys, bound)
}

/// As [`pack`], for pairs.
#[inline(always)]
fn pack_pairs<S: Instructions, L: Lane>(
    left: &[u8],
    right: &[u8],
    selected: &mut [Word],
    flip: u64,
    passes: impl Fn(L::Key, L::Key) -> bool,
) {
    let (left, left_rest) = L::elements(left).as_chunks::<WORD_ROWS>();
    let (right, right_rest) = L::elements(right).as_chunks::<WORD_ROWS>();
    let passes = |(left, right): (&L::Raw, &L::Raw)| passes(L::compared(*left), L::compared(*right));
    let mut selected = selected.iter_mut();
    for ((left, right), kept) in left.iter().zip(right).zip(&mut selected) {
        keep(kept, gather::<S>(left.iter().zip(right).map(passes)), flip);
    }
    if let (false, Some(kept)) = (left_rest.is_empty(), selected.next()) {
        keep(kept, gather::<S>(left_rest.iter().zip(right_rest).map(passes)), flip);
    }
}

/// Up to 64 truths as bits: first as bytes, since comparisons yield those by the vector.
#[inline(always)]
pub(super) fn gather<S: Instructions>(truths: impl Iterator<Item = bool>) -> Word {
    let mut bytes = [0; WORD_ROWS];
    for (byte, truth) in bytes.iter_mut().zip(truths) {
        *byte = u8::from(truth);
    }
    S::fold(&bytes)
}

/// Keeps the rows with a key from `low` to `low + span`. Open ends save the difference, which costs decimals half their time. Here and below, `flip` of all ones
/// keeps the others.
#[inline(always)]
pub(super) fn within<S: Instructions, L: Lane>(values: &[u8], low: L::Key, span: L::Key, flip: u64, selected: &mut [Word]) {
    if low.is_equal(L::Key::ZERO) {
        pack::<S, L>(values, selected, flip, span, L::compared);
    } else if L::Key::ONES.wrapping_sub(low).is_equal(span) {
        // The keys' complements order the other way around.
        pack::<S, L>(values, selected, flip, span, |raw| L::compared(raw).xor(L::Key::ONES));
    } else {
        pack::<S, L>(values, selected, flip, span, |raw| L::compared(raw).wrapping_sub(low));
    }
}

/// Keeps the rows of which `left` is less than `right`.
#[inline(always)]
pub(super) fn less<S: Instructions, L: Lane>(left: &[u8], right: &[u8], flip: u64, selected: &mut [Word]) {
    pack_pairs::<S, L>(left, right, selected, flip, |left, right| left.is_less(right));
}

/// Keeps the rows whose elements are equal.
#[inline(always)]
pub(super) fn equal<S: Instructions, L: Lane>(left: &[u8], right: &[u8], flip: u64, selected: &mut [Word]) {
    pack_pairs::<S, L>(left, right, selected, flip, |left, right| left.is_equal(right));
}

/// Which elements are members of a set of numbers below 64. Of greater ones, whatever their low six bits say.
#[inline(always)]
pub(super) fn among<S: Instructions, L: Lane>(keys: &[u8], members: u64, out: &mut [Word]) {
    let is_member = |raw: &L::Raw| members >> (L::key(*raw).distance() as u32 & 63) & 1 == 1;
    for (block, word) in L::elements(keys).chunks(WORD_ROWS).zip(out) {
        *word = match block.as_array::<WORD_ROWS>() {
            Some(block) => gather::<S>(block.iter().map(is_member)),
            None => gather::<S>(block.iter().map(is_member)),
        };
    }
}

/// Goes through the selected blocks: a block's elements, and its word.
#[inline(always)]
fn for_each_selected<R: Copy>(rows: &[R], selected: &[Word], mut visit: impl FnMut(&[R], u64)) {
    let (blocks, rest) = rows.as_chunks::<WORD_ROWS>();
    let mut words = selected.iter().map(|word| u64::from_le_bytes(*word));
    for (block, word) in blocks.iter().zip(&mut words) {
        if word != 0 {
            visit(block, word);
        }
    }
    if let Some(word) = words.next() {
        visit(rest, word);
    }
}

/// How many rows are selected.
#[inline(always)]
pub(super) fn count<S: Instructions>(selected: &[Word]) -> u64 {
    selected.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum()
}

/// Leaves the rows that other words have, too; returns how many those are.
#[inline(always)]
pub(super) fn intersect<S: Instructions>(selected: &mut [Word], others: &[Word]) -> u64 {
    let mut count = 0;
    for (word, other) in selected.iter_mut().zip(others) {
        let both = u64::from_le_bytes(*word) & u64::from_le_bytes(*other);
        *word = both.to_le_bytes();
        count += u64::from(both.count_ones());
    }
    count
}

/// The sum of the selected keys, modulo 2^64, or 2^128 for keys that wide.
#[inline(always)]
pub(super) fn sum<S: Instructions, L: Lane>(values: &[u8], selected: &[Word]) -> u128 {
    let mut sum = 0u128;
    for_each_selected(L::elements(values), selected, |block, word| {
        let mut partial = <L::Key as Key>::Partial::default();
        for (row, raw) in block.iter().enumerate() {
            L::Key::add(&mut partial, L::key(*raw), (word >> row & 1).wrapping_neg());
        }
        sum = sum.wrapping_add(L::Key::total(partial));
    });
    sum
}

/// The least of the selected keys XOR `flip`, and `flip` again; `!flip` if there is none.
#[inline(always)]
pub(super) fn least<S: Instructions, L: Lane>(values: &[u8], selected: &[Word], flip: L::Key) -> L::Key {
    // One for each place in a block: they do not wait for each other.
    let mut least = [L::Key::ONES; WORD_ROWS];
    for_each_selected(L::elements(values), selected, |block, word| {
        for (row, (raw, least)) in block.iter().zip(&mut least).enumerate() {
            let key = L::Key::choose(word >> row & 1 == 1, L::key(*raw).xor(flip), L::Key::ONES);
            *least = L::Key::choose(key.is_less(*least), key, *least);
        }
    });
    let least = least.into_iter().fold(L::Key::ONES, |a, b| L::Key::choose(b.is_less(a), b, a));
    least.xor(flip)
}

/// The sum of the selected products, modulo 2^128; `None` if one of them does not fit.
#[inline(always)]
pub(super) fn products<S: Instructions, L: Factor>(left: &[u8], right: &[u8], selected: &[Word]) -> Option<i128> {
    let (left, right) = (L::elements(left), L::elements(right));
    if are_few(selected) {
        return L::few_products::<S>(left, right, selected);
    }
    let stretches = left.chunks(STRETCH_ROWS).zip(right.chunks(STRETCH_ROWS)).zip(selected.chunks(STRETCH_WORDS));
    let mut sum = 0i128;
    for ((left, right), words) in stretches {
        let stretch =
            if are_few(words) { L::few_products::<S>(left, right, words)? } else { all_products::<L>(left, right, words)? };
        sum = sum.wrapping_add(stretch);
    }
    Some(sum)
}

/// Whether so few rows are selected that those alone are looked at.
#[inline(always)]
fn are_few(words: &[Word]) -> bool {
    let count: u32 = words.iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum();
    count <= FEW * words.len() as u32
}

/// The same of a stretch, by whole words where those are.
#[inline(always)]
fn all_products<L: Factor>(left: &[L::Raw], right: &[L::Raw], words: &[Word]) -> Option<i128> {
    let (left, left_rest) = left.as_chunks::<WORD_ROWS>();
    let (right, right_rest) = right.as_chunks::<WORD_ROWS>();
    let mut sum = 0i128;
    for ((left, right), word) in left.iter().zip(right).zip(words) {
        sum = sum.wrapping_add(L::products(left, right, u64::from_le_bytes(*word))?);
    }
    match words.get(left.len()) {
        Some(word) => Some(sum.wrapping_add(single_products::<L>(left_rest, right_rest, &[*word])?)),
        None => Some(sum),
    }
}

/// The same, a row after the other.
#[inline(always)]
pub(super) fn single_products<L: Factor>(left: &[L::Raw], right: &[L::Raw], words: &[Word]) -> Option<i128> {
    let mut rows = [0; STRETCH_ROWS + 1];
    let mut sum = 0i128;
    let stretches = left.chunks(STRETCH_ROWS).zip(right.chunks(STRETCH_ROWS)).zip(words.chunks(STRETCH_WORDS));
    for ((left, right), words) in stretches {
        let count = list(words, &mut rows);
        for &row in &rows[..count] {
            let (Some(left), Some(right)) = (left.get(usize::from(row)), right.get(usize::from(row))) else { break };
            sum = sum.wrapping_add(L::product(*left, *right)?);
        }
    }
    Some(sum)
}

/// Writes the numbers of a stretch's selected rows one after the other, and how many those are. The first few of each word take the same steps whether they are
/// there or not: how many there are is nothing a processor guesses well.
#[inline(always)]
fn list(words: &[Word], rows: &mut [u16; STRETCH_ROWS + 1]) -> usize {
    let mut count = 0;
    for (index, word) in words.iter().enumerate().take(STRETCH_WORDS) {
        let first = (index * WORD_ROWS) as u16;
        let mut word = u64::from_le_bytes(*word);
        for _ in 0..GUESSED {
            rows[count] = first + word.trailing_zeros() as u16;
            count += usize::from(word != 0);
            word &= word.wrapping_sub(1);
        }
        while word != 0 {
            rows[count] = first + word.trailing_zeros() as u16;
            count += 1;
            word &= word - 1;
        }
    }
    count
}
