//! Relocations: calls and addresses by symbol become numbers.

use std::collections::BTreeSet;

use object::LittleEndian;
use object::elf::{R_BPF_64_32, R_BPF_64_64, R_BPF_NONE, Rel64, SHT_CREL, SHT_REL, SHT_RELA};
use object::read::SectionIndex;
use object::read::elf::{Rel as _, SectionHeader as _};

use super::elf::{Elf, LE, Place, slots};
use super::maps::Maps;
use super::sections::{Role, Section, Sections};
use crate::abi::helper::Helper;
use crate::isa::Slot;
use crate::object::ObjectError;
use crate::object::error::{Result, limit};
use crate::object::references::{CALL, CALL_LOCAL, CODE, LDDW, MAP, MAP_VALUE, Reference, references, target};

type Entry = Rel64<LittleEndian>;

/// The relocations of code and of definitions of maps; those of types and debug information are of no interest.
pub(super) struct Relocations<'a> {
    parts: Vec<(SectionIndex, &'a [Entry])>,
}

impl<'a> Relocations<'a> {
    pub(super) fn new(elf: &Elf<'a>, sections: &Sections<'a>) -> Result<Self> {
        let words = |role| sections.of(role).map(|(_, section)| section.bytes.len() / Slot::LEN).sum::<usize>();
        let count_max = words(Role::Code) + words(Role::BtfMaps);
        let (mut parts, mut count) = (Vec::new(), 0);
        for header in elf.sections.iter() {
            let target = header.info_link(LE);
            let Some(section) = sections.get(target).filter(|section| section.role.is_loaded()) else { continue };
            if ![SHT_REL, SHT_RELA, SHT_CREL].contains(&header.sh_type(LE)) {
                continue;
            }
            let error = |problem| Err(ObjectError::section(section.name, problem));
            let Some((entries, symbols)) = header.rel(LE, elf.bytes)? else {
                return error("has relocations that are not SHT_REL, the only kind of eBPF");
            };
            if symbols != elf.symbols.section() {
                return error("has relocations that are not linked to the symbol table");
            }
            // Sections may overlap: without a bound on the sum, a small object could ask for much work.
            count += entries.len();
            limit("relocations", count as u64, count_max)?;
            if [Role::Data, Role::LegacyMaps].contains(&section.role) {
                refuse(elf, section, entries)?;
            } else {
                parts.push((target, entries));
            }
        }
        Ok(Self { parts })
    }

    /// The relocations of one section.
    pub(super) fn of(&self, section: SectionIndex) -> impl Iterator<Item = &'a Entry> {
        let parts = self.parts.iter().filter(move |(index, _)| *index == section);
        parts.flat_map(|(_, entries)| entries.iter()).filter(|entry| entry.r_type(LE) != R_BPF_NONE)
    }

    /// Resolves those of code.
    pub(super) fn resolve(&self, elf: &Elf<'_>, sections: &Sections<'_>, maps: &Maps, code: &mut [Slot]) -> Result<()> {
        let mut done = BTreeSet::new();
        for (index, section) in sections.of(Role::Code) {
            for entry in self.of(index) {
                let site = Site::new(section, entry)?;
                let slot = site.slot.ok_or_else(|| site.error("is at no instruction"))?;
                if !done.insert(slot) {
                    return Err(site.error("is the second at this instruction"));
                }
                let target = Target::of(elf, sections, &site, entry)?;
                match entry.r_type(LE) {
                    R_BPF_64_32 => call(&site, target, slot, code)?,
                    R_BPF_64_64 => load(&site, target, slot, maps, code)?,
                    _ => return Err(site.error("is neither R_BPF_64_64 nor R_BPF_64_32")),
                }
            }
            stays_inside(section, &done, code)?;
        }
        Ok(())
    }
}

impl Role {
    /// Whether it becomes part of the program, so that relocations of it matter.
    fn is_loaded(self) -> bool {
        matches!(self, Self::Code | Self::Data | Self::LegacyMaps | Self::BtfMaps)
    }
}

/// Where a relocation is.
pub(super) struct Site<'a> {
    section: &'a Section<'a>,
    pub(super) offset: u64,
    /// In the linked program, if it is in code.
    slot: Option<u32>,
}

impl<'a> Site<'a> {
    pub(super) fn new(section: &'a Section<'a>, entry: &Entry) -> Result<Self> {
        let offset = entry.r_offset(LE);
        let slot = slots(offset).map(|slot| section.slots.start + slot).filter(|slot| section.slots.contains(slot));
        Ok(Self { section, offset, slot })
    }

    /// The 64 bits that are there.
    pub(super) fn addend(&self) -> Option<u64> {
        let bytes = self.section.bytes.get(usize::try_from(self.offset).ok()?..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }

    pub(super) fn error(&self, problem: &'static str) -> ObjectError {
        ObjectError::Relocation { section: self.section.name.into(), offset: self.offset, problem }
    }

    pub(super) fn symbol_error(&self, target: &Target<'_>, problem: &'static str) -> ObjectError {
        let symbol = target.name.into();
        ObjectError::Symbol { section: self.section.name.into(), offset: self.offset, symbol, problem }
    }
}

/// What a relocation is to.
pub(super) struct Target<'a> {
    /// Of the symbol, or of its section if it has none.
    pub(super) name: &'a str,
    /// Section and offset in it; `None`: undefined.
    pub(super) place: Option<(SectionIndex, &'a Section<'a>, u64)>,
}

