//! BTF: the types of an object, as far as definitions of maps need them.
//!
//! The format is the kernel's (`Documentation/bpf/btf.rst`): a header, a table of records of different lengths, and a table of
//! texts. [`Btf::parse`] walks the records once; whatever refers to a type by number is checked when it is followed.

use super::error::Result;
use super::{BTF_SECTION, NAME_LEN_MAX, ObjectError};

/// Longest chain of modifiers, typedefs and arrays from one type to what it stands for.
const CHAIN_LEN_MAX: usize = 32;

/// `BTF_MAGIC`, of both sections.
pub(super) const MAGIC: u16 = 0xeb9f;
pub(super) const VERSION: u8 = 1;
/// Bytes of the header of `.BTF`.
pub(super) const HEADER_LEN: usize = 24;

/// Kinds of records, `BTF_KIND_*`.
pub(super) mod kind {
    pub(in crate::object) const INT: u8 = 1;
    pub(in crate::object) const PTR: u8 = 2;
    pub(in crate::object) const ARRAY: u8 = 3;
    pub(in crate::object) const STRUCT: u8 = 4;
    pub(in crate::object) const UNION: u8 = 5;
    pub(in crate::object) const ENUM: u8 = 6;
    pub(in crate::object) const FWD: u8 = 7;
    pub(in crate::object) const TYPEDEF: u8 = 8;
    pub(in crate::object) const VOLATILE: u8 = 9;
    pub(in crate::object) const CONST: u8 = 10;
    pub(in crate::object) const RESTRICT: u8 = 11;
    pub(in crate::object) const FUNC: u8 = 12;
    pub(in crate::object) const FUNC_PROTO: u8 = 13;
    pub(in crate::object) const VAR: u8 = 14;
    pub(in crate::object) const DATASEC: u8 = 15;
    pub(in crate::object) const FLOAT: u8 = 16;
    pub(in crate::object) const DECL_TAG: u8 = 17;
    pub(in crate::object) const TYPE_TAG: u8 = 18;
    pub(in crate::object) const ENUM64: u8 = 19;
}

/// The types of an object.
pub(super) struct Btf<'a> {
    records: &'a [u8],
    texts: &'a [u8],
    /// Where each type's record is; type 0 is `void` and has none.
    offsets: Vec<u32>,
}

/// One type.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    name_offset: u32,
    pub(super) kind: u8,
    /// Bytes, or the number of another type.
    pub(super) size_or_type: u32,
    /// What follows the record, by kind.
    rest: &'a [u8],
}

/// A field of a struct.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) type_id: u32,
    /// Bits from the begin of the struct.
    pub(super) bit_offset: u32,
}

