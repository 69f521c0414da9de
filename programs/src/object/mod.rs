//! The unit of exchange: code, symbols and manifest, as an ELF64 eBPF object.
//!
//! Any eBPF tool reads what [`Object::write`] writes; [`Object::read`] reads that, and what other compilers put into one `.text`
//! section. It takes untrusted bytes: whatever they are, the answer is an object within the limits named here, or an
//! [`ObjectError`]. What the code does, and whether the manifest is coherent ([`crate::Manifest::check`]), is not looked at.

mod digest;
mod read;
mod write;

pub use read::ObjectError;

use crate::builder::Assembled;
use crate::isa::Slot;
use crate::manifest::Manifest;
use crate::maps::MapSpec;

/// Most bytes of an object.
pub const OBJECT_LEN_MAX: usize = 32 << 20;
/// Most sections.
pub const SECTIONS_MAX: usize = 1024;
/// Most instruction slots; the kernel's limit too.
pub const SLOTS_MAX: usize = 1_000_000;
/// Most functions.
pub const FUNCTIONS_MAX: usize = 4096;
/// Most bytes of a manifest's JSON.
pub const MANIFEST_LEN_MAX: usize = 4 << 20;
/// Most bytes of a name (section, symbol), and of the license.
pub const NAME_LEN_MAX: usize = 255;

/// Section of the manifest's JSON.
const MANIFEST_SECTION: &str = ".nearside";
const LICENSE_SECTION: &str = "license";
const CODE_SECTION: &str = ".text";

/// A function of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// Its first slot.
    pub start: u32,
    /// How many slots it has.
    pub len: u32,
    /// The section it came from: `.text`, or what says where a program belongs (`xdp`, `classifier`).
    pub section: String,
}

impl Function {
    /// A function of `.text`.
    pub fn new(name: impl Into<String>, start: u32, len: u32) -> Self {
        Self { name: name.into(), start, len, section: CODE_SECTION.into() }
    }
}

/// Code, symbols and manifest of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Instructions of all functions; relocations are resolved.
    pub code: Vec<Slot>,
    /// Functions by ascending start, disjoint.
    pub functions: Vec<Function>,
    /// Maps that the code refers to by index.
    pub maps: Vec<MapSpec>,
    /// `None`: an object of another compiler.
    pub manifest: Option<Manifest>,
    /// What the kernel asks for, such as `GPL`; empty if nobody said.
    pub license: String,
}

impl Object {
    /// A program of ours: what a builder built, with the builder's notes added to the manifest's.
    pub fn new(assembled: Assembled, mut manifest: Manifest) -> Self {
        let Assembled { code, functions, notes } = assembled;
        manifest.notes.extend(notes);
        Self { code, functions, maps: Vec::new(), manifest: Some(manifest), license: String::new() }
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}
