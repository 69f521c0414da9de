//! Maps: what an object declares in either form, and its global data.

mod legacy;
mod typed;

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{R_BPF_64_64, STT_OBJECT};
use object::read::SectionIndex;
use object::read::elf::Sym as _;
use typed::Elements;

use super::elf::{Elf, LE, Place};
use super::functions;
use super::relocations::{Relocations, Site, Target};
use super::sections::{Role, Section, Sections};
use crate::maps::{MAPS_MAX, MapKind, MapSpec};
use crate::object::error::{Result, limit};
use crate::object::{Function, ObjectError, R_BPF_64_ABS64, is_data_section};

/// All maps of an object.
#[derive(Default)]
pub(super) struct Maps {
    /// Declared ones first, then global data, each in the order of sections and offsets.
    pub(super) specs: Vec<MapSpec>,
    /// Where each is defined: section and offset.
    places: BTreeMap<(usize, u64), u32>,
    /// Where the initial elements of declared maps are.
    elements: Vec<Option<Elements>>,
}

/// The symbol of a declared map.
struct Definition<'a> {
    name: &'a str,
    offset: u64,
    /// Its bytes.
    bytes: &'a [u8],
}

impl Maps {
    pub(super) fn read(elf: &Elf<'_>, sections: &Sections<'_>) -> Result<Self> {
        let mut maps = Self::default();
        let mut definitions = definitions(elf, sections)?;
        for (index, section) in sections.of(Role::LegacyMaps).chain(sections.of(Role::BtfMaps)) {
            let definitions = definitions.remove(&index.0).unwrap_or_default();
            check_disjoint(&definitions)?;
            let read = if section.role == Role::LegacyMaps {
                legacy::read(&definitions)?.into_iter().map(|spec| (spec, None)).collect()
            } else {
                sections.sole(Role::BtfMaps)?;
                typed::read(sections, &definitions)?
            };
            for (definition, (spec, elements)) in definitions.iter().zip(read) {
                maps.add(index, definition.offset, spec, elements)?;
            }
        }
        for (index, section) in sections.of(Role::Data).filter(|(_, section)| section.len > 0) {
            maps.add(index, 0, MapSpec::global_data(section.name, section.len as u32, section.bytes.into()), None)?;
        }
        maps.check_names()?;
        Ok(maps)
    }

    /// The map that begins there.
    pub(super) fn at(&self, section: SectionIndex, offset: u64) -> Option<u32> {
        self.places.get(&(section.0, offset)).copied()
    }