impl<'a> Target<'a> {
    pub(super) fn of(elf: &Elf<'a>, sections: &'a Sections<'a>, site: &Site<'_>, entry: &Entry) -> Result<Self> {
        let index = entry.symbol(LE).ok_or_else(|| site.error("has no symbol"))?;
        let symbol = elf.symbols.symbol(index)?;
        let name = elf.symbol_name(symbol)?;
        match elf.place(symbol, index)? {
            Place::Undefined => Ok(Self { name, place: None }),
            Place::Elsewhere => Err(site.symbol_error(&Self { name, place: None }, "it is in no section")),
            Place::At { section: index, offset } => {
                let section = sections.get(index).ok_or_else(|| site.error("is to a section that is not there"))?;
                let name = if name.is_empty() { section.name } else { name };
                Ok(Self { name, place: Some((index, section, offset)) })
            }
        }
    }
}

/// A call of a helper by name, or of a function of any section.
fn call(site: &Site<'_>, target: Target<'_>, slot: u32, code: &mut [Slot]) -> Result<()> {
    let call = &mut code[slot as usize];
    if call.opcode != CALL {
        return Err(site.error("is not at a call"));
    }
    let Some((_, section, offset)) = target.place else {
        let name = target.name;
        let helper = Helper::by_name(name).ok_or_else(|| ObjectError::UnknownHelper { slot, name: name.into() })?;
        *call = Slot { src: 0, imm: helper.number as i32, ..*call };
        return Ok(());
    };
    // LLVM: `imm` is -1 beside a function symbol, and the target's slot - 1 beside a section symbol.
    let in_section = slots(offset).map(|base| i64::from(base) + i64::from(call.imm) + 1);
    let callee = instruction(section, in_section).ok_or_else(|| site.symbol_error(&target, "no instruction is there"))?;
    *call = Slot { src: CALL_LOCAL, imm: relative(callee, slot), ..*call };
    Ok(())
}

/// An address: of a function, of a map, or of global data.
fn load(site: &Site<'_>, target: Target<'_>, slot: u32, maps: &Maps, code: &mut [Slot]) -> Result<()> {
    let end = site.section.slots.end as usize;
    let [low, high, ..] = &mut code[slot as usize..end] else { return Err(site.error("is not at a load of 64 bits")) };
    if low.opcode != LDDW {
        return Err(site.error("is not at a load of 64 bits"));
    }
    let error = |problem| site.symbol_error(&target, problem);
    let (index, section, offset) = target.place.ok_or_else(|| error("nothing defines it"))?;
    let addend = i64::from(high.imm) << 32 | i64::from(low.imm as u32);
    let offset = offset.wrapping_add_signed(addend);
    let (src, number, value_offset) = match section.role {
        Role::Code => {
            let in_section = slots(offset).map(i64::from);
            let target = instruction(section, in_section).ok_or_else(|| error("no instruction is there"))?;
            (CODE, relative(target, slot), 0)
        }
        Role::LegacyMaps | Role::BtfMaps => (MAP, maps.at(index, offset).ok_or_else(|| error("no map begins there"))? as i32, 0),
        Role::Data if offset <= section.len => {
            (MAP_VALUE, maps.at(index, 0).ok_or_else(|| error("its section is empty"))? as i32, offset as i32)
        }
        Role::Data => return Err(error("it is outside of its section")),
        _ => return Err(error("its section is neither code, nor maps, nor global data")),
    };
    *low = Slot { src, imm: number, ..*low };
    *high = Slot { imm: value_offset, ..*high };
    Ok(())
}

/// The slot of the linked program that is so many slots into a section with code.
fn instruction(section: &Section<'_>, slot: Option<i64>) -> Option<u32> {
    let slot = slot.and_then(|slot| u32::try_from(slot).ok())?;
    (section.role == Role::Code && (slot as usize) < section.slots.len()).then(|| section.slots.start + slot)
}

fn relative(target: u32, slot: u32) -> i32 {
    (i64::from(target) - i64::from(slot) - 1) as i32
}

/// Code that leads to other code of its own section needs no relocation; where sections go is not its business.
fn stays_inside(section: &Section<'_>, done: &BTreeSet<u32>, code: &[Slot]) -> Result<()> {
    let range = section.slots.clone();
    for (index, reference) in references(&code[range.start as usize..range.end as usize]) {
        let (Reference::Call(offset) | Reference::Code(offset)) = reference else { continue };
        let slot = range.start + index as u32;
        let target = target(slot, offset);
        let is_elsewhere = (0..code.len() as i64).contains(&target) && !range.contains(&(target as u32));
        if is_elsewhere && !done.contains(&slot) {
            let (section, offset) = (section.name.into(), (index * Slot::LEN) as u64);
            return Err(ObjectError::Relocation { section, offset, problem: "is missing: the code leads to another section" });
        }
    }
    Ok(())
}

/// Global data is bytes.
fn refuse(elf: &Elf<'_>, section: &Section<'_>, entries: &[Entry]) -> Result<()> {
    let Some(entry) = entries.iter().find(|entry| entry.r_type(LE) != R_BPF_NONE) else { return Ok(()) };
    let name = match entry.symbol(LE) {
        Some(index) => elf.symbol_name(elf.symbols.symbol(index)?)?,
        None => "",
    };
    Err(Site::new(section, entry)?.symbol_error(&Target { name, place: None }, "data cannot hold addresses"))
}
