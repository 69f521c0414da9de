//! Text columns in every Arrow layout: plain, large, view, and dictionaries of those.
//!
//! A predicate is evaluated on a dictionary's values and then mapped to the rows; a NULL inside the dictionary is NULL.

use std::cell::OnceCell;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, LargeStringArray, StringArray, StringViewArray, downcast_dictionary_array,
};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::datatypes::{ArrowNativeType, DataType, ToByteSlice};

use super::vector::{self, InstructionSet};

/// The texts of a plain array.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    /// `None` if the array is not plain text.
    pub(super) fn new(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => Some(Self::Utf8(array.as_string())),
            DataType::LargeUtf8 => Some(Self::Large(array.as_string())),
            DataType::Utf8View => Some(Self::View(array.as_string_view())),
            _ => None,
        }
    }

    /// The text at an index below the array's length; anything if it is NULL.
    pub(super) fn bytes(self, index: usize) -> &'a [u8] {
        match self {
            Self::Utf8(array) => array.value(index).as_bytes(),
            Self::Large(array) => array.value(index).as_bytes(),
            Self::View(array) => array.value(index).as_bytes(),
        }
    }

    /// Bytes of all texts together: what a helper that looks at all of them is charged for.
    pub(super) fn total_bytes(self) -> u64 {
        match self {
            Self::Utf8(array) => array.value_offsets().last().map_or(0, |last| (last - array.value_offsets()[0]) as u64),
            Self::Large(array) => array.value_offsets().last().map_or(0, |last| (last - array.value_offsets()[0]) as u64),
            Self::View(array) => array.views().iter().map(|view| u64::from(*view as u32)).sum(),
        }
    }
}

/// The text column of one batch.
pub(super) struct TextColumn {
    array: ArrayRef,
    /// Index into [`Self::values`] of each row of a dictionary that is not empty; whatever, but in range, for a NULL.
    keys: OnceCell<Vec<usize>>,
    total_bytes: OnceCell<u64>,
}

impl TextColumn {
    /// `None` if the array is not text.
    pub(super) fn new(array: &ArrayRef) -> Option<Self> {
        let column = Self { array: array.clone(), keys: OnceCell::new(), total_bytes: OnceCell::new() };
        Texts::new(column.values())?;
        Some(column)
    }

    /// The column as it came.
    pub(super) fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// What a predicate is evaluated on: the column, or its dictionary.
    pub(super) fn values(&self) -> &ArrayRef {
        self.array.as_any_dictionary_opt().map_or(&self.array, |dictionary| dictionary.values())
    }

    /// Whether [`Self::values`] is a dictionary.
    pub(super) fn is_dictionary(&self) -> bool {
        self.array.as_any_dictionary_opt().is_some()
    }

    /// Bytes a helper may look at.
    pub(super) fn total_bytes(&self) -> u64 {
        *self.total_bytes.get_or_init(|| Texts::new(self.values()).map_or(0, Texts::total_bytes))
    }

    /// Calls `visit` with those of `rows` that are not NULL, and their texts.
    pub(super) fn for_each(&self, rows: impl Iterator<Item = usize>, mut visit: impl FnMut(usize, &[u8])) {
        let Some(texts) = Texts::new(self.values()) else { return };
        let (nulls, keys) = (self.array.logical_nulls(), self.keys());
        for row in rows {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                visit(row, texts.bytes(keys.map_or(row, |keys| keys[row])));
            }
        }
    }

    /// Spreads a predicate's truths over [`Self::values`] to the rows; a NULL is not true.
    pub(super) fn spread(&self, truths: &BooleanBuffer) -> BooleanBuffer {
        let array = self.array.as_ref();
        let bits = downcast_dictionary_array!(
            array => spread(array.keys().values(), truths),
            _ => truths.clone(),
        );
        match self.array.nulls() {
            Some(nulls) => &bits & nulls.inner(),
            None => bits,
        }
    }

    fn keys(&self) -> Option<&[usize]> {
        let dictionary = self.array.as_any_dictionary_opt().filter(|dictionary| !dictionary.values().is_empty())?;
        Some(self.keys.get_or_init(|| dictionary.normalized_keys()))
    }
}

/// The truth at each key. NULLs have any key, also beyond the truths; a NULL value of the dictionary is not among them.
fn spread<K: ArrowNativeType>(keys: &[K], truths: &BooleanBuffer) -> BooleanBuffer {
    if truths.len() <= 64 {
        let members = truths.bit_chunks().iter_padded().next().unwrap_or(0);
        let mut words = vec![[0; 8]; keys.len().div_ceil(64)];
        vector::among(InstructionSet::best(), size_of::<K>(), keys.to_byte_slice(), members, &mut words);
        return BooleanBuffer::new(Buffer::from(words.as_flattened()), 0, keys.len());
    }
    let truths: Vec<bool> = truths.iter().collect();
    BooleanBuffer::collect_bool(keys.len(), |row| truths.get(keys[row].as_usize()).is_some_and(|truth| *truth))
}

/// The rows for which a predicate is true, not NULL.
pub(super) fn truths(result: &BooleanArray) -> BooleanBuffer {
    match result.nulls() {
        Some(nulls) => result.values() & nulls.inner(),
        None => result.values().clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int8Array, PrimitiveArray, UInt16Array};
    use arrow::datatypes::ArrowDictionaryKeyType;

    use super::*;

    fn column<K: ArrowDictionaryKeyType>(keys: PrimitiveArray<K>, values: usize) -> TextColumn {
        let values: StringArray = (0..values).map(|value| Some(value.to_string())).collect();
        TextColumn::new(&(Arc::new(DictionaryArray::new(keys, Arc::new(values))) as ArrayRef)).unwrap()
    }

    /// Dictionaries of few and of many values, keys of any width, NULLs, slices, and none at all.
    #[test]
    fn truths_are_spread_to_rows() {
        let third = |values| BooleanBuffer::collect_bool(values, |value| value % 3 == 0);
        for values in [1, 7, 63, 64, 65, 1000] {
            let keys: UInt16Array = (0..300).map(|row| (row % 11 != 5).then_some(row * 7 % values)).collect();
            for keys in [keys.clone(), keys.slice(65, 130), keys.slice(3, 0)] {
                let rows = column(keys.clone(), values.into()).spread(&third(values.into()));
                let expected = keys.iter().map(|key| key.is_some_and(|key| key % 3 == 0));
                assert!(rows.iter().eq(expected), "{values}");
            }
        }
        let keys = Int8Array::from(vec![Some(0), None, Some(100), Some(99)]);
        assert!(column(keys, 101).spread(&third(101)).iter().eq([true, false, false, true]));
        assert!(column(Int8Array::from(vec![None, None]), 0).spread(&third(0)).iter().eq([false, false]));
    }
}
