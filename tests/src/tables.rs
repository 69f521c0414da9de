//! TPC-H tables in a temporary folder.

use std::path::Path;

use nearside::tpch;
use tempfile::TempDir;

/// The eight tables as Parquet, one file each.
#[derive(Debug)]
pub struct Tables {
    folder: TempDir,
}

impl Tables {
    /// Writes them. Small row groups give a scan several morsels.
    ///
    /// # Panics
    /// If the disk does not take them.
    pub fn generate(scale: f64, row_group_rows: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = tpch::Options { row_group_rows, ..tpch::Options::default() };
        tpch::generate(folder.path(), scale, &options).expect("TPC-H tables");
        Self { folder }
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same for a command line.
    pub fn text(&self) -> String {
        self.path().display().to_string()
    }

    /// `file:///…`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Length of a table's file, bytes.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn file_len(&self, table: &str) -> u64 {
        self.path().join(format!("{table}.parquet")).metadata().expect("a table").len()
    }
}
