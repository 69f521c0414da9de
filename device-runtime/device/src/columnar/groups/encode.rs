//! Key columns of a batch to words.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use nearside_programs::ValueType;

use super::super::load;
use super::super::text::Texts;
use super::intern::Interner;
use super::{KEY_TEXT_BYTES_MAX, KeyColumn};
use crate::DeviceError;

/// Longest text that is its own key.
pub(super) const INLINE_LEN_MAX: usize = 12;

/// First word of a text that is not inline; its number is the second.
pub(super) const INTERNED: u64 = u32::MAX as u64;

/// Marks a dictionary's value that has no words yet; no text has these.
const UNKNOWN: [u64; 2] = [u64::MAX; 2];

/// Where a key column's values are.
pub(in super::super) enum KeyValues<'a> {
    /// A column of the table.
    Array(&'a ArrayRef),
    /// What the program computed, aligned with the rows.
    Computed {
        /// Values as [`nearside_programs::abi::columnar`] lays them out.
        values: &'a [u8],
        /// A bitmap.
        validity: &'a [u8],
    },
}

/// The words of one column in the keys of a batch.
pub(super) struct Target<'a> {
    pub(super) words: &'a mut [u64],
    /// Words of a key.
    pub(super) stride: usize,
    /// The column's first word.
    pub(super) at: usize,
}

impl Target<'_> {
    fn keys<const N: usize>(&mut self) -> impl Iterator<Item = &mut [u64; N]> {
        let at = self.at;
        self.words.chunks_exact_mut(self.stride).filter_map(move |key| key[at..].first_chunk_mut())
    }
}

/// Words that a key of this type takes; `None` if it cannot be one.
pub(super) fn words_of(value_type: ValueType) -> Option<usize> {
    match value_type {
        ValueType::Opaque => None,
        ValueType::Utf8 | ValueType::Decimal128 { .. } => Some(2),
        _ => Some(1),
    }
}

/// Values of a key column whose type the table knows, and how many of `rows` have words now: all, unless long texts fill the interner.
pub(super) fn column(
    values: &KeyValues<'_>,
    value_type: ValueType,
    rows: &[u32],
    texts: &mut TextWords<'_>,
    target: &mut Target<'_>,
) -> Result<usize, DeviceError> {
    match values {
        KeyValues::Computed { values, .. } => native(values, value_type, rows, target),
        KeyValues::Array(array) if value_type == ValueType::Utf8 => return texts.encode(array, rows, target),
        KeyValues::Array(array) => {
            let plain = load::plain(array)?;
            match plain.as_boolean_opt() {
                Some(bits) => put(rows, target, |row| [u64::from(bits.value(row))]),
                None => native(load::native(&*plain, value_type), value_type, rows, target),
            }
        }
    }
    Ok(rows.len())
}

/// Sets bit `index` in word 0 of the keys where the column is NULL, and zeroes its words there.
///
/// # Errors
/// [`DeviceError::Trap`] if there is a NULL in a column that has none by declaration.
pub(super) fn nulls(
    values: &KeyValues<'_>,
    column: &KeyColumn,
    index: usize,
    rows: &[u32],
    target: &mut Target<'_>,
) -> Result<(), DeviceError> {
    match values {
        KeyValues::Array(array) => match array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => mark(|row| nulls.is_valid(row), column, index, rows, target),
            None => Ok(()),
        },
        // What is declared never to be NULL need not have its validity written.
        KeyValues::Computed { validity, .. } if column.nullable => mark(|row| bit(validity, row), column, index, rows, target),
        KeyValues::Computed { .. } => Ok(()),
    }
}

fn mark(
    is_valid: impl Fn(usize) -> bool,
    column: &KeyColumn,
    index: usize,
    rows: &[u32],
    target: &mut Target<'_>,
) -> Result<(), DeviceError> {
    let words = words_of(column.value_type).unwrap_or(0);
    for (row, key) in rows.iter().zip(target.words.chunks_exact_mut(target.stride)) {
        if is_valid(*row as usize) {
            continue;
        }
        if !column.nullable {
            return Err(DeviceError::Trap { reason: format!("group key {index} is NULL, but declared never to be") });
        }
        key[column.at..column.at + words].fill(0);
        key[0] |= 1 << index;
    }
    Ok(())
}

/// Values of fixed width as the cage lays them out: booleans are a bitmap.
fn native(bytes: &[u8], value_type: ValueType, rows: &[u32], target: &mut Target<'_>) {
    fn element<const N: usize>(bytes: &[u8], row: usize) -> [u8; N] {
        bytes.as_chunks::<N>().0[row]
    }
    match value_type {
        ValueType::Bool => put(rows, target, |row| [u64::from(bit(bytes, row))]),
        ValueType::Float32 => put(rows, target, |row| {
            let bits = u32::from_le_bytes(element(bytes, row));
            [if bits << 1 == 0 { 0 } else { u64::from(bits) }]
        }),
        ValueType::Float64 => put(rows, target, |row| {
            let bits = u64::from_le_bytes(element(bytes, row));
            [if bits << 1 == 0 { 0 } else { bits }]
        }),
        ValueType::Decimal128 { .. } => put(rows, target, |row| split(u128::from_le_bytes(element(bytes, row)))),
        ValueType::Int8 | ValueType::UInt8 => put(rows, target, |row| [u64::from(bytes[row])]),
        ValueType::Int16 | ValueType::UInt16 => put(rows, target, |row| [u64::from(u16::from_le_bytes(element(bytes, row)))]),
        ValueType::Int32 | ValueType::UInt32 | ValueType::Date32 => {
            put(rows, target, |row| [u64::from(u32::from_le_bytes(element(bytes, row)))]);
        }
        ValueType::Int64 | ValueType::UInt64 => put(rows, target, |row| [u64::from_le_bytes(element(bytes, row))]),
        ValueType::Utf8 | ValueType::Opaque => {}
    }
}

