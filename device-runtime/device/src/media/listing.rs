//! What lies below a directory, as object listings: sorted by name, depth first.
//!
//! Links to files are followed if they stay below the root; links to directories only where the prefix names them, so
//! that a walk always ends. What is no regular file, or has a name that is no object path, is not listed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use object_store::path::Path as ObjectPath;
use rustix::fs::{Dir, FileType};

use super::directory::{Directory, FileMeta, OpenError};

/// Directories below directories; deeper ones are not listed.
const DEPTH_MAX: usize = 64;

/// One level of a listing.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) files: Vec<(ObjectPath, FileMeta)>,
    pub(super) directories: Vec<ObjectPath>,
}

/// Reads one directory. One that is not there is empty: object stores have no directories.
pub(super) fn level(directory: &Directory, prefix: &ObjectPath) -> Result<Level, OpenError> {
    let fd = match directory.open_directory(prefix.as_ref()) {
        Ok(fd) => fd,
        Err(OpenError::Missing) => return Ok(Level::default()),
        Err(error) => return Err(error),
    };
    let mut level = Level::default();
    for name in sorted_names(fd)? {
        let Some(path) = child(prefix, &name.text) else { continue };
        match name.file_type {
            FileType::Directory => level.directories.push(path),
            // Opened, because only that tells what a link leads to, and whether it stays below the root.
            FileType::RegularFile | FileType::Symlink | FileType::Unknown => {
                if let Ok(file) = directory.open_file(path.as_ref()) {
                    level.files.push((path, file.meta));
                }
            }
            _ => {}
        }
    }
    Ok(level)
}

struct Name {
    text: String,
    file_type: FileType,
}

fn sorted_names(fd: OwnedFd) -> Result<Vec<Name>, io::Error> {
    let mut names = Vec::new();
    for entry in Dir::new(fd)? {
        let entry = entry?;
        if let Ok(text) = entry.file_name().to_str()
            && !matches!(text, "." | "..")
        {
            names.push(Name { text: text.to_owned(), file_type: entry.file_type() });
        }
    }
    names.sort_by(|a, b| a.text.cmp(&b.text));
    Ok(names)
}

fn child(prefix: &ObjectPath, name: &str) -> Option<ObjectPath> {
    let text = if prefix.as_ref().is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    ObjectPath::parse(text).ok()
}

/// Walks everything below a prefix.
#[derive(Debug)]
pub(super) struct Walk {
    directory: Arc<Directory>,
    /// Directories still to read, the next one last.
    pending: Vec<ObjectPath>,
    root_depth: usize,
}

impl Walk {
    pub(super) fn new(directory: Arc<Directory>, prefix: Option<&ObjectPath>) -> Self {
        let prefix = prefix.cloned().unwrap_or_default();
        Self { directory, root_depth: prefix.parts_count(), pending: vec![prefix] }
    }

    /// The files of the next directory.
    pub(super) fn next_directory(&mut self) -> Option<Result<Vec<(ObjectPath, FileMeta)>, OpenError>> {
        let prefix = self.pending.pop()?;
        Some(level(&self.directory, &prefix).map(|level| {
            if prefix.parts_count() - self.root_depth < DEPTH_MAX {
                self.pending.extend(level.directories.into_iter().rev());
            }
            level.files
        }))
    }
}