impl<'a> Btf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let Some(header) = bytes.get(..HEADER_LEN) else { return Err(error("is shorter than its header")) };
        if u16::from_le_bytes([header[0], header[1]]) != MAGIC || header[2] != VERSION {
            return Err(error("is not little-endian BTF of version 1"));
        }
        let field = |index: usize| word(header, index).unwrap_or_default() as usize;
        let header_len = field(1);
        if header_len < HEADER_LEN {
            return Err(error("is shorter than its header"));
        }
        let body = bytes.get(header_len..).ok_or_else(|| error("is shorter than its header"))?;
        let part = |offset: usize, len: usize| {
            body.get(offset..).and_then(|rest| rest.get(..len)).ok_or_else(|| error("has a table outside of it"))
        };
        let (records, texts) = (part(field(2), field(3))?, part(field(4), field(5))?);
        Ok(Self { records, texts, offsets: offsets(records)? })
    }

    pub(super) fn get(&self, id: u32) -> Result<Type<'a>> {
        let offset = (id as usize).checked_sub(1).and_then(|index| self.offsets.get(index));
        let record = offset.and_then(|offset| Record::at(self.records, *offset as usize));
        record.map(|record| record.data_type).ok_or_else(|| error("refers to a type that it does not have"))
    }

    pub(super) fn name(&self, data_type: Type<'a>) -> Result<&'a str> {
        self.text(data_type.name_offset)
    }

    pub(super) fn text(&self, offset: u32) -> Result<&'a str> {
        let rest = self.texts.get(offset as usize..).unwrap_or_default();
        let len = rest.iter().take(NAME_LEN_MAX + 1).position(|byte| *byte == 0);
        let text = len.and_then(|len| std::str::from_utf8(&rest[..len]).ok());
        text.ok_or_else(|| error("has a name that is no text of at most 255 bytes"))
    }

    /// The type without qualifiers and typedefs, and its number.
    pub(super) fn strip(&self, mut id: u32) -> Result<(u32, Type<'a>)> {
        use kind::{CONST, RESTRICT, TYPE_TAG, TYPEDEF, VOLATILE};
        for _ in 0..CHAIN_LEN_MAX {
            let data_type = self.get(id)?;
            if ![CONST, RESTRICT, TYPE_TAG, TYPEDEF, VOLATILE].contains(&data_type.kind) {
                return Ok((id, data_type));
            }
            id = data_type.size_or_type;
        }
        Err(error("has a chain of types without end"))
    }

    /// The type that this one is a pointer to.
    pub(super) fn pointee(&self, id: u32) -> Result<Option<u32>> {
        let (_, data_type) = self.strip(id)?;
        Ok((data_type.kind == kind::PTR).then_some(data_type.size_or_type))
    }

    /// Element type and length of an array.
    pub(super) fn array(&self, id: u32) -> Result<Option<(u32, u32)>> {
        let (_, data_type) = self.strip(id)?;
        if data_type.kind != kind::ARRAY {
            return Ok(None);
        }
        Ok(word(data_type.rest, 0).zip(word(data_type.rest, 2)))
    }

    /// Bytes of a value.
    pub(super) fn size(&self, mut id: u32) -> Result<u32> {
        use kind::{ENUM, ENUM64, FLOAT, INT, PTR, STRUCT, UNION};
        let mut count: u32 = 1;
        for _ in 0..CHAIN_LEN_MAX {
            let (stripped, data_type) = self.strip(id)?;
            let size = match data_type.kind {
                INT | STRUCT | UNION | ENUM | ENUM64 | FLOAT => data_type.size_or_type,
                PTR => 8,
                _ => {
                    let (element, len) = self.array(stripped)?.ok_or_else(|| error("has a key or value without a size"))?;
                    count = count.checked_mul(len).ok_or_else(|| error("has an array beyond 4 GiB"))?;
                    id = element;
                    continue;
                }
            };
            return count.checked_mul(size).ok_or_else(|| error("has an array beyond 4 GiB"));
        }
        Err(error("has a chain of types without end"))
    }

    /// How many fields a struct has.
    pub(super) fn member_count(&self, data_type: Type<'a>) -> usize {
        data_type.rest.len() / 12
    }

    pub(super) fn members(&self, data_type: Type<'a>) -> impl Iterator<Item = Result<Member<'a>>> {
        data_type.rest.as_chunks::<12>().0.iter().map(|bytes| {
            let [name, type_id, bit_offset] = words(bytes);
            Ok(Member { name: self.text(name)?, type_id, bit_offset })
        })
    }

    /// Names and types of the variables of a section, in no order.
    pub(super) fn variables(&self, section: &str) -> Result<Vec<(&'a str, u32)>> {
        let mut found = None;
        for id in 1..=self.offsets.len() as u32 {
            let data_type = self.get(id)?;
            if data_type.kind == kind::DATASEC && self.name(data_type)? == section && found.replace(data_type).is_some() {
                return Err(error("describes a section twice"));
            }
        }
        let entries = found.map_or(&[][..], |section| section.rest.as_chunks::<12>().0);
        entries.iter().map(|bytes| self.variable(words(bytes)[0])).collect()
    }

    fn variable(&self, id: u32) -> Result<(&'a str, u32)> {
        let variable = self.get(id)?;
        if variable.kind != kind::VAR {
            return Err(error("has something other than variables in a section"));
        }
        Ok((self.name(variable)?, variable.size_or_type))
    }
}

/// A type and how many bytes its record has.
struct Record<'a> {
    data_type: Type<'a>,
    len: usize,
}

impl<'a> Record<'a> {
    fn at(records: &'a [u8], offset: usize) -> Option<Self> {
        let record = records.get(offset..)?;
        let [name_offset, info, size_or_type] = [word(record, 0)?, word(record, 1)?, word(record, 2)?];
        let (kind, count) = ((info >> 24 & 0x1f) as u8, (info & 0xffff) as usize);
        let len = 12 + rest_len(kind, count)?;
        Some(Self { data_type: Type { name_offset, kind, size_or_type, rest: record.get(12..len)? }, len })
    }
}

/// Bytes behind a record of that kind, for `count` members, parameters, values or variables.
fn rest_len(kind: u8, count: usize) -> Option<usize> {
    use kind::*;
    Some(match kind {
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        ENUM | FUNC_PROTO => count * 8,
        STRUCT | UNION | DATASEC | ENUM64 => count * 12,
        _ => return None,
    })
}

