//! What each section is for, and where the linked program has its code.

use std::ops::Range;

use object::elf::{SHF_EXECINSTR, SHT_NOBITS, SHT_PROGBITS};
use object::read::SectionIndex;
use object::read::elf::SectionHeader as _;

use super::elf::{Elf, Header, LE};
use crate::isa::Slot;
use crate::object::error::{Result, limit};
use crate::object::{
    BTF_EXT_SECTION, BTF_SECTION, CODE_SECTION, DATA_LEN_MAX, LICENSE_SECTION, MANIFEST_SECTION, MAPS_SECTION, ObjectError,
    SLOTS_MAX, is_data_section,
};

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions.
    Code,
    /// Global data: a map of its own.
    Data,
    /// Maps, each defined by a struct of numbers.
    LegacyMaps,
    /// Maps, each defined by the type of its symbol.
    BtfMaps,
    /// Types.
    Btf,
    /// What refers from code to types.
    BtfExt,
    License,
    Manifest,
    /// Nothing that is needed here: symbols, strings, debug information, the kernel version somebody wants.
    Other,
}

/// One section.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    /// Bytes of its contents, zeros of `.bss` included.
    pub(super) len: u64,
    /// Its contents; none for what has the role [`Role::Other`], or is zeros that no file holds.
    pub(super) bytes: &'a [u8],
    /// Its slots in the linked program.
    pub(super) slots: Range<u32>,
}

/// All sections, by index.
pub(super) struct Sections<'a> {
    all: Vec<Section<'a>>,
}

impl<'a> Sections<'a> {
    pub(super) fn new(elf: &Elf<'a>) -> Result<Self> {
        let (mut all, mut contents_len, mut slot) = (Vec::new(), 0, 0);
        for header in elf.sections.iter() {
            let mut section = section(elf, header)?;
            contents_len += section.bytes.len();
            // Sections may overlap: without a bound on the sum, a small object could ask for much memory.
            limit("bytes of contents", contents_len as u64, elf.bytes.len())?;
            if section.role == Role::Code {
                let len = section.bytes.len() / Slot::LEN;
                limit("instruction slots", slot as u64 + len as u64, SLOTS_MAX)?;
                section.slots = slot..slot + len as u32;
                slot = section.slots.end;
            }
            all.push(section);
        }
        if !all.iter().any(|section| section.role == Role::Code) {
            return Err(ObjectError::section(CODE_SECTION, "is missing"));
        }
        Ok(Self { all })
    }

    /// The sections of a role, with their indices.
    pub(super) fn of(&self, role: Role) -> impl Iterator<Item = (SectionIndex, &Section<'a>)> {
        self.all
            .iter()
            .enumerate()
            .map(|(index, section)| (SectionIndex(index), section))
            .filter(move |(_, section)| section.role == role)
    }

    /// The section of that role, if there is one; it must not be there twice.
    pub(super) fn sole(&self, role: Role) -> Result<Option<&Section<'a>>> {
        let mut found = self.of(role).map(|(_, section)| section);
        let first = found.next();
        match found.next() {
            Some(second) => Err(ObjectError::section(second.name, "is there twice")),
            None => Ok(first),
        }
    }

    pub(super) fn get(&self, index: SectionIndex) -> Option<&Section<'a>> {
        self.all.get(index.0)
    }

    /// All code, linked: one section after the other.
    pub(super) fn code(&self) -> Result<Vec<Slot>> {
        let mut code = Vec::new();
        for (_, section) in self.of(Role::Code) {
            let (slots, rest) = section.bytes.as_chunks::<{ Slot::LEN }>();
            if !rest.is_empty() {
                return Err(ObjectError::section(section.name, "length is not a multiple of 8 bytes"));
            }
            code.extend(slots.iter().map(|bytes| Slot::from_bytes(*bytes)));
        }
        Ok(code)
    }
}

fn section<'a>(elf: &Elf<'a>, header: &Header) -> Result<Section<'a>> {
    let name = elf.section_name(header)?;
    let len = header.sh_size(LE);
    let role = role(name, header)?;
    let bytes = if role == Role::Other { &[] } else { elf.contents(header)? };
    match role {
        Role::Data => limit("bytes of global data in a section", len, DATA_LEN_MAX)?,
        Role::Other => {}
        _ if bytes.len() as u64 != len => return Err(ObjectError::section(name, "has no contents")),
        _ => {}
    }
    Ok(Section { name, role, len, bytes, slots: 0..0 })
}

fn role(name: &str, header: &Header) -> Result<Role> {
    let has_code = header.sh_flags(LE) & u64::from(SHF_EXECINSTR) != 0 && header.sh_size(LE) > 0;
    let role = match name {
        _ if ![SHT_PROGBITS, SHT_NOBITS].contains(&header.sh_type(LE)) => return Ok(Role::Other),
        CODE_SECTION => return Ok(Role::Code),
        LICENSE_SECTION => Role::License,
        MANIFEST_SECTION => Role::Manifest,
        MAPS_SECTION => Role::BtfMaps,
        "maps" => Role::LegacyMaps,
        BTF_SECTION => Role::Btf,
        BTF_EXT_SECTION => Role::BtfExt,
        _ if name.starts_with("maps/") => Role::LegacyMaps,
        _ if is_data_section(name) => Role::Data,
        _ if has_code && name.is_empty() => return Err(ObjectError::section(name, "has code and no name")),
        _ if has_code => return Ok(Role::Code),
        _ => Role::Other,
    };
    if has_code { Err(ObjectError::section(name, "must not hold code")) } else { Ok(role) }
}
