//! The unit of exchange: code, symbols, maps and manifest, as an ELF64 eBPF object.
//!
//! [`Object::read`] takes what `clang -target bpf` writes: code in `.text` and in sections with names of their own, global data,
//! maps in both forms that libbpf knows, helpers by symbol. [`Object::write`] writes what it reads, and what libbpf and the tools
//! built on it load. Reading takes untrusted bytes: whatever they are, the answer is an object within the limits named here, or
//! an [`ObjectError`]. What the code does, whether a kind of map allows its sizes, and whether the manifest is coherent
//! ([`crate::Manifest::check`]), is not looked at.

mod btf;
mod digest;
mod error;
mod read;
mod references;
mod write;

pub use error::ObjectError;

use crate::abi::helper::Helper;
use crate::builder::Assembled;
use crate::isa::{CallTarget, Instruction, Slot, decode};
use crate::manifest::Manifest;
use crate::maps::{MapKind, MapSpec, RDONLY_PROG};

/// Most bytes of an object.
pub const OBJECT_LEN_MAX: usize = 32 << 20;
/// Most sections.
pub const SECTIONS_MAX: usize = 1024;
/// Most instruction slots; the kernel's limit too.
pub const SLOTS_MAX: usize = 1_000_000;
/// Most functions.
pub const FUNCTIONS_MAX: usize = 4096;
/// Most bytes of global data in a section, zeros included. Who makes the map may allow fewer.
pub const DATA_LEN_MAX: usize = 1 << 30;
/// Most fields of a map's definition.
pub const MAP_FIELDS_MAX: usize = 32;
/// Most bytes of a manifest's JSON.
pub const MANIFEST_LEN_MAX: usize = 4 << 20;
/// Most bytes of a name (section, symbol, type), and of the license.
pub const NAME_LEN_MAX: usize = 255;

/// Section of the manifest's JSON.
const MANIFEST_SECTION: &str = ".nearside";
const LICENSE_SECTION: &str = "license";
const CODE_SECTION: &str = ".text";
/// Section of the maps that BTF defines.
const MAPS_SECTION: &str = ".maps";
/// An address in data; before LLVM 13 it was `R_BPF_64_64`.
const R_BPF_64_ABS64: u32 = 2;
const BTF_SECTION: &str = ".BTF";
const BTF_EXT_SECTION: &str = ".BTF.ext";

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

/// Code, symbols, maps and manifest of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Instructions of all functions; relocations are resolved.
    pub code: Vec<Slot>,
    /// Functions by ascending start, disjoint.
    pub functions: Vec<Function>,
    /// Maps that the code refers to by index: those that were declared, then one for each section of global data.
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

    /// The helpers that a function calls, each once, in the order in which they first stand in it; numbers that no helper has are left out.
    pub fn helpers_of(&self, function: &Function) -> Vec<&'static Helper> {
        let (start, end) = (function.start as usize, function.start as usize + function.len as usize);
        let mut helpers: Vec<&'static Helper> = Vec::new();
        let mut next = start;
        while next < end.min(self.code.len()) {
            let instruction = decode(&self.code, next);
            next += instruction.as_ref().map_or(1, Instruction::slot_count);
            let Ok(Instruction::Call(CallTarget::Helper(number))) = instruction else { continue };
            helpers.extend(Helper::by_number(number).filter(|helper| !helpers.contains(helper)));
        }
        helpers
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}

impl MapSpec {
    /// Whether it is the global data of a section.
    pub fn is_global_data(&self) -> bool {
        is_data_section(&self.name)
    }

    /// The map of a section of global data: an array of one element. No `initial` bytes: zeros.
    pub fn global_data(section: &str, len: u32, initial: Vec<u8>) -> Self {
        Self {
            name: section.into(),
            kind: MapKind::Array,
            key_len: 4,
            value_len: len,
            entries_max: 1,
            flags: if is_read_only_section(section) { RDONLY_PROG } else { 0 },
            inner: None,
            initial,
            named: Vec::new(),
        }
    }
}

/// Whether a section of that name holds global data, and a map of that name is that data.
fn is_data_section(name: &str) -> bool {
    [".rodata", ".data", ".bss"]
        .iter()
        .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Whether programs may only read what is in the data section of that name.
fn is_read_only_section(name: &str) -> bool {
    name.starts_with(".rodata")
}
