//! Objects that clang compiles of the sources in `c/`.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Compilers to look for, the newest first.
const CLANGS: [&str; 6] = ["clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang"];

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    pub(crate) clang: &'a str,
    pub(crate) optimisation: &'a str,
    pub(crate) isa: &'a str,
    /// `-g`: without it there is no `.BTF`.
    pub(crate) types: bool,
    pub(crate) defines: &'a [&'a str],
    pub(crate) flags: &'a [&'a str],
}

/// The compilers that are here, the newest first; none, and the reason on standard output, if there is none.
pub(crate) fn clangs(test: &str) -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&str>> = OnceLock::new();
    let exists = |clang: &&str| Command::new(clang).arg("--version").output().is_ok_and(|output| output.status.success());
    let found = FOUND.get_or_init(|| CLANGS.into_iter().filter(exists).collect());
    if found.is_empty() {
        println!("SKIP {test}: needs clang (Debian: apt-get install clang clang-19)");
    }
    found
}

/// What packet programs are usually compiled with.
pub(crate) fn usual(clang: &str) -> Options<'_> {
    Options { clang, optimisation: "-O2", isa: "v3", types: true, defines: &[], flags: &[] }
}

/// The object of `c/NAME.c`.
pub(crate) fn compile(name: &str, options: Options<'_>) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let output = run(&source, options);
    assert!(output.status.success(), "{name} {options:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Compiles to standard output.
pub(crate) fn run(source: &Path, options: Options<'_>) -> Output {
    let mut command = Command::new(options.clang);
    command.args(["-target", "bpf", "-Wall", "-Werror", "-Wno-unused-function", options.optimisation]);
    command.arg(format!("-mcpu={}", options.isa));
    command.args(options.types.then_some("-g"));
    command.args(options.flags);
    command.args(options.defines.iter().map(|define| format!("-D{define}")));
    command.args(["-o", "-", "-x", "c", "-c"]).arg(source).stdin(Stdio::null()).output().expect("the compiler starts")
}
