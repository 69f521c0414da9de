//! CO-RE relocations (`.BTF.ext`): code that depends on how the running kernel lays out its types.
//!
//! No kernel's types are here, so there is nothing to adapt the code to, and code that is wrong without it must not run: an object with one such relocation is refused. The rest of
//! `.BTF.ext`, source lines and types of functions, is not needed.

use super::sections::{Role, Sections};
use crate::object::btf::{Btf, MAGIC, VERSION, word};
use crate::object::error::Result;
use crate::object::{BTF_EXT_SECTION, ObjectError};

/// Words of the header up to and with where the relocations are.
const HEADER_WORDS: usize = 8;

/// Refuses an object with a CO-RE relocation, and names the first.
pub(super) fn refuse(sections: &Sections<'_>) -> Result<()> {
    let Some(section) = sections.sole(Role::BtfExt)? else { return Ok(()) };
    let Some(relocations) = relocations(section.bytes)? else { return Ok(()) };
    // Size of a record; then for each section with code: its name, how many records, and these.
    let (Some(section_name), Some(count)) = (word(relocations, 1), word(relocations, 2)) else { return Ok(()) };
    if count == 0 {
        return Err(error("has a list of no relocations"));
    }
    let (Some(offset), Some(type_id)) = (word(relocations, 3), word(relocations, 4)) else { return Err(error("is cut off")) };
    let btf = sections.sole(Role::Btf)?.ok_or_else(|| error("needs .BTF"))?;
    let btf = Btf::parse(btf.bytes)?;
    let type_name = btf.name(btf.get(type_id)?)?.into();
    Err(ObjectError::Core { section: btf.text(section_name)?.into(), offset, type_name })
}

/// The part with the relocations; headers of early compilers do not know of any.
fn relocations(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let magic = word(bytes, 0).ok_or_else(|| error("is cut off"))?;
    if magic & 0xff_ffff != u32::from(MAGIC) | u32::from(VERSION) << 16 {
        return Err(error("is not little-endian BTF of version 1"));
    }
    let header_len = word(bytes, 1).ok_or_else(|| error("is cut off"))? as usize;
    if header_len < HEADER_WORDS * 4 {
        return Ok(None);
    }
    let (Some(offset), Some(len)) = (word(bytes, 6), word(bytes, 7)) else { return Err(error("is cut off")) };
    let body = bytes.get(header_len..).and_then(|body| body.get(offset as usize..)).and_then(|body| body.get(..len as usize));
    body.map(Some).ok_or_else(|| error("has a table outside of it"))
}

fn error(problem: &'static str) -> ObjectError {
    ObjectError::section(BTF_EXT_SECTION, problem)
}
