//! Objects to bytes.

use object::write::{Object as Elf, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use super::{Function, LICENSE_SECTION, MANIFEST_SECTION, Object};
use crate::isa::Slot;

impl Object {
    /// The bytes of an ELF64 eBPF object: `.text` with a symbol for each function, `license` if there is one, and the manifest as
    /// JSON in `.nearside`. Equal objects give equal bytes.
    ///
    /// # Panics
    /// If a function's name contains a zero byte: no ELF symbol can, and neither [`Object::read`] nor an identifier has one.
    pub fn write(&self) -> Vec<u8> {
        let mut elf = Elf::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let text = elf.section_id(StandardSection::Text);
        let code: Vec<u8> = self.code.iter().flat_map(|slot| slot.to_bytes()).collect();
        elf.set_section_data(text, code, Slot::LEN as u64);
        for function in &self.functions {
            elf.add_symbol(symbol(function, SymbolSection::Section(text)));
        }
        if !self.license.is_empty() {
            let section = elf.add_section(Vec::new(), LICENSE_SECTION.into(), SectionKind::Data);
            elf.set_section_data(section, [self.license.as_bytes(), &[0]].concat(), 1);
        }
        if let Some(manifest) = &self.manifest {
            let section = elf.add_section(Vec::new(), MANIFEST_SECTION.into(), SectionKind::Metadata);
            elf.set_section_data(section, manifest.to_json(), 1);
        }
        elf.write().expect("sections and symbols without relocations have an ELF form")
    }
}

fn symbol(function: &Function, section: SymbolSection) -> Symbol {
    Symbol {
        name: function.name.clone().into_bytes(),
        value: u64::from(function.start) * Slot::LEN as u64,
        size: u64::from(function.len) * Slot::LEN as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section,
        flags: SymbolFlags::None,
    }
}