/// Writes the words of every row's value.
fn put<const N: usize>(rows: &[u32], target: &mut Target<'_>, words: impl Fn(usize) -> [u64; N]) {
    for (row, key) in rows.iter().zip(target.keys::<N>()) {
        *key = words(*row as usize);
    }
}

fn bit(bitmap: &[u8], row: usize) -> bool {
    bitmap[row / 8] >> (row % 8) & 1 == 1
}

fn split(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

/// Words of the values of the dictionary a column had last, found as rows ask for them.
#[derive(Default)]
pub(super) struct DictionaryWords {
    values: Option<ArrayRef>,
    words: Vec<[u64; 2]>,
}

impl DictionaryWords {
    /// Forgets words whose texts the interner forgets.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn of(&mut self, values: &ArrayRef) -> &mut [[u64; 2]] {
        if !self.values.as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
            self.words.clear();
            self.words.resize(values.len(), UNKNOWN);
            self.values = Some(values.clone());
        }
        &mut self.words
    }
}

/// How texts become words.
pub(super) struct TextWords<'a> {
    pub(super) interner: &'a mut Interner,
    pub(super) dictionary: &'a mut DictionaryWords,
}

impl TextWords<'_> {
    /// Encodes texts up to the row, included, that fills the interner.
    fn encode(&mut self, array: &ArrayRef, rows: &[u32], target: &mut Target<'_>) -> Result<usize, DeviceError> {
        let interner = &mut *self.interner;
        if let Some(dictionary) = array.as_any_dictionary_opt() {
            let values = dictionary.values();
            let texts = texts_of(values)?;
            if values.is_empty() {
                return Ok(rows.len());
            }
            let (keys, known) = (dictionary.normalized_keys(), self.dictionary.of(values));
            return Ok(put_texts(rows, array.nulls(), target, interner, |row, interner| {
                let words = &mut known[keys[row]];
                if *words == UNKNOWN {
                    *words = text_words(texts.bytes(keys[row]), interner);
                }
                *words
            }));
        }
        Ok(match texts_of(array)? {
            Texts::View(texts) => put_texts(rows, array.nulls(), target, interner, |row, interner| {
                let view = texts.views()[row];
                if view as u32 as usize <= INLINE_LEN_MAX {
                    split(view)
                } else {
                    text_words(texts.value(row).as_bytes(), interner)
                }
            }),
            texts => put_texts(rows, array.nulls(), target, interner, |row, interner| text_words(texts.bytes(row), interner)),
        })
    }
}

fn texts_of(array: &ArrayRef) -> Result<Texts<'_>, DeviceError> {
    Texts::new(array).ok_or_else(|| DeviceError::Internal { reason: format!("a text key of type {}", array.data_type()) })
}

/// Writes the words of the texts that are not NULL; stops behind the row that fills the interner.
fn put_texts(
    rows: &[u32],
    nulls: Option<&NullBuffer>,
    target: &mut Target<'_>,
    interner: &mut Interner,
    mut words: impl FnMut(usize, &mut Interner) -> [u64; 2],
) -> usize {
    for (index, (row, key)) in rows.iter().zip(target.keys::<2>()).enumerate() {
        let row = *row as usize;
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        *key = words(row, interner);
        if interner.len() > KEY_TEXT_BYTES_MAX {
            return index + 1;
        }
    }
    rows.len()
}

/// A short text as Arrow's view has it: length, bytes, zeros. A long one by its number.
fn text_words(text: &[u8], interner: &mut Interner) -> [u64; 2] {
    if text.len() > INLINE_LEN_MAX {
        return [INTERNED, u64::from(interner.number(text))];
    }
    split(text.len() as u128 | short_text(text) << 32)
}

/// Up to 12 bytes as a number, by loads that overlap: a copy of variable length would be a call.
fn short_text(text: &[u8]) -> u128 {
    let len = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let last = u128::from(u32::from_le_bytes(*last)) << (8 * (len - 4));
        let middle = text.first_chunk().map_or(0, |first| u128::from(u64::from_le_bytes(*first)));
        return u128::from(u32::from_le_bytes(*first)) | middle | last;
    }
    // At most three bytes: the first, the middle and the last are all there are.
    let byte = |at: usize| u128::from(text[at]) << (8 * at);
    if len == 0 { 0 } else { byte(0) | byte(len / 2) | byte(len - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length of an inline text, and the first that is not.
    #[test]
    fn short_texts_are_views() {
        let text = b"\xff\x01abcdefghijklm";
        let mut interner = Interner::default();
        for len in 0..=INLINE_LEN_MAX {
            let mut view = [0; 16];
            view[0] = len as u8;
            view[4..4 + len].copy_from_slice(&text[..len]);
            assert_eq!(text_words(&text[..len], &mut interner), split(u128::from_le_bytes(view)), "{len}");
        }
        assert_eq!(interner.len(), 0);
        assert_eq!(text_words(&text[..13], &mut interner), [INTERNED, 0]);
        assert_eq!(text_words(&text[..14], &mut interner), [INTERNED, 1]);
        assert_eq!(text_words(&text[..13], &mut interner), [INTERNED, 0]);
    }
}
