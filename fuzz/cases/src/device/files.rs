//! Small Parquet files, each written another way.

use arrow::record_batch::RecordBatch;
use nearside_programs::ValueType;
use nearside_programs::manifest::ColumnSpec;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};

use super::values;

/// Rows of a file: enough for several row groups of several pages.
const ROWS: usize = 160;
/// Rows of a row group.
const GROUP_ROWS: usize = 80;
/// Rows of a page.
const PAGE_ROWS: usize = 32;

/// What the files' columns are named, and their types.
const COLUMNS: [(&str, ValueType); 4] = [
    ("k", ValueType::Int64),
    ("s", ValueType::Utf8),
    ("d", ValueType::Decimal128 { precision: 15, scale: 2 }),
    ("f", ValueType::Float64),
];

/// The rows of all files.
pub(crate) fn table() -> RecordBatch {
    let columns = COLUMNS.map(|(name, value_type)| ColumnSpec { name: name.into(), value_type, nullable: true });
    values::table(&columns, ROWS)
}

/// The files.
///
/// # Panics
/// One cannot be written.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let plain = || WriterProperties::builder().set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None);
    let delta = plain()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_column_encoding("k".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("s".into(), Encoding::DELTA_BYTE_ARRAY)
        .set_column_encoding("f".into(), Encoding::BYTE_STREAM_SPLIT);
    let zstd = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).set_bloom_filter_enabled(true);
    let lengths =
        plain().set_compression(Compression::LZ4_RAW).set_column_encoding("s".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    [WriterProperties::builder(), plain(), delta, zstd, snappy.set_bloom_filter_max_ndv(20), lengths].map(write).into()
}

fn write(properties: WriterPropertiesBuilder) -> Vec<u8> {
    let properties = properties
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS);
    let table = table();
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties.build())).expect("a writer");
    writer.write(&table).expect("rows");
    writer.into_inner().expect("a file")
}
