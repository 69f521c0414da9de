//! This user's folders, where the XDG Base Directory Specification has them.

use std::env;
use std::path::PathBuf;

/// For what can be made again.
pub(crate) fn cache() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME", ".cache")
}

/// For what is good to have the next time.
pub(crate) fn state() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

/// "All paths set in these environment variables must be absolute": an empty one is as good as none.
fn folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set(variable).or_else(|| Some(set("HOME")?.join(in_home)))?;
    Some(folder.join("nearside"))
}