fn offsets(records: &[u8]) -> Result<Vec<u32>> {
    let (mut offsets, mut offset) = (Vec::new(), 0);
    while offset < records.len() {
        let record = Record::at(records, offset).ok_or_else(|| error("has a type that is unknown or cut off"))?;
        offsets.push(offset as u32);
        offset += record.len;
    }
    Ok(offsets)
}

/// The little-endian number at that index, four bytes each.
pub(super) fn word(bytes: &[u8], index: usize) -> Option<u32> {
    bytes.as_chunks::<4>().0.get(index).map(|bytes| u32::from_le_bytes(*bytes))
}

fn words(bytes: &[u8; 12]) -> [u32; 3] {
    [0, 1, 2].map(|index| word(bytes, index).unwrap_or_default())
}

pub(super) fn error(problem: &'static str) -> ObjectError {
    ObjectError::section(BTF_SECTION, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: [u32; 4] = [0, 1 << 24, 4, 32];

    fn record(kind: u8, size_or_type: u32, rest: &[u32]) -> Vec<u32> {
        [&[0, u32::from(kind) << 24, size_or_type], rest].concat()
    }

    fn btf(records: &[Vec<u32>], texts: &[u8]) -> Vec<u8> {
        let records: Vec<u8> = records.concat().into_iter().flat_map(u32::to_le_bytes).collect();
        let magic = u32::from(MAGIC) | u32::from(VERSION) << 16;
        let lens = [records.len() as u32, records.len() as u32, texts.len() as u32];
        let header = [magic, HEADER_LEN as u32, 0, lens[0], lens[1], lens[2]].map(u32::to_le_bytes);
        [header.as_flattened(), &records, texts].concat()
    }

    fn size(records: &[Vec<u32>], id: u32) -> Result<u32, String> {
        let bytes = btf(records, &[0]);
        Btf::parse(&bytes).unwrap().size(id).map_err(|error| error.to_string())
    }

    /// Whatever a type is called, it has the size of what it stands for; whoever goes round in circles is told.
    #[test]
    fn sizes() {
        let array = |element, len| record(kind::ARRAY, 0, &[element, 1, len]);
        let of = |kind, data_type| record(kind, data_type, &[]);
        assert_eq!(size(&[INT.to_vec(), of(kind::CONST, 1), of(kind::TYPEDEF, 2), array(3, 6), array(4, 2)], 5), Ok(48));
        assert_eq!(size(&[of(kind::PTR, 1)], 1), Ok(8));
        let refused = |records: &[Vec<u32>], problem| assert_eq!(size(records, 1), Err(format!("section `.BTF`: {problem}")));
        refused(&[of(kind::TYPEDEF, 2), of(kind::CONST, 1)], "has a chain of types without end");
        refused(&[array(1, 1)], "has a chain of types without end");
        refused(&[array(2, 1 << 31), array(3, 2), INT.to_vec()], "has an array beyond 4 GiB");
        refused(&[array(2, 1 << 30), INT.to_vec()], "has an array beyond 4 GiB");
        refused(&[of(kind::FWD, 0)], "has a key or value without a size");
        refused(&[of(kind::CONST, 0)], "refers to a type that it does not have");
        refused(&[of(kind::CONST, 7)], "refers to a type that it does not have");
    }

    /// Tables are inside of the section, records inside of their table, and texts end.
    #[test]
    fn tables() {
        let whole = btf(&[INT.to_vec()], b"\0name\0open");
        let parsed = Btf::parse(&whole).unwrap();
        assert_eq!(parsed.text(1).unwrap(), "name");
        for offset in [6, 10, 11, u32::MAX] {
            assert!(parsed.text(offset).is_err(), "{offset}");
        }
        for len in 0..whole.len() {
            assert!(Btf::parse(&whole[..len]).is_err(), "{len}");
        }
        for (word, value) in [(0, 0), (1, 23), (1, 100), (2, 1), (2, u32::MAX), (3, 15), (3, u32::MAX), (4, 100), (5, u32::MAX)] {
            let mut bytes = whole.clone();
            bytes[word * 4..][..4].copy_from_slice(&u32::to_le_bytes(value));
            assert!(Btf::parse(&bytes).is_err(), "word {word} is {value}");
        }
        let problem = |records: &[Vec<u32>]| Btf::parse(&btf(records, &[0])).err().map(|error| error.to_string());
        assert!(problem(&[record(20, 0, &[])]).unwrap().contains("unknown or cut off"));
        assert!(problem(&[record(kind::STRUCT, 0, &[])]).is_none());
        assert!(problem(&[vec![0, u32::from(kind::STRUCT) << 24 | 1, 8]]).unwrap().contains("unknown or cut off"));
    }
}
