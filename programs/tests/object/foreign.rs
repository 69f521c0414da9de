//! ELF objects as another compiler would write them.

use nearside_programs::Object;
use nearside_programs::isa::Slot;
use object::write::{Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

pub(crate) const CALL: Slot = Slot { opcode: 0x85, dst: 0, src: 1, offset: 0, imm: -1 };
pub(crate) const EXIT: Slot = Slot { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 };
pub(crate) const R_BPF_64_32: u32 = 10;
pub(crate) const LDDW: Slot = Slot { opcode: 0x18, dst: 1, src: 0, offset: 0, imm: 0 };
pub(crate) const ZERO: Slot = Slot { opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 };
pub(crate) const R_BPF_64_64: u32 = 1;

/// An object with code in `.text`, to which the rest is added.
pub(crate) struct Foreign {
    pub(crate) elf: object::write::Object<'static>,
    pub(crate) text: SectionId,
}

/// A symbol of a section.
pub(crate) struct Defined<'a> {
    pub(crate) section: SectionId,
    pub(crate) name: &'a str,
    pub(crate) kind: SymbolKind,
    pub(crate) is_local: bool,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

impl Foreign {
    pub(crate) fn new(code: &[Slot]) -> Self {
        let mut elf = object::write::Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let text = elf.section_id(StandardSection::Text);
        elf.set_section_data(text, bytes(code), 8);
        Self { elf, text }
    }

    pub(crate) fn section(&mut self, name: &str, kind: SectionKind, data: &[u8]) -> SectionId {
        let section = self.elf.add_section(Vec::new(), name.into(), kind);
        self.elf.set_section_data(section, data.to_vec(), 1);
        section
    }

    /// A function of `.text`.
    pub(crate) fn function(&mut self, name: &str, value: u64, size: u64) -> SymbolId {
        self.symbol(Defined { section: self.text, name, kind: SymbolKind::Text, is_local: false, value, size })
    }

    pub(crate) fn symbol(&mut self, symbol: Defined<'_>) -> SymbolId {
        let scope = if symbol.is_local { SymbolScope::Compilation } else { SymbolScope::Dynamic };
        let section = SymbolSection::Section(symbol.section);
        self.add(symbol.name, symbol.kind, [symbol.value, symbol.size], scope, section)
    }

    pub(crate) fn undefined(&mut self, name: &str) -> SymbolId {
        self.add(name, SymbolKind::Text, [0, 0], SymbolScope::Dynamic, SymbolSection::Undefined)
    }

    fn add(
        &mut self,
        name: &str,
        kind: SymbolKind,
        [value, size]: [u64; 2],
        scope: SymbolScope,
        section: SymbolSection,
    ) -> SymbolId {
        let flags = SymbolFlags::None;
        self.elf.add_symbol(Symbol { name: name.into(), value, size, kind, scope, weak: false, section, flags })
    }

    /// A relocation of `.text`.
    pub(crate) fn relocation(&mut self, offset: u64, symbol: SymbolId, r_type: u32) {
        let relocation = Relocation { offset, symbol, addend: 0, flags: RelocationFlags::Elf { r_type } };
        self.elf.add_relocation(self.text, relocation).unwrap();
    }

    pub(crate) fn read(&self) -> Result<Object, String> {
        Object::read(&self.elf.write().unwrap()).map_err(|error| error.to_string())
    }
}

fn bytes(code: &[Slot]) -> Vec<u8> {
    code.iter().flat_map(|slot| slot.to_bytes()).collect()
}
