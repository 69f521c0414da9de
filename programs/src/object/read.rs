//! Bytes to objects, without trusting them.

use std::collections::BTreeSet;

use object::LittleEndian;
use object::elf::{
    EM_BPF, ET_REL, FileHeader64, R_BPF_64_32, R_BPF_NONE, Rel64, SHF_EXECINSTR, SHN_UNDEF, SHT_CREL, SHT_PROGBITS, SHT_REL,
    SHT_RELA, STT_FUNC, SectionHeader64, Sym64,
};
use object::read::SectionIndex;
use object::read::elf::{FileHeader, Rel as _, SectionHeader, SectionTable, Sym as _, SymbolTable};

use super::{
    CODE_SECTION, FUNCTIONS_MAX, Function, LICENSE_SECTION, MANIFEST_LEN_MAX, MANIFEST_SECTION, NAME_LEN_MAX, OBJECT_LEN_MAX,
    Object, SECTIONS_MAX, SLOTS_MAX,
};
use crate::abi::helper::Helper;
use crate::isa::Slot;
use crate::manifest::{Manifest, ReadError};

/// The bytes are no object this build takes. Whoever made the object must change it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Larger than a named limit.
    #[error("object has {given} {what}; the limit is {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        given: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Not an ELF file, or truncated, or its headers contradict each other.
    #[error("not a well-formed little-endian ELF64 object: {0}")]
    Malformed(#[from] object::read::Error),
    /// For another machine.
    #[error("ELF machine is {given}; eBPF is 247")]
    Machine {
        /// `e_machine`.
        given: u16,
    },
    /// An executable or library.
    #[error("ELF type is {given}; a relocatable object is 1")]
    NotRelocatable {
        /// `e_type`.
        given: u16,
    },
    /// A section is missing, doubled, or holds what it must not.
    #[error("section `{name}`: {problem}")]
    Section {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A function symbol that describes no function.
    #[error("function `{name}`: {problem}")]
    Function {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A relocation that cannot be resolved.
    #[error("relocation at byte {offset:#x} of .text: {problem}")]
    Relocation {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// A call names a helper this build does not have.
    #[error("instruction {slot}: no helper is named `{name}`")]
    UnknownHelper {
        /// The call.
        slot: u32,
        /// The symbol.
        name: String,
    },
    /// The manifest is unreadable or for another ABI.
    #[error(transparent)]
    Manifest(#[from] ReadError),
}

type Result<T, E = ObjectError> = std::result::Result<T, E>;
type Header = SectionHeader64<LittleEndian>;

const LE: LittleEndian = LittleEndian;
/// `call imm` (RFC 9669 §4.3.1).
const CALL: u8 = 0x85;

impl Object {
    /// Reads an object and resolves its relocations.
    ///
    /// # Errors
    /// [`ObjectError`], in one line that names the place.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        limit("bytes", bytes.len(), OBJECT_LEN_MAX)?;
        let elf = Elf::parse(bytes)?;
        let text = elf.code_section()?;
        let mut code = elf.code(text)?;
        elf.relocate(text, &mut code)?;
        let functions = elf.functions(text, code.len())?;
        Ok(Self { functions, code, maps: Vec::new(), manifest: elf.manifest()?, license: elf.license()? })
    }
}

struct Elf<'a> {
    bytes: &'a [u8],
    sections: SectionTable<'a, FileHeader64<LittleEndian>>,
    symbols: SymbolTable<'a, FileHeader64<LittleEndian>>,
}

impl<'a> Elf<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
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
        limit("sections", sections.len(), SECTIONS_MAX)?;
        let symbols = sections.symbols(LE, bytes, object::elf::SHT_SYMTAB)?;
        Ok(Self { bytes, sections, symbols })
    }

    /// The one section with code.
    fn code_section(&self) -> Result<SectionIndex> {
        let mut found = None;
        for (index, header) in self.sections.enumerate() {
            let name = self.section_name(header)?;
            if name == CODE_SECTION {
                if header.sh_type(LE) != SHT_PROGBITS || found.replace(index).is_some() {
                    return Err(section(name, "must be there once, with contents"));
                }
            } else if header.sh_flags(LE) & u64::from(SHF_EXECINSTR) != 0 && header.sh_size(LE) > 0 {
                return Err(section(name, "code outside of .text"));
            }
        }
        found.ok_or_else(|| section(CODE_SECTION, "is missing"))
    }

    fn code(&self, text: SectionIndex) -> Result<Vec<Slot>> {
        let (slots, rest) = self.sections.section(text)?.data(LE, self.bytes)?.as_chunks::<{ Slot::LEN }>();
        limit("instruction slots", slots.len(), SLOTS_MAX)?;
        if !rest.is_empty() {
            return Err(section(CODE_SECTION, "length is not a multiple of 8 bytes"));
        }
        Ok(slots.iter().map(|bytes| Slot::from_bytes(*bytes)).collect())
    }

    fn functions(&self, text: SectionIndex, code_len: usize) -> Result<Vec<Function>> {
        let mut functions = Vec::new();
        for (index, symbol) in self.symbols.enumerate() {
            if symbol.st_type() == STT_FUNC && self.symbols.symbol_section(LE, symbol, index)? == Some(text) {
                limit("functions", functions.len() + 1, FUNCTIONS_MAX)?;
                functions.push(self.function(symbol, code_len)?);
            }
        }
        functions.sort_by_key(|function| function.start);
        check_disjoint(&functions)?;
        Ok(functions)
    }

    fn function(&self, symbol: &Sym64<LittleEndian>, code_len: usize) -> Result<Function> {
        let name = self.symbol_name(symbol)?;
        let error = |problem| ObjectError::Function { name: name.into(), problem };
        if name.is_empty() {
            return Err(error("has no name"));
        }
        let start = slots(symbol.st_value(LE)).ok_or_else(|| error("does not start at an instruction"))?;
        let len = slots(symbol.st_size(LE)).filter(|len| *len > 0).ok_or_else(|| error("has no whole instructions"))?;
        if start as usize + len as usize > code_len {
            return Err(error("ends beyond .text"));
        }
        Ok(Function::new(name, start, len))
    }

    fn relocate(&self, text: SectionIndex, code: &mut [Slot]) -> Result<()> {
        let (mut done, mut total) = (BTreeSet::new(), 0);
        for header in self.sections.iter() {
            let kind = header.sh_type(LE);
            if ![SHT_REL, SHT_RELA, SHT_CREL].contains(&kind) || header.info_link(LE) != text {
                continue;
            }
            let name = self.section_name(header)?;
            let (relocations, symbols) = header.rel(LE, self.bytes)?.ok_or_else(|| section(name, "eBPF has SHT_REL only"))?;
            if symbols != self.symbols.section() {
                return Err(section(name, "is not linked to the symbol table"));
            }
            // Sections may overlap: without a bound on the sum, a small object could ask for much work.
            total += relocations.len();
            limit("relocations", total, code.len())?;
            for relocation in relocations {
                let slot = self.relocate_one(relocation, text, code)?;
                if slot.is_some_and(|slot| !done.insert(slot)) {
                    let problem = "is the second at this instruction";
                    return Err(ObjectError::Relocation { offset: relocation.r_offset(LE), problem });
                }
            }
        }
        Ok(())
    }

    /// Resolves one relocation: a call of a helper by name, or of a function or section of `.text`.
    fn relocate_one(&self, relocation: &Rel64<LittleEndian>, text: SectionIndex, code: &mut [Slot]) -> Result<Option<u32>> {
        let offset = relocation.r_offset(LE);
        let error = |problem| ObjectError::Relocation { offset, problem };
        match relocation.r_type(LE) {
            R_BPF_NONE => return Ok(None),
            R_BPF_64_32 => {}
            _ => return Err(error("only calls (R_BPF_64_32) are resolved")),
        }
        let slots_count = code.len() as i64;
        let slot = slots(offset).ok_or_else(|| error("is at no instruction"))?;
        let call = code.get_mut(slot as usize).ok_or_else(|| error("is at no instruction"))?;
        if call.opcode != CALL {
            return Err(error("is not at a call"));
        }
        let index = relocation.symbol(LE).ok_or_else(|| error("has no symbol"))?;
        let symbol = self.symbols.symbol(index)?;
        if symbol.st_shndx(LE) == SHN_UNDEF {
            let name = self.symbol_name(symbol)?;
            let helper = Helper::by_name(name).ok_or_else(|| ObjectError::UnknownHelper { slot, name: name.into() })?;
            *call = Slot { src: 0, imm: helper.number as i32, ..*call };
            return Ok(Some(slot));
        }
        if self.symbols.symbol_section(LE, symbol, index)? != Some(text) {
            return Err(error("is to a symbol outside of .text"));
        }
        // LLVM: `imm` is -1 beside a function symbol, and the target's slot - 1 beside a section symbol.
        let base = slots(symbol.st_value(LE)).ok_or_else(|| error("is to no instruction"))?;
        let target = i64::from(base) + i64::from(call.imm) + 1;
        if !(0..slots_count).contains(&target) {
            return Err(error("is to no instruction"));
        }
        *call = Slot { src: 1, imm: (target - i64::from(slot) - 1) as i32, ..*call };
        Ok(Some(slot))
    }

    fn manifest(&self) -> Result<Option<Manifest>> {
        let Some(json) = self.contents(MANIFEST_SECTION)? else { return Ok(None) };
        limit("bytes of manifest", json.len(), MANIFEST_LEN_MAX)?;
        Ok(Some(Manifest::from_json(json)?))
    }

    fn license(&self) -> Result<String> {
        let Some(bytes) = self.contents(LICENSE_SECTION)? else { return Ok(String::new()) };
        limit("bytes of license", bytes.len(), NAME_LEN_MAX + 1)?;
        let text = bytes.strip_suffix(&[0]).filter(|text| !text.contains(&0)).and_then(|text| std::str::from_utf8(text).ok());
        text.map(Into::into).ok_or_else(|| section(LICENSE_SECTION, "is not one zero-terminated text"))
    }

    /// Contents of the section of that name, if there is one; it must not be there twice.
    fn contents(&self, name: &str) -> Result<Option<&'a [u8]>> {
        let mut found = None;
        for header in self.sections.iter() {
            if self.section_name(header)? == name && found.replace(header.data(LE, self.bytes)?).is_some() {
                return Err(section(name, "is there twice"));
            }
        }
        Ok(found)
    }

    fn section_name(&self, header: &Header) -> Result<&'a str> {
        let name = self.sections.section_name(LE, header)?;
        checked_name(name).ok_or_else(|| section(&shown(name), "name is no text of at most 255 bytes"))
    }

    fn symbol_name(&self, symbol: &Sym64<LittleEndian>) -> Result<&'a str> {
        let name = self.symbols.symbol_name(LE, symbol)?;
        let problem = "name is no text of at most 255 bytes";
        checked_name(name).ok_or_else(|| ObjectError::Function { name: shown(name), problem })
    }
}

/// `functions` by ascending start.
fn check_disjoint(functions: &[Function]) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut end = 0;
    for function in functions {
        let error = |problem| Err(ObjectError::Function { name: function.name.clone(), problem });
        if function.start < end {
            return error("overlaps another function");
        }
        if !names.insert(&function.name) {
            return error("is there twice");
        }
        end = function.start + function.len;
    }
    Ok(())
}

fn limit(what: &'static str, given: usize, limit: usize) -> Result<()> {
    if given <= limit { Ok(()) } else { Err(ObjectError::TooLarge { what, given: given as u64, limit: limit as u64 }) }
}

/// Bytes as a count of slots, if it is a whole one that can be in any code.
fn slots(bytes: u64) -> Option<u32> {
    let len = Slot::LEN as u64;
    (bytes.is_multiple_of(len) && bytes / len <= SLOTS_MAX as u64).then_some((bytes / len) as u32)
}

fn section(name: &str, problem: &'static str) -> ObjectError {
    ObjectError::Section { name: name.into(), problem }
}

fn checked_name(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| name.len() <= NAME_LEN_MAX)
}

/// The beginning of a name that is not fit to be shown whole.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(32)]).escape_debug().collect()
}
