//! The tables of an ELF file: sections, symbols and their names, each checked where it is first met.

use object::LittleEndian;
use object::elf::{EM_BPF, ET_REL, FileHeader64, SHN_UNDEF, SHT_SYMTAB, SectionHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym as _, SymbolTable};
use object::read::{SectionIndex, SymbolIndex};

use crate::isa::Slot;
use crate::object::error::{Result, limit};
use crate::object::{NAME_LEN_MAX, ObjectError, SECTIONS_MAX, SLOTS_MAX};

pub(super) const LE: LittleEndian = LittleEndian;

pub(super) type Header = SectionHeader64<LittleEndian>;
pub(super) type Symbol = Sym64<LittleEndian>;

/// A file of the right kind, and its tables.
pub(super) struct Elf<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) sections: SectionTable<'a, FileHeader64<LittleEndian>>,
    pub(super) symbols: SymbolTable<'a, FileHeader64<LittleEndian>>,
}

/// Where a symbol is.
pub(super) enum Place {
    /// Somebody else has it.
    Undefined,
    /// So many bytes into a section.
    At {
        /// The section.
        section: SectionIndex,
        /// Bytes.
        offset: u64,
    },
    /// An absolute number, a common block.
    Elsewhere,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = FileHeader64::<LittleEndian>::parse(bytes)?;
        header.endian()?;
        let machine = header.e_machine(LE);
        if machine != EM_BPF {
            return Err(ObjectError::Machine { given: machine });
        }
        if header.e_type(LE) != ET_REL {
            return Err(ObjectError::NotRelocatable { given: header.e_type(LE) });
        }
        let sections = header.sections(LE, bytes)?;
        limit("sections", sections.len() as u64, SECTIONS_MAX)?;
        let symbols = sections.symbols(LE, bytes, SHT_SYMTAB)?;
        Ok(Self { bytes, sections, symbols })
    }

    pub(super) fn section_name(&self, header: &Header) -> Result<&'a str> {
        let name = self.sections.section_name(LE, header)?;
        checked_name(name).ok_or_else(|| ObjectError::section(&shown(name), "name is no text of at most 255 bytes"))
    }

    pub(super) fn contents(&self, header: &Header) -> Result<&'a [u8]> {
        Ok(header.data(LE, self.bytes)?)
    }

    pub(super) fn symbol_name(&self, symbol: &Symbol) -> Result<&'a str> {
        let name = self.symbols.symbol_name(LE, symbol)?;
        checked_name(name).ok_or_else(|| ObjectError::function(&shown(name), "name is no text of at most 255 bytes"))
    }

    pub(super) fn place(&self, symbol: &Symbol, index: SymbolIndex) -> Result<Place> {
        if symbol.st_shndx(LE) == SHN_UNDEF {
            return Ok(Place::Undefined);
        }
        Ok(match self.symbols.symbol_section(LE, symbol, index)? {
            Some(section) => Place::At { section, offset: symbol.st_value(LE) },
            None => Place::Elsewhere,
        })
    }
}

/// Bytes as a count of slots, if it is a whole one that can be in any code.
pub(super) fn slots(bytes: u64) -> Option<u32> {
    let len = Slot::LEN as u64;
    (bytes.is_multiple_of(len) && bytes / len <= SLOTS_MAX as u64).then_some((bytes / len) as u32)
}

fn checked_name(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| name.len() <= NAME_LEN_MAX)
}

/// The beginning of a name that is not fit to be shown whole.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(32)]).escape_debug().collect()
}
