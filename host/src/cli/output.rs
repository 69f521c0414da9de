//! Files that a command writes beside its results.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// A file that can be written: that it cannot is said before the work, not after it.
#[derive(Debug)]
pub(crate) struct NewFile {
    option: &'static str,
    path: PathBuf,
}

impl NewFile {
    /// Makes the file, empty. The option is what the user has named it by.
    pub(crate) fn create(option: &'static str, path: &Path) -> Result<Self, Failure> {
        let file = Self { option, path: path.to_owned() };
        File::create(path).map_err(|error| file.failed(&error))?;
        Ok(file)
    }

    /// Replaces its contents.
    pub(crate) fn write(&self, contents: &[u8]) -> Result<(), Failure> {
        fs::write(&self.path, contents).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::usage(format!("{} {}: cannot be written: {error}", self.option, self.path.display()))
    }
}
