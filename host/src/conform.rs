//! A device's batches as batches of exactly the child's schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use nearside_device::DeviceError;
use nearside_programs::ValueType;

use crate::types::value_type;

/// The batch with the schema's fields: layouts of text differ between devices and plans, values never do.
///
/// # Errors
/// A device that sends another type than was asked for.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DeviceError> {
    if batch.num_columns() != schema.fields().len() {
        return Err(wrong(format!("{} columns instead of {}", batch.num_columns(), schema.fields().len())));
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| layout(column, field.data_type())).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| wrong(error.to_string()))
}

fn layout(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, DeviceError> {
    let given = column.data_type();
    if given == wanted {
        return Ok(Arc::clone(column));
    }
    let both_text = value_type(given) == ValueType::Utf8 && value_type(wanted) == ValueType::Utf8;
    // A dictionary of other values only left as one to save bytes.
    let was_encoded = matches!(given, DataType::Dictionary(_, values) if **values == *wanted);
    if !both_text && !was_encoded {
        return Err(wrong(format!("a column of type {given} instead of {wanted}")));
    }
    cast(column, wanted).map_err(|error| wrong(error.to_string()))
}

fn wrong(what: String) -> DeviceError {
    DeviceError::Internal { reason: format!("it sent {what}") }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array, StringArray};
    use arrow::datatypes::{Field, Int32Type, Schema};

    use super::*;

    /// Text changes its layout and nothing else; another type is the device's mistake.
    #[test]
    fn layouts_change_types_do_not() {
        let schema = |data_type| Arc::new(Schema::new(vec![Field::new("x", data_type, true)]));
        let text = RecordBatch::try_from_iter([("x", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef)]).unwrap();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for wanted in [DataType::Utf8View, DataType::LargeUtf8, dictionary] {
            let conformed = conform(&text, &schema(wanted.clone())).unwrap();
            assert_eq!(conformed.column(0).data_type(), &wanted);
            assert_eq!(conformed.column(0).null_count(), 1);
        }
        let numbers = RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
        assert!(conform(&numbers, &schema(DataType::Int64)).is_err());
        assert!(conform(&numbers, &schema(DataType::Utf8)).is_err());
        let same = conform(&numbers, &schema(DataType::Int32)).unwrap();
        assert_eq!(same.column(0).as_primitive::<Int32Type>().value(0), 1);
    }
}
