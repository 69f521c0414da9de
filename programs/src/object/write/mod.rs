//! Objects to bytes: what [`Object::read`] reads, and what libbpf loads into a kernel.

mod code;
mod maps;
mod types;

use std::collections::BTreeMap;

use object::elf::R_BPF_64_64;
use object::write::{Object as Elf, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use code::Run;
use types::Types;

use super::{BTF_EXT_SECTION, BTF_SECTION, LICENSE_SECTION, MANIFEST_SECTION, Object};

impl Object {
    /// The bytes of an ELF64 eBPF object: a section with code for each that functions came from, with a symbol for each function,
    /// `license` if there is one, declared maps in `.maps` with their types in `.BTF`, a section for each map of global data, and
    /// the manifest as JSON in `.nearside`. Equal objects give equal bytes.
    ///
    /// Maps of global data go behind declared ones, where reading finds them; code follows.
    ///
    /// # Panics
    /// If the object is one that [`Object::read`] never gives: names with a zero byte, `named` elements of maps that name nothing
    /// here, or `initial` bytes of a map that is not global data.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer {
            object: self,
            elf: Elf::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little),
            functions: BTreeMap::new(),
            maps: vec![None; self.maps.len()],
            types: Types::new(),
            takes_addresses: false,
        };
        let runs = writer.add_code();
        writer.add_license();
        writer.add_maps();
        writer.relocate(&runs);
        writer.add_types(&runs);
        writer.add_manifest();
        writer.elf.write().expect("the sections, symbols and relocations made here have an ELF form")
    }
}

struct Writer<'a> {
    object: &'a Object,
    elf: Elf<'static>,
    /// Symbols of functions, by first slot.
    functions: BTreeMap<u32, SymbolId>,
    /// Symbols of maps: of declared ones, and of the sections of global data.
    maps: Vec<Option<SymbolId>>,
    types: Types,
    /// Whether code takes the address of a function: a kernel then wants functions to have types.
    takes_addresses: bool,
}

/// A symbol for that many bytes at that place of a section.
struct Extent {
    section: SectionId,
    start: u64,
    len: u64,
}

impl Writer<'_> {
    fn add_license(&mut self) {
        if !self.object.license.is_empty() {
            self.section(LICENSE_SECTION, SectionKind::Data, [self.object.license.as_bytes(), &[0]].concat(), 1);
        }
    }

    fn add_manifest(&mut self) {
        if let Some(manifest) = &self.object.manifest {
            self.section(MANIFEST_SECTION, SectionKind::Metadata, manifest.to_json(), 1);
        }
    }

    fn add_types(&mut self, runs: &[Run<'_>]) {
        let object = self.object;
        if self.takes_addresses {
            let functions = self.types.functions(runs.iter().map(|run| run.functions(object)));
            self.section(BTF_EXT_SECTION, SectionKind::Metadata, functions, 4);
        }
        if let Some(types) = std::mem::replace(&mut self.types, Types::new()).finish() {
            self.section(BTF_SECTION, SectionKind::Metadata, types, 4);
        }
    }

    fn section(&mut self, name: &str, kind: SectionKind, contents: Vec<u8>, align: u64) -> SectionId {
        let section = self.elf.add_section(Vec::new(), name.into(), kind);
        self.elf.set_section_data(section, contents, align);
        section
    }

    fn symbol(&mut self, name: &str, kind: SymbolKind, extent: Extent) -> SymbolId {
        self.elf.add_symbol(Symbol {
            name: name.into(),
            value: extent.start,
            size: extent.len,
            kind,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(extent.section),
            flags: SymbolFlags::None,
        })
    }

    /// What is added to the symbol is in the section's contents.
    fn relocation(&mut self, section: SectionId, offset: u64, symbol: SymbolId, r_type: u32) {
        let relocation = Relocation { offset, symbol, addend: 0, flags: RelocationFlags::Elf { r_type } };
        self.elf.add_relocation(section, relocation).expect("a relocation without addend changes no bytes");
    }

    fn map_symbol(&self, index: u32) -> Option<SymbolId> {
        self.maps.get(index as usize).copied().flatten()
    }
}
