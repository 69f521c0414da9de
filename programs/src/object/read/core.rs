//! CO-RE relocations (`.BTF.ext`): code that depends on how the running kernel lays out its types.
//!
//! No kernel's types are here to adapt the code to. Clang compiles the code for the object's own types; that is right where those
//! are what packets and contexts look like everywhere ([`FIXED`]), and where a complete definition says so by its size, as
//! `vmlinux.h` does. An object with any other such relocation is refused. The rest of `.BTF.ext`, source lines and types of
//! functions, is not needed.

use super::sections::{Role, Sections};
use crate::object::btf::{Btf, MAGIC, VERSION, kind, word};
use crate::object::error::Result;
use crate::object::{BTF_EXT_SECTION, ObjectError};

/// Types whose layout is no kernel's choice, and how many bytes they have: the context of packet programs, and headers on the wire.
const FIXED: [(&str, u32); 15] = [
    ("xdp_md", 24),
    ("ethhdr", 14),
    ("vlan_hdr", 4),
    ("vlan_ethhdr", 18),
    ("arphdr", 8),
    ("iphdr", 20),
    ("ipv6hdr", 40),
    ("in6_addr", 16),
    ("tcphdr", 20),
    ("udphdr", 8),
    ("icmphdr", 8),
    ("icmp6hdr", 8),
    ("sctphdr", 12),
    ("gre_base_hdr", 4),
    ("vxlanhdr", 8),
];

/// Words of the header up to and with where the relocations are.
const HEADER_WORDS: usize = 8;
/// Words of a relocation: instruction, type, access, kind.
const RECORD_WORDS: usize = 4;
/// Kinds that ask for the number of a type, which only a kernel has.
const TYPE_IDS: [u32; 2] = [6, 7];

/// One relocation.
struct Relocation {
    /// Byte of the section.
    offset: u32,
    type_id: u32,
    kind: u32,
}

/// Refuses an object whose code would have to be adapted to a kernel, and names the first place.
pub(super) fn check(sections: &Sections<'_>) -> Result<()> {
    let Some(section) = sections.sole(Role::BtfExt)? else { return Ok(()) };
    let Some(relocations) = relocations(section.bytes)? else { return Ok(()) };
    let btf = sections.sole(Role::Btf)?.ok_or_else(|| error("needs .BTF"))?;
    let btf = Btf::parse(btf.bytes)?;
    let record_len = word(relocations, 0).ok_or_else(|| error("is cut off"))? as usize;
    if record_len < RECORD_WORDS * 4 {
        return Err(error("has relocations that are too short"));
    }
    let mut rest = &relocations[4..];
    while !rest.is_empty() {
        let (Some(name), Some(count)) = (word(rest, 0), word(rest, 1)) else { return Err(error("is cut off")) };
        let len = record_len.checked_mul(count as usize).ok_or_else(|| error("is cut off"))?;
        let records = rest[8..].get(..len).ok_or_else(|| error("is cut off"))?;
        for record in records.chunks_exact(record_len) {
            check_one(&btf, name, &relocation(record))?;
        }
        rest = &rest[8 + len..];
    }
    Ok(())
}

fn check_one(btf: &Btf<'_>, section: u32, relocation: &Relocation) -> Result<()> {
    let (_, data_type) = btf.strip(relocation.type_id)?;
    let name = btf.name(data_type)?;
    let is_fixed = data_type.kind == kind::STRUCT && FIXED.contains(&(name, data_type.size_or_type));
    if is_fixed && !TYPE_IDS.contains(&relocation.kind) {
        return Ok(());
    }
    Err(ObjectError::Core { section: btf.text(section)?.into(), offset: relocation.offset, type_name: name.into() })
}

fn relocation(record: &[u8]) -> Relocation {
    let [offset, type_id, _access, kind] = [0, 1, 2, 3].map(|index| word(record, index).unwrap_or_default());
    Relocation { offset, type_id, kind }
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
    let body = body.ok_or_else(|| error("has a table outside of it"))?;
    Ok(Some(body).filter(|body| !body.is_empty()))
}

fn error(problem: &'static str) -> ObjectError {
    ObjectError::section(BTF_EXT_SECTION, problem)
}
