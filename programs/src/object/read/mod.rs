//! Bytes to objects, without trusting them.
//!
//! [`Object::read`] parses the ELF tables ([`elf`]), tells sections by what they hold and links those with code into one program
//! ([`sections`]), then reads functions, maps and relocations over that. Nothing here looks at what the code does: that is the
//! verifier's business.

mod core;
mod elf;
mod functions;
mod maps;
mod relocations;
mod sections;

use elf::Elf;
use maps::Maps;
use relocations::Relocations;
use sections::{Role, Sections};

use super::error::{Result, limit};
use super::{LICENSE_SECTION, MANIFEST_LEN_MAX, NAME_LEN_MAX, OBJECT_LEN_MAX, Object, ObjectError};
use crate::manifest::Manifest;

impl Object {
    /// Reads an object, links its sections of code in the order they have, and resolves its relocations.
    ///
    /// # Errors
    /// [`ObjectError`], in one line that names the place.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        limit("bytes", bytes.len() as u64, OBJECT_LEN_MAX)?;
        let elf = Elf::parse(bytes)?;
        let sections = Sections::new(&elf)?;
        let mut code = sections.code()?;
        let functions = functions::read(&elf, &sections)?;
        let relocations = Relocations::new(&elf, &sections)?;
        let mut maps = Maps::read(&elf, &sections)?;
        maps.name_elements(&elf, &sections, &relocations, &functions)?;
        core::check(&sections)?;
        relocations.resolve(&elf, &sections, &maps, &mut code)?;
        Ok(Self { code, functions, maps: maps.specs, manifest: manifest(&sections)?, license: license(&sections)? })
    }
}

fn manifest(sections: &Sections<'_>) -> Result<Option<Manifest>> {
    let Some(section) = sections.sole(Role::Manifest)? else { return Ok(None) };
    limit("bytes of manifest", section.bytes.len() as u64, MANIFEST_LEN_MAX)?;
    Ok(Some(Manifest::from_json(section.bytes)?))
}

fn license(sections: &Sections<'_>) -> Result<String> {
    let Some(section) = sections.sole(Role::License)? else { return Ok(String::new()) };
    let bytes = section.bytes;
    limit("bytes of license", bytes.len() as u64, NAME_LEN_MAX + 1)?;
    let text = bytes.strip_suffix(&[0]).filter(|text| !text.contains(&0)).and_then(|text| std::str::from_utf8(text).ok());
    text.map(Into::into).ok_or_else(|| ObjectError::section(LICENSE_SECTION, "is not one zero-terminated text"))
}
