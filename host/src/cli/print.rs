//! Results on standard output.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_schema;

use super::failure::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// RFC 4180, with a header; NULL and the empty text are both nothing.
    Csv,
    /// An array of objects; NULL, NaN and the infinities are null.
    Json,
}

/// Writes a whole result.
pub(crate) fn print(out: &mut dyn Write, format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Failure> {
    match format {
        Format::Table if is_explanation(schema) => print_explanation(out, batches)?,
        Format::Table => {
            let table = pretty_format_batches_with_schema(schema.clone(), batches).map_err(Failure::query)?;
            writeln!(out, "{table}")?;
        }
        Format::Csv => print_csv(out, schema, batches)?,
        Format::Json => print_json(out, batches)?,
    }
    Ok(out.flush()?)
}

/// Whether rows are plans, as `EXPLAIN` gives them.
fn is_explanation(schema: &SchemaRef) -> bool {
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names == ["plan_type", "plan"]
}

/// Plans as they are: their lines are longer than any table.
fn print_explanation(out: &mut dyn Write, batches: &[RecordBatch]) -> Result<(), Failure> {
    let options = FormatOptions::default();
    for batch in batches {
        let kinds = ArrayFormatter::try_new(batch.column(0), &options).map_err(Failure::query)?;
        let plans = ArrayFormatter::try_new(batch.column(1), &options).map_err(Failure::query)?;
        for row in 0..batch.num_rows() {
            writeln!(out, "── {}\n{}", kinds.value(row), plans.value(row).to_string().trim_end())?;
        }
    }
    Ok(())
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
    // Every object has every key.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(&mut bytes);
    writer.write_batches(&batches.iter().collect::<Vec<_>>()).map_err(Failure::query)?;
    writer.finish().map_err(Failure::query)?;
    bytes.push(b'\n');
    Ok(out.write_all(&bytes)?)
}