    /// Resolves the relocations of definitions: initial elements that are programs or maps.
    pub(super) fn name_elements(
        &mut self,
        elf: &Elf<'_>,
        sections: &Sections<'_>,
        relocations: &Relocations<'_>,
        functions: &[Function],
    ) -> Result<()> {
        for (index, section) in sections.of(Role::BtfMaps) {
            for entry in relocations.of(index) {
                let site = Site::new(section, entry)?;
                if ![R_BPF_64_64, R_BPF_64_ABS64].contains(&entry.r_type(LE)) {
                    return Err(site.error("is neither R_BPF_64_ABS64 nor R_BPF_64_64"));
                }
                let (map, element) = self.element(index, site.offset).ok_or_else(|| site.error("is at no element of a map"))?;
                let target = Target::of(elf, sections, &site, entry)?;
                let name = self.element_name(map, &site, &target, functions)?;
                self.specs[map].named.push((element, name));
            }
        }
        for spec in &mut self.specs {
            spec.named.sort();
            if spec.named.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(ObjectError::map(&spec.name, "has an element twice"));
            }
        }
        Ok(())
    }

    fn add(&mut self, section: SectionIndex, offset: u64, spec: MapSpec, elements: Option<Elements>) -> Result<()> {
        limit("maps", self.specs.len() as u64 + 1, MAPS_MAX)?;
        self.places.insert((section.0, offset), self.specs.len() as u32);
        self.specs.push(spec);
        self.elements.push(elements);
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        match self.specs.iter().find(|spec| !names.insert(&spec.name)) {
            Some(spec) => Err(ObjectError::map(&spec.name, "is there twice")),
            None => Ok(()),
        }
    }

    /// The map whose definition has that byte, and the element whose address begins there.
    fn element(&self, section: SectionIndex, offset: u64) -> Option<(usize, u32)> {
        let (&(_, start), &map) = self.places.range((section.0, 0)..=(section.0, offset)).next_back()?;
        let map = map as usize;
        let in_elements = (offset - start).checked_sub(self.elements[map].as_ref()?.offset)?;
        let element = u32::try_from(in_elements / 8).ok()?;
        let is_element = in_elements.is_multiple_of(8) && element < self.elements[map].as_ref()?.count;
        (is_element && element < self.specs[map].entries_max).then_some((map, element))
    }

    fn element_name(&self, map: usize, site: &Site<'_>, target: &Target<'_>, functions: &[Function]) -> Result<String> {
        let error = |problem| site.symbol_error(target, problem);
        let (index, section, offset) = target.place.ok_or_else(|| error("nothing defines it"))?;
        // What the field holds is added to the symbol: LLVM names static functions by their section.
        let offset = offset.wrapping_add(site.addend().unwrap_or_default());
        match (self.specs[map].kind, section.role) {
            (MapKind::ProgramArray, Role::Code) => {
                let start = super::elf::slots(offset).and_then(|slot| section.slots.start.checked_add(slot));
                let function =
                    start.filter(|start| section.slots.contains(start)).and_then(|start| functions::at(functions, start));
                function.map(|function| function.name.clone()).ok_or_else(|| error("no function begins there"))
            }
            (MapKind::ArrayOfMaps | MapKind::HashOfMaps, Role::BtfMaps) => {
                let map = self.at(index, offset).ok_or_else(|| error("no map begins there"))?;
                Ok(self.specs[map as usize].name.clone())
            }
            _ => Err(error("the map has no elements of that kind")),
        }
    }
}

/// Symbols of declared maps by section, by ascending offset.
fn definitions<'a>(elf: &Elf<'a>, sections: &Sections<'a>) -> Result<BTreeMap<usize, Vec<Definition<'a>>>> {
    let mut found: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    let mut count = 0;
    for (index, symbol) in elf.symbols.enumerate() {
        if symbol.st_type() != STT_OBJECT {
            continue;
        }
        let Place::At { section: index, offset } = elf.place(symbol, index)? else { continue };
        let Some(section) = sections.get(index).filter(|section| section.role.declares_maps()) else { continue };
        count += 1;
        limit("maps", count, MAPS_MAX)?;
        found.entry(index.0).or_default().push(definition(elf.symbol_name(symbol)?, section, offset, symbol.st_size(LE))?);
    }
    found.values_mut().for_each(|definitions| definitions.sort_by_key(|definition| definition.offset));
    Ok(found)
}

fn definition<'a>(name: &'a str, section: &Section<'a>, offset: u64, len: u64) -> Result<Definition<'a>> {
    if name.is_empty() || is_data_section(name) {
        return Err(ObjectError::map(name, "has no name, or that of a section of global data"));
    }
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(usize::try_from(len).ok()?)?));
    let bytes = range.and_then(|range| section.bytes.get(range)).filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| ObjectError::map(name, "has no definition in its section"))?;
    Ok(Definition { name, offset, bytes })
}

impl Role {
    fn declares_maps(self) -> bool {
        matches!(self, Self::LegacyMaps | Self::BtfMaps)
    }
}

fn check_disjoint(definitions: &[Definition<'_>]) -> Result<()> {
    let overlaps = |pair: &[Definition<'_>]| pair[0].offset + pair[0].bytes.len() as u64 > pair[1].offset;
    match definitions.windows(2).find(|pair| overlaps(pair)) {
        Some(pair) => Err(ObjectError::map(pair[1].name, "overlaps another map's definition")),
        None => Ok(()),
    }
}
