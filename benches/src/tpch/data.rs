//! The tables.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nearside::tpch;

use crate::tpch::options::Options;

/// The folder of the tables, made on first use.
pub(crate) fn folder(options: &Options) -> Result<PathBuf> {
    if let Some(folder) = &options.data {
        ensure!(folder.join("lineitem.parquet").is_file(), "--data {}: no lineitem.parquet there", folder.display());
        return Ok(fs::canonicalize(folder)?);
    }
    let folder = cache_folder().join(format!("tpch-{}", options.scale));
    if !folder.is_dir() {
        make(&folder, options.scale)?;
    }
    Ok(folder)
}

/// Another name until it is complete: a bench that was stopped leaves nothing that looks like data.
fn make(folder: &Path, scale: f64) -> Result<()> {
    eprintln!("making TPC-H data at scale {scale} in {} (once)", folder.display());
    let unfinished = folder.with_extension(format!("part-{}", std::process::id()));
    tpch::generate(&unfinished, scale, &tpch::Options::default())?;
    fs::rename(&unfinished, folder).with_context(|| folder.display().to_string())
}

/// Where the command line's demo has its tables, too.
fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    cache.or_else(home).unwrap_or_else(std::env::temp_dir).join("nearside")
}
