//! The table's keys back to columns.

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use nearside_programs::ValueType;

use super::super::output::{self, Values};
use super::encode::INTERNED;
use super::{GroupTable, KeyColumn};
use crate::DeviceError;

impl GroupTable {
    /// The keys of all groups in order of their ids, one array a key column, of these Arrow types.
    ///
    /// # Errors
    /// [`DeviceError::Trap`] if a dictionary's keys are too narrow for so many groups.
    pub(in super::super) fn key_columns(&self, types: &[DataType]) -> Result<Vec<ArrayRef>, DeviceError> {
        self.columns.iter().enumerate().zip(types).map(|((index, column), to)| self.key_column(index, column, to)).collect()
    }

    fn key_column(&self, index: usize, column: &KeyColumn, to: &DataType) -> Result<ArrayRef, DeviceError> {
        let nulls = column.nullable.then(|| {
            let valid = |group: usize| self.keys[group * self.words] >> index & 1 == 0;
            NullBuffer::new(BooleanBuffer::collect_bool(self.len(), valid))
        });
        let refused = |error| DeviceError::Trap { reason: format!("group key {index} as {to}: {error}") };
        let array = match column.value_type {
            ValueType::Utf8 => self.texts(column, nulls.as_ref()).map_err(|error| refused(error.to_string()))?,
            other => {
                let mut values = Values::new(other, self.len());
                (0..self.len()).for_each(|group| values.push(self.value(column, group)));
                output::array(other, values, nulls)?
            }
        };
        if array.data_type() == to { Ok(array) } else { cast(&array, to).map_err(|error| refused(error.to_string())) }
    }

    fn value(&self, column: &KeyColumn, group: usize) -> i128 {
        let words = &self.keys[group * self.words + column.at..];
        let high = if matches!(column.value_type, ValueType::Decimal128 { .. }) { words[1] } else { 0 };
        (u128::from(words[0]) | u128::from(high) << 64) as i128
    }

    /// The texts came from Arrow arrays, so they are UTF-8; checking again is cheap beside one group's rows.
    fn texts(&self, column: &KeyColumn, nulls: Option<&NullBuffer>) -> Result<ArrayRef, std::str::Utf8Error> {
        let mut builder = StringViewBuilder::with_capacity(self.len());
        for group in 0..self.len() {
            if nulls.is_some_and(|nulls| nulls.is_null(group)) {
                builder.append_null();
                continue;
            }
            let [first, second] = [0, 1].map(|word| self.keys[group * self.words + column.at + word]);
            if first == INTERNED {
                builder.append_value(std::str::from_utf8(self.texts.text(second as u32))?);
            } else {
                let view = (u128::from(first) | u128::from(second) << 64).to_le_bytes();
                builder.append_value(std::str::from_utf8(&view[4..][..usize::from(view[0])])?);
            }
        }
        Ok(std::sync::Arc::new(builder.finish()))
    }
}
