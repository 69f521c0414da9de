//! A directory as a medium: every path is resolved by the kernel below the root, so that `..`, absolute paths and links
//! that lead out are refused whatever races a writer plays.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::DeviceError;

/// `openat2` may report a race with a rename while it resolves `..` inside a link; so often it is tried again.
const RACE_RETRIES: usize = 16;

/// The root, opened once.
#[derive(Debug)]
pub(crate) struct Directory {
    root: OwnedFd,
    /// How the root was named, for messages.
    pub(super) name: String,
}

/// A regular file below the root.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) meta: FileMeta,
}

/// What identifies a version of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileMeta {
    pub(super) size: u64,
    inode: u64,
    /// Since 1970; 0 if before.
    pub(super) modified_micros: u64,
}

/// Why a path is not an object here.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("an absolute path; objects are named relative to the device's root")]
    Absolute,
    #[error("not an object path: {0}")]
    Path(#[from] object_store::path::Error),
    #[error("no such file")]
    Missing,
    #[error("it leads out of the device's root")]
    Outside,
    #[error("not a regular file")]
    NotAFile,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Directory {
    pub(crate) fn open(root: &Path) -> Result<Self, DeviceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = root.display().to_string();
        match rustix::fs::open(root, flags, Mode::empty()) {
            Ok(root) => Ok(Self { root, name }),
            Err(errno) => Err(DeviceError::NotFound { path: name, reason: io::Error::from(errno).to_string() }),
        }
    }

    /// Opens a regular file by its object path.
    pub(super) fn open_file(&self, path: &str) -> Result<OpenFile, OpenError> {
        if path.starts_with('/') {
            return Err(OpenError::Absolute);
        }
        let path = ObjectPath::parse(path)?;
        // NONBLOCK: a FIFO must not hang the thread before it is seen to be no file.
        let fd = self.resolve(path.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let meta = FileMeta::new(&rustix::fs::fstat(&fd).map_err(io::Error::from)?)?;
        Ok(OpenFile { file: File::from(fd), meta })
    }

    /// Opens a directory by its object path; the empty path is the root.
    pub(super) fn open_directory(&self, path: &str) -> Result<OwnedFd, OpenError> {
        let path = if path.is_empty() { "." } else { path };
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, OpenError> {
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), rules);
        let mut result = open();
        for _ in 0..RACE_RETRIES {
            if !matches!(result, Err(Errno::AGAIN)) {
                break;
            }
            result = open();
        }
        result.map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => OpenError::Missing,
            Errno::XDEV => OpenError::Outside,
            errno => OpenError::Io(errno.into()),
        })
    }
}

impl FileMeta {
    fn new(stat: &Stat) -> Result<Self, OpenError> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(OpenError::NotAFile);
        }
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let modified_micros = seconds.saturating_mul(1_000_000).saturating_add(stat.st_mtime_nsec / 1_000);
        Ok(Self { size: u64::try_from(stat.st_size).unwrap_or(0), inode: stat.st_ino, modified_micros })
    }

    /// The form that `object_store`'s own local file system gives, so that a host that reads the same files sees the same.
    pub(super) fn etag(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.inode, self.modified_micros, self.size)
    }
}

/// Reads all of a range that lies within the file.
pub(super) fn read(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut buffer = Vec::with_capacity(len);
    while buffer.len() < len {
        let offset = range.start + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has shrunk")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    buffer.truncate(len);
    Ok(Bytes::from(buffer))
}
