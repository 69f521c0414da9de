//! Writes the tables as Parquet: ZSTD, page index, row groups of at most [`Options::row_group_rows`] rows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::RecordBatchReader;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, RegionGenerator,
    SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// How to lay the files out.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Files of each of the five large tables: 1 writes `lineitem.parquet`, more a folder `lineitem` with as many files.
    pub files: u32,
    /// Most rows in a row group.
    pub row_group_rows: usize,
    /// Called after each batch with the number of rows written, from several threads.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

/// What has just been written.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Of which table.
    pub table: &'static str,
    /// How many rows.
    pub rows: u64,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("files", &self.files)
            .field("row_group_rows", &self.row_group_rows)
            .finish_non_exhaustive()
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { files: 1, row_group_rows: 256 * 1024, progress: None }
    }
}

/// The tables could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The scale is not a number above zero.
    #[error("scale {0} is not above zero")]
    Scale(f64),
    /// Something of a run with other options would be rows of a table, too.
    #[error("{path} is from another run and would be read with the new files; remove it, or choose another folder")]
    Stale {
        /// What is there.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The Parquet writer said no.
    #[error("cannot write {path}: {source}")]
    Parquet {
        /// Where.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
}

/// Writes all tables below `directory` (made if need be) and returns the files. The same scale and options give the same bytes.
///
/// A file appears under its name only when it is complete; files of that name are replaced.
///
/// # Errors
/// A scale that is not above zero, a directory that cannot be written, or one with files of a run with another number of files.
pub fn generate(directory: &Path, scale: f64, options: &Options<'_>) -> Result<Vec<PathBuf>, GenerateError> {
    if !(scale.is_finite() && scale > 0.0) {
        return Err(GenerateError::Scale(scale));
    }
    // The largest first, so that no thread is left with it at the end.
    let parts: Vec<Part> = super::TABLES.iter().rev().flat_map(|table| Part::all(table, directory, options.files)).collect();
    if let Some(path) = stale(directory, &parts) {
        return Err(GenerateError::Stale { path });
    }
    for part in &parts {
        let parent = part.path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(|source| GenerateError::Io { path: parent.to_owned(), source })?;
    }
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let worker = || {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = part.write(scale, options) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                next.store(parts.len(), Ordering::Relaxed);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(parts.len());
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(worker))));
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(parts.into_iter().map(|part| part.path).collect()),
    }
}

/// A file that is of a table by its place, and not one that is going to be replaced.
fn stale(directory: &Path, parts: &[Part]) -> Option<PathBuf> {
    let of_table = |table: &&str| {
        let folder = fs::read_dir(directory.join(table)).into_iter().flatten().flatten().map(|entry| entry.path());
        folder.chain([directory.join(format!("{table}.parquet"))]).collect::<Vec<_>>()
    };
    let is_file = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet") && path.exists();
    let is_replaced = |path: &PathBuf| parts.iter().any(|part| part.path == *path);
    super::TABLES.iter().flat_map(of_table).find(|path| is_file(path) && !is_replaced(path))
}

/// One file of one table.
struct Part {
    table: &'static str,
    /// 1-based, as dbgen counts.
    part: i32,
    part_count: i32,
    path: PathBuf,
}

impl Part {
    fn all(table: &'static str, directory: &Path, files: u32) -> Vec<Self> {
        let part_count = match table {
            "region" | "nation" | "supplier" => 1,
            _ => i32::try_from(files.max(1)).unwrap_or(i32::MAX),
        };
        let path = |part| match part_count {
            1 => directory.join(format!("{table}.parquet")),
            _ => directory.join(table).join(format!("part-{part:04}.parquet")),
        };
        (1..=part_count).map(|part| Self { table, part, part_count, path: path(part) }).collect()
    }

    fn rows(&self, scale: f64) -> Box<dyn RecordBatchReader> {
        let (part, count) = (self.part, self.part_count);
        match self.table {
            "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale, part, count))),
            "nation" => Box::new(NationArrow::new(NationGenerator::new(scale, part, count))),
            "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, part, count))),
            "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, part, count))),
            "part" => Box::new(PartArrow::new(PartGenerator::new(scale, part, count))),
            "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, part, count))),
            "orders" => Box::new(OrderArrow::new(OrderGenerator::new(scale, part, count))),
            _ => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, part, count))),
        }
    }

    fn write(&self, scale: f64, options: &Options<'_>) -> Result<(), GenerateError> {
        let unfinished = self.path.with_extension("parquet.part");
        let file = File::create(&unfinished).map_err(|source| self.io(source))?;
        self.write_rows(file, scale, options).map_err(|source| GenerateError::Parquet { path: self.path.clone(), source })?;
        fs::rename(&unfinished, &self.path).map_err(|source| self.io(source))
    }

    fn write_rows(&self, file: File, scale: f64, options: &Options<'_>) -> Result<(), ParquetError> {
        let rows = self.rows(scale);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
            .build();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties))?;
        for batch in rows {
            let batch = batch.map_err(|error: ArrowError| ParquetError::External(Box::new(error)))?;
            writer.write(&batch)?;
            if let Some(progress) = options.progress {
                progress(Progress { table: self.table, rows: batch.num_rows() as u64 });
            }
        }
        writer.close().map(drop)
    }

    fn io(&self, source: std::io::Error) -> GenerateError {
        GenerateError::Io { path: self.path.clone(), source }
    }
}
