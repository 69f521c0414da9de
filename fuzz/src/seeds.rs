//! Inputs to begin with, made by the targets themselves: nothing is fetched, and no binary is committed.

use std::path::PathBuf;
use std::{env, fs};

/// Puts inputs into the corpus: the first folder among the command line's arguments, which is where `cargo fuzz run` has it. libFuzzer calls
/// a target's `init` before it reads the corpus. Without a folder (a single input is replayed) nothing is done.
///
/// # Panics
/// The folder cannot be written to.
pub(crate) fn seed(inputs: impl IntoIterator<Item = Vec<u8>>) {
    let Some(corpus) = env::args_os().skip(1).map(PathBuf::from).find(|path| path.is_dir()) else { return };
    for (index, input) in inputs.into_iter().enumerate() {
        let path = corpus.join(format!("seed-{index}"));
        fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
