//! Maps that the type of their variable defines, in `.BTF`: a struct whose fields are pointers, to an array of as many elements
//! as a number says (`__uint`), or to the type that is meant (`__type`).

use std::collections::BTreeMap;

use super::Definition;
use crate::maps::{MapKind, MapSpec};
use crate::object::btf::{Btf, Member, Type, error as btf_error, kind};
use crate::object::error::{Result, limit};
use crate::object::{MAP_FIELDS_MAX, MAPS_SECTION, NAME_LEN_MAX, ObjectError};

use super::super::sections::{Role, Sections};

/// Where a definition has the addresses of initial elements.
pub(super) struct Elements {
    /// Bytes from its begin.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) count: u32,
}

/// The maps of the section, and where their initial elements are.
pub(super) fn read(sections: &Sections<'_>, definitions: &[Definition<'_>]) -> Result<Vec<(MapSpec, Option<Elements>)>> {
    if definitions.is_empty() {
        return Ok(Vec::new());
    }
    let section = sections.sole(Role::Btf)?;
    let section = section.ok_or_else(|| ObjectError::section(MAPS_SECTION, "needs .BTF, which clang writes with -g"))?;
    let btf = Btf::parse(section.bytes)?;
    let variables: BTreeMap<&str, u32> = btf.variables(MAPS_SECTION)?.into_iter().collect();
    definitions.iter().map(|definition| map(&btf, &variables, definition)).collect()
}

fn map(btf: &Btf<'_>, variables: &BTreeMap<&str, u32>, definition: &Definition<'_>) -> Result<(MapSpec, Option<Elements>)> {
    let name = definition.name;
    // Where clang expects a struct and finds something else, it writes `void`.
    let variable = variables.get(name).filter(|variable| **variable != 0);
    let variable = variable.ok_or_else(|| ObjectError::map(name, "has no type in .BTF"))?;
    let (_, data_type) = btf.strip(*variable)?;
    let fields = Fields::read(btf, name, data_type)?;
    let mut spec = fields.spec(name)?;
    let Some(values) = &fields.values else { return Ok((spec, None)) };
    spec.inner = values.inner(btf, &spec)?.map(Box::new);
    let count = (definition.bytes.len() as u64).saturating_sub(values.offset) / 8;
    Ok((spec, Some(Elements { offset: values.offset, count: count as u32 })))
}

/// What a definition says.
#[derive(Default)]
struct Fields {
    kind: Option<u32>,
    key_len: Option<u32>,
    value_len: Option<u32>,
    entries_max: Option<u32>,
    flags: Option<u32>,
    values: Option<Values>,
}

/// The field `values`: what elements are, and those that are there at the start.
struct Values {
    /// Bytes from the begin of the definition.
    offset: u64,
    /// The type that each is a pointer to.
    element: u32,
}

impl Fields {
    fn read(btf: &Btf<'_>, map: &str, data_type: Type<'_>) -> Result<Self> {
        if data_type.kind != kind::STRUCT {
            return Err(ObjectError::map(map, "its type is no struct"));
        }
        limit("fields of a map's definition", btf.member_count(data_type) as u64, MAP_FIELDS_MAX)?;
        let mut fields = Self::default();
        for member in btf.members(data_type) {
            let member = member?;
            let error = |problem| ObjectError::map(&format!("{map}.{}", member.name), problem);
            fields.field(btf, &member)?.map_err(error)?;
        }
        Ok(fields)
    }

