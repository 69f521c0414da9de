//! The literals of a query, apart from its program, so that one program serves every constant.

use serde::{Deserialize, Serialize};

use crate::types::ValueType;

/// One fixed slot of 16 bytes, little-endian.
///
/// Integers, dates and decimals: the value, sign-extended to 128 bits. Floats: their bits, zero-extended. Booleans: 0 or 1.
/// Text and lists: `offset: u32, len: u32` into the blob, the rest zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParameterSlot(pub i128);

/// The typed parameter table of one execution.
///
/// `types[i]` is the type of `slots[i]`. A list of text is one slot of type [`ValueType::Utf8`] whose blob range holds, for each item,
/// `len: u32` little-endian and the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// What each slot is.
    pub types: Vec<ValueType>,
    /// The values.
    pub slots: Vec<ParameterSlot>,
    /// Text and lists.
    pub blob: Vec<u8>,
}

impl Parameters {
    /// Bytes of a slot in the cage.
    pub const SLOT_LEN: usize = 16;

    /// Adds a fixed-width value and returns its slot.
    pub fn push(&mut self, value_type: ValueType, value: i128) -> u32 {
        self.types.push(value_type);
        self.slots.push(ParameterSlot(value));
        (self.slots.len() - 1) as u32
    }

    /// Adds one text and returns its slot.
    pub fn push_text(&mut self, text: &str) -> u32 {
        let start = self.blob.len();
        self.blob.extend_from_slice(text.as_bytes());
        self.push_range(start)
    }

    /// Adds a list of texts and returns its slot.
    pub fn push_texts<'a>(&mut self, items: impl IntoIterator<Item = &'a str>) -> u32 {
        let start = self.blob.len();
        for item in items {
            self.blob.extend_from_slice(&(item.len() as u32).to_le_bytes());
            self.blob.extend_from_slice(item.as_bytes());
        }
        self.push_range(start)
    }

    /// The fixed-width value in a slot, if there is such a slot.
    pub fn value(&self, slot: u32) -> Option<i128> {
        self.slots.get(slot as usize).map(|slot| slot.0)
    }

    /// The text in a slot; `None` if the slot, its range or its encoding is not valid.
    pub fn text(&self, slot: u32) -> Option<&str> {
        std::str::from_utf8(self.range(slot)?).ok()
    }

    /// The texts of a list slot; `None` if anything about it is not valid.
    pub fn texts(&self, slot: u32) -> Option<Vec<&str>> {
        let mut rest = self.range(slot)?;
        let mut items = Vec::new();
        while !rest.is_empty() {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let (item, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            items.push(std::str::from_utf8(item).ok()?);
            rest = tail;
        }
        Some(items)
    }

    fn push_range(&mut self, start: usize) -> u32 {
        let len = self.blob.len() - start;
        self.push(ValueType::Utf8, start as i128 | (len as i128) << 32)
    }

    fn range(&self, slot: u32) -> Option<&[u8]> {
        if self.types.get(slot as usize) != Some(&ValueType::Utf8) {
            return None;
        }
        let raw = self.value(slot)?;
        let start = usize::try_from(raw as u32).ok()?;
        let len = usize::try_from((raw >> 32) as u32).ok()?;
        self.blob.get(start..start.checked_add(len)?)
    }
}
