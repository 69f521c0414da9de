//! Function symbols of all sections with code.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{STB_LOCAL, STT_FUNC};
use object::read::elf::Sym as _;

use super::elf::{Elf, LE, Place, Symbol, slots};
use super::sections::{Role, Section, Sections};
use crate::object::error::{Result, limit};
use crate::object::{FUNCTIONS_MAX, Function, NAME_LEN_MAX, ObjectError};

/// A function, and whether other files may have one of its name.
struct Named {
    function: Function,
    is_local: bool,
}

/// Functions by ascending start; they are disjoint, and no two have one name.
pub(super) fn read(elf: &Elf<'_>, sections: &Sections<'_>) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for (index, symbol) in elf.symbols.enumerate() {
        if symbol.st_type() != STT_FUNC {
            continue;
        }
        let Place::At { section, .. } = elf.place(symbol, index)? else { continue };
        if let Some(section) = sections.get(section).filter(|section| section.role == Role::Code) {
            limit("functions", functions.len() as u64 + 1, FUNCTIONS_MAX)?;
            functions.push(Named { function: function(elf, symbol, section)?, is_local: symbol.st_bind() == STB_LOCAL });
        }
    }
    functions.sort_by_key(|named| named.function.start);
    check_disjoint(&functions)?;
    tell_apart(&mut functions)?;
    Ok(functions.into_iter().map(|named| named.function).collect())
}

/// The function that begins at that slot of the linked program.
pub(super) fn at(functions: &[Function], start: u32) -> Option<&Function> {
    functions.binary_search_by_key(&start, |function| function.start).ok().map(|index| &functions[index])
}

fn function(elf: &Elf<'_>, symbol: &Symbol, section: &Section<'_>) -> Result<Function> {
    let name = elf.symbol_name(symbol)?;
    let error = |problem| ObjectError::function(name, problem);
    if name.is_empty() {
        return Err(error("has no name"));
    }
    let start = slots(symbol.st_value(LE)).ok_or_else(|| error("does not start at an instruction"))?;
    let len = slots(symbol.st_size(LE)).filter(|len| *len > 0).ok_or_else(|| error("has no whole instructions"))?;
    if u64::from(start) + u64::from(len) > section.slots.len() as u64 {
        return Err(error("ends beyond its section"));
    }
    Ok(Function { section: section.name.into(), ..Function::new(name, section.slots.start + start, len) })
}

fn check_disjoint(functions: &[Named]) -> Result<()> {
    let mut end = 0;
    for Named { function, .. } in functions {
        if function.start < end {
            return Err(ObjectError::function(&function.name, "overlaps another function"));
        }
        end = function.start + function.len;
    }
    Ok(())
}

/// Local functions may have the name of another one, for files that were linked into this: from the second on, `name` is called
/// `name.1`, `name.2` and so on.
fn tell_apart(functions: &mut [Named]) -> Result<()> {
    let mut names = BTreeSet::new();
    for Named { function, .. } in functions.iter().filter(|named| !named.is_local) {
        if !names.insert(function.name.clone()) {
            return Err(ObjectError::function(&function.name, "is there twice"));
        }
    }
    let locals: BTreeSet<String> =
        functions.iter().filter(|named| named.is_local).map(|named| named.function.name.clone()).collect();
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    for Named { function, .. } in functions.iter_mut().filter(|named| named.is_local) {
        if names.insert(function.name.clone()) {
            continue;
        }
        let number = numbers.entry(function.name.clone()).or_default();
        // Ends, and in time linear in all functions: each turn that finds a name taken is over another function's name.
        let name = loop {
            *number += 1;
            let name = format!("{}.{number}", function.name);
            if !names.contains(&name) && !locals.contains(&name) {
                break name;
            }
        };
        if name.len() > NAME_LEN_MAX {
            return Err(ObjectError::function(&function.name, "is there twice"));
        }
        names.insert(name.clone());
        function.name = name;
    }
    Ok(())
}