    /// Reads one field; the inner error is what is wrong with it.
    fn field(&mut self, btf: &Btf<'_>, member: &Member<'_>) -> Result<Result<(), &'static str>> {
        let type_id = member.type_id;
        Ok(match member.name {
            "type" => set(&mut self.kind, number(btf, type_id)?),
            "key_size" => set(&mut self.key_len, number(btf, type_id)?),
            "value_size" => set(&mut self.value_len, number(btf, type_id)?),
            "max_entries" => set(&mut self.entries_max, number(btf, type_id)?),
            "map_flags" => set(&mut self.flags, number(btf, type_id)?),
            "key" => set(&mut self.key_len, pointee_size(btf, type_id)?),
            "value" => set(&mut self.value_len, pointee_size(btf, type_id)?),
            "values" => self.set_values(btf, member)?,
            // Hints for a kernel: whether others find the map by a path, and whose memory it is in.
            "pinning" | "numa_node" => number(btf, type_id)?.map(|_| ()).ok_or(NO_NUMBER),
            "map_extra" => match number(btf, type_id)? {
                Some(0) => Ok(()),
                _ => Err("no kind of map here has it"),
            },
            _ => Err("is not known here"),
        })
    }

    fn set_values(&mut self, btf: &Btf<'_>, member: &Member<'_>) -> Result<Result<(), &'static str>> {
        let Some((pointer, 0)) = btf.array(member.type_id)? else { return Ok(Err("is no array of open length")) };
        let Some(element) = btf.pointee(pointer)? else { return Ok(Err("is no array of pointers")) };
        self.values = Some(Values { offset: u64::from(member.bit_offset / 8), element });
        Ok(Ok(()))
    }

    fn spec(&self, name: &str) -> Result<MapSpec> {
        let number = self.kind.ok_or_else(|| ObjectError::map(name, "has no type"))?;
        let kind = MapKind::by_number(number).ok_or_else(|| ObjectError::MapKind { name: name.into(), kind: number })?;
        // Elements that are programs or maps need no size: the kernel's handles of them have four bytes.
        let value_len = self.value_len.unwrap_or(if self.values.is_some() { 4 } else { 0 });
        Ok(MapSpec {
            name: name.into(),
            kind,
            key_len: self.key_len.unwrap_or(0),
            value_len,
            entries_max: self.entries_max.unwrap_or(0),
            flags: self.flags.unwrap_or(0),
            inner: None,
            initial: Vec::new(),
            named: Vec::new(),
        })
    }
}

impl Values {
    /// The declaration of the maps that are elements; `None`: elements are programs.
    fn inner(&self, btf: &Btf<'_>, outer: &MapSpec) -> Result<Option<MapSpec>> {
        let (_, element) = btf.strip(self.element)?;
        match outer.kind {
            MapKind::ArrayOfMaps | MapKind::HashOfMaps => {
                let struct_name = btf.name(element)?;
                let name = if struct_name.is_empty() { format!("{}.inner", outer.name) } else { struct_name.into() };
                if name.len() > NAME_LEN_MAX {
                    return Err(ObjectError::map(&outer.name, "name is too long for a map of maps"));
                }
                let fields = Fields::read(btf, &name, element)?;
                let inner = fields.spec(&name)?;
                let is_nested = matches!(inner.kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps) || fields.values.is_some();
                if is_nested { Err(ObjectError::map(&outer.name, "has maps of maps")) } else { Ok(Some(inner)) }
            }
            MapKind::ProgramArray if element.kind == kind::FUNC_PROTO => Ok(None),
            _ => Err(ObjectError::map(&outer.name, "its values are neither maps nor programs")),
        }
    }
}

const NO_NUMBER: &str = "is no pointer to an array of as many elements as a number says";

/// The number that a field of `__uint` says.
fn number(btf: &Btf<'_>, id: u32) -> Result<Option<u32>> {
    let Some(array) = btf.pointee(id)? else { return Ok(None) };
    Ok(btf.array(array)?.map(|(_, len)| len))
}

/// The size of the type that a field of `__type` names.
fn pointee_size(btf: &Btf<'_>, id: u32) -> Result<Option<u32>> {
    match btf.pointee(id)? {
        Some(0) => Err(btf_error("has a key or value without a size")),
        Some(pointee) => btf.size(pointee).map(Some),
        None => Ok(None),
    }
}

/// Fields may say one thing twice, as `key` and `key_size` do, but not two things.
fn set(field: &mut Option<u32>, value: Option<u32>) -> Result<(), &'static str> {
    let value = value.ok_or(NO_NUMBER)?;
    match field.replace(value) {
        Some(other) if other != value => Err("contradicts another field"),
        _ => Ok(()),
    }
}
