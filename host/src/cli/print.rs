//! Results on standard output.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches_with_schema;

use super::failure::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// RFC 4180, with a header.
    Csv,
    /// An array of objects.
    Json,
}

/// Writes a whole result.
pub(crate) fn print(out: &mut dyn Write, format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Failure> {
    match format {
        Format::Table => {
            let table = pretty_format_batches_with_schema(schema.clone(), batches).map_err(Failure::query)?;
            writeln!(out, "{table}")?;
        }
        Format::Csv => print_csv(out, schema, batches)?,
        Format::Json => print_json(out, batches)?,
    }
    Ok(out.flush()?)
}

fn print_csv(out: &mut dyn Write, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let mut writer = arrow::csv::Writer::new(&mut bytes);
    // An empty batch writes the header, also for a result without rows.
    writer.write(&RecordBatch::new_empty(schema.clone())).map_err(Failure::query)?;
    for batch in batches {
        writer.write(batch).map_err(Failure::query)?;
    }
    drop(writer);
    Ok(out.write_all(&bytes)?)
}

fn print_json(out: &mut dyn Write, batches: &[RecordBatch]) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let mut writer = arrow::json::ArrayWriter::new(&mut bytes);
    writer.write_batches(&batches.iter().collect::<Vec<_>>()).map_err(Failure::query)?;
    writer.finish().map_err(Failure::query)?;
    bytes.push(b'\n');
    Ok(out.write_all(&bytes)?)
}
