//! Objects that clang compiles of the sources in `c/`, at every optimisation level and ISA version, with and without types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Compilers to look for, the one with the newest ISA first.
const CLANGS: [&str; 6] = ["clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang"];

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    pub(crate) optimisation: &'a str,
    pub(crate) isa: &'a str,
    /// `-g`: without it there is no `.BTF`.
    pub(crate) types: bool,
    pub(crate) defines: &'a [&'a str],
}

/// What packet programs are usually compiled with.
pub(crate) const USUAL: Options<'static> = Options { optimisation: "-O2", isa: "v3", types: true, defines: &[] };

/// Every combination; those of an ISA version that no compiler here has are left out, and said to be.
pub(crate) fn options(test: &str) -> Vec<Options<'static>> {
    let mut all = Vec::new();
    for isa in ["v1", "v2", "v3", "v4"] {
        if compiler(isa).is_none() {
            println!("SKIP {test}: no clang here compiles for BPF ISA {isa} (Debian: apt-get install clang-19)");
            continue;
        }
        for optimisation in ["-O0", "-O1", "-O2", "-Os"] {
            all.extend([false, true].map(|types| Options { optimisation, isa, types, ..USUAL }));
        }
    }
    all
}

/// The object of `c/NAME.c`; `None`, and the reason on standard output, if there is no compiler.
pub(crate) fn compile(test: &str, name: &str, options: Options<'_>) -> Option<Vec<u8>> {
    let Some(clang) = compiler(options.isa) else {
        println!("SKIP {test}: no clang here compiles for BPF ISA {} (Debian: apt-get install clang clang-19)", options.isa);
        return None;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let output = run(clang, &source, options);
    assert!(output.status.success(), "{clang} {name} {options:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// The newest compiler that knows the ISA version.
fn compiler(isa: &str) -> Option<&'static str> {
    static FOUND: OnceLock<Vec<Option<&str>>> = OnceLock::new();
    let versions = ["v1", "v2", "v3", "v4"];
    let found = FOUND.get_or_init(|| {
        let knows = |clang: &str, isa| run(clang, &empty_source(), Options { isa, ..USUAL }).status.success();
        let exists = |clang: &str| Command::new(clang).arg("--version").output().is_ok_and(|output| output.status.success());
        let clangs: Vec<_> = CLANGS.into_iter().filter(|clang| exists(clang)).collect();
        versions.map(|isa| clangs.iter().copied().find(|clang| knows(clang, isa))).to_vec()
    });
    found[versions.iter().position(|version| *version == isa).expect("an ISA version")]
}

/// Compiles to standard output.
fn run(clang: &str, source: &Path, options: Options<'_>) -> Output {
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-Wall", "-Werror", "-Wno-unused-function", options.optimisation]);
    command.arg(format!("-mcpu={}", options.isa));
    command.args(options.types.then_some("-g"));
    command.args(options.defines.iter().map(|define| format!("-D{define}")));
    command.args(["-o", "-", "-c"]).arg(source).output().expect("the compiler starts")
}

fn empty_source() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.c");
    fs::write(&path, "int empty;\n").expect("the directory for tests' files takes one");
    path
}
