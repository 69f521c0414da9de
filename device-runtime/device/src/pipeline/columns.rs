//! How a program's columns are read from one file: matched by name, delivered in exactly the table's Arrow type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use nearside_programs::Manifest;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::schema::types::SchemaDescriptor;

use super::casts::{is_exact, same_but_layout};
use super::footer::Footer;
use super::{bad_object, guarded};
use crate::error::DeviceError;

/// The program's columns in one file, by their index in the manifest.
#[derive(Debug)]
pub(super) struct Columns {
    /// Reads the file's columns in the types of the table where the reader can.
    pub(super) reader: ArrowReaderMetadata,
    columns: Vec<Column>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Column {
    /// Index among the file's top-level fields.
    pub(super) root: usize,
    /// Indexes of its Parquet columns: one, unless it is nested.
    pub(super) leaves: Vec<usize>,
    /// The type it is delivered in.
    pub(super) data_type: DataType,
    /// What the reader gives needs a cast.
    cast: bool,
    /// Whether NULLs may be delivered.
    nullable: bool,
}

impl Columns {
    /// Finds the columns in a file.
    ///
    /// # Errors
    /// [`DeviceError::BadObject`] if one is missing, ambiguous, or of a type that does not turn exactly into the table's.
    pub(super) fn find(path: &str, footer: &Footer, schema: &SchemaRef, manifest: &Manifest) -> Result<Self, DeviceError> {
        let file = footer.reader.schema();
        let roots: Vec<usize> =
            schema.fields().iter().map(|field| root_of(path, file, field.name())).collect::<Result<_, _>>()?;
        let reader = reader(path, footer, &roots, schema)?;
        let columns = roots.iter().enumerate().map(|(index, &root)| {
            let (given, wanted) = (reader.schema().field(root), schema.field(index));
            let cast = given.data_type() != wanted.data_type();
            if cast && !is_exact(given.data_type(), wanted.data_type()) {
                let (name, given, wanted) = (wanted.name(), given.data_type(), wanted.data_type());
                return Err(bad_object(path, format!("column {name} is {given} here and {wanted} in the table")));
            }
            Ok(Column {
                root,
                leaves: leaves_of(reader.parquet_schema(), root),
                data_type: wanted.data_type().clone(),
                cast,
                nullable: wanted.is_nullable() && manifest.columns.get(index).is_none_or(|spec| spec.nullable),
            })
        });
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Self { reader, columns })
    }

    pub(super) fn get(&self, index: usize) -> &Column {
        &self.columns[index]
    }

    /// What to read for some of the columns.
    pub(super) fn projection(&self, wanted: &[usize]) -> ProjectionMask {
        ProjectionMask::roots(self.reader.parquet_schema(), wanted.iter().map(|&index| self.columns[index].root))
    }

    /// The Parquet columns of some of the columns, each once.
    pub(super) fn leaves(&self, wanted: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut leaves: Vec<usize> = wanted.into_iter().flat_map(|index| self.columns[index].leaves.iter().copied()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        leaves
    }

    /// The arrays of `wanted`, in that order, out of a batch that was read with their [`Columns::projection`].
    pub(super) fn deliver(&self, path: &str, wanted: &[usize], batch: &RecordBatch) -> Result<Vec<ArrayRef>, DeviceError> {
        let mut roots: Vec<usize> = wanted.iter().map(|&index| self.columns[index].root).collect();
        roots.sort_unstable();
        roots.dedup();
        let deliver = |&index: &usize| {
            let column = &self.columns[index];
            let position = roots.binary_search(&column.root).unwrap_or(usize::MAX);
            let array = batch.columns().get(position).ok_or_else(|| bad_object(path, "the reader left a column out"))?;
            column.deliver(path, array)
        };
        wanted.iter().map(deliver).collect()
    }
}

impl Column {
    fn deliver(&self, path: &str, array: &ArrayRef) -> Result<ArrayRef, DeviceError> {
        if !self.nullable && array.logical_null_count() > 0 {
            return Err(bad_object(path, "a column the table calls NOT NULL has NULLs"));
        }
        if self.cast {
            exact_cast(array, &self.data_type).map_err(|error| bad_object(path, error))
        } else {
            Ok(Arc::clone(array))
        }
    }
}

/// A cast that fails rather than making NULLs.
pub(super) fn exact_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })
}

fn root_of(path: &str, file: &Schema, name: &str) -> Result<usize, DeviceError> {
    let mut found = file.fields().iter().enumerate().filter(|(_, field)| field.name() == name).map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (None, _) => Err(bad_object(path, format!("it has no column {name}"))),
        (Some(_), Some(_)) => Err(bad_object(path, format!("it has more than one column {name}"))),
    }
}

/// The file's reader, told to give text and bytes in the table's layouts if it can.
fn reader(path: &str, footer: &Footer, roots: &[usize], table: &Schema) -> Result<ArrowReaderMetadata, DeviceError> {
    let file = footer.reader.schema();
    let mut fields: Vec<FieldRef> = file.fields().iter().cloned().collect();
    let mut differs = false;
    for (&root, wanted) in roots.iter().zip(table.fields()) {
        let given = file.field(root);
        if given.data_type() != wanted.data_type() && same_but_layout(given.data_type(), wanted.data_type()) {
            fields[root] = Arc::new(given.clone().with_data_type(wanted.data_type().clone()));
            differs = true;
        }
    }
    if !differs {
        return Ok(footer.reader.clone());
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, file.metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    // What the reader cannot give is cast, or refused there.
    Ok(guarded(path, || ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options))
        .unwrap_or_else(|_| footer.reader.clone()))
}

fn leaves_of(schema: &SchemaDescriptor, root: usize) -> Vec<usize> {
    (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root).collect()
}
