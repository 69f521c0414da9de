//! Which function of an object runs, and what else it needs.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use nearside_programs::isa::{CallTarget, Instruction, Slot, WideSource, decode};
use nearside_programs::object::{Function, OBJECT_LEN_MAX};
use nearside_programs::{MapKind, Object};

/// What of an object is run.
pub(super) struct Program<'a> {
    pub(super) object: &'a Object,
    /// First slot of the function that packets go to.
    pub(super) entry: u32,
    /// Everything that may be entered: names and first slots.
    pub(super) entries: Vec<(&'a str, u32)>,
    /// The object's code without what is not reached from there.
    pub(super) code: Vec<Slot>,
}

impl<'a> Program<'a> {
    /// The function at `entry`, those at `tails`, and those that the object's own program arrays name.
    pub(super) fn new(object: &'a Object, entry: u32, tails: Vec<u32>) -> Self {
        let arrays = object.maps.iter().filter(|map| map.kind == MapKind::ProgramArray);
        let named = arrays.flat_map(|map| &map.named).filter_map(|(_, name)| object.function(name));
        let mut roots: Vec<u32> = named.map(|function| function.start).chain(tails).chain([entry]).collect();
        roots.sort_unstable();
        roots.dedup();
        let entries = object.functions.iter().filter(|function| roots.contains(&function.start));
        let entries = entries.map(|function| (function.name.as_str(), function.start)).collect();
        Self { object, entry, entries, code: reachable(object, &roots) }
    }
}

/// Where functions are that no loader attaches.
const TEXT: &str = ".text";

/// `exit` (RFC 9669 §4.3).
const EXIT: Slot = Slot { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 };

/// Reads an object file.
pub(super) fn read(path: &Path) -> anyhow::Result<Object> {
    let read = || -> anyhow::Result<Object> {
        let len = std::fs::metadata(path)?.len();
        ensure!(len <= OBJECT_LEN_MAX as u64, "{len} bytes; the limit is {OBJECT_LEN_MAX}");
        Ok(Object::read(&std::fs::read(path)?)?)
    };
    read().with_context(|| format!("object {}", path.display()))
}

/// The program to run: the function or the only function of the section of that name; without a name the only program there is.
pub(super) fn select<'a>(object: &'a Object, name: Option<&str>) -> anyhow::Result<&'a Function> {
    let programs = programs(object);
    let chosen: Vec<_> = match name {
        None => programs.clone(),
        Some(name) => programs.iter().copied().filter(|function| function.section == name).collect(),
    };
    match (chosen.as_slice(), name) {
        ([function], _) => Ok(function),
        ([], Some(name)) => match object.function(name) {
            Some(function) => Ok(function),
            None => bail!("no section or function is named `{name}`; there are {}", list(&programs)),
        },
        ([], None) => bail!("the object has no programs"),
        (_, Some(name)) => {
            bail!("section `{name}` has several programs; choose one by its function with --section: {}", list(&chosen))
        }
        (_, None) => bail!("the object has several programs; choose one with --section: {}", list(&programs)),
    }
}

/// Functions that a loader would attach; all of them if none has a section of its own.
fn programs(object: &Object) -> Vec<&Function> {
    let attached: Vec<_> = object.functions.iter().filter(|function| function.section != TEXT).collect();
    if attached.is_empty() { object.functions.iter().collect() } else { attached }
}

fn list(functions: &[&Function]) -> String {
    let names: Vec<_> = functions.iter().map(|function| format!("{} (section {})", function.name, function.section)).collect();
    names.join(", ")
}

/// The code of an object with everything replaced that `roots` do not lead to, so that programs of other kinds beside them do not matter; slots stay where
/// they are.
fn reachable(object: &Object, roots: &[u32]) -> Vec<Slot> {
    let mut wanted = vec![false; object.functions.len()];
    let mut open: Vec<usize> = roots.iter().filter_map(|&slot| function_at(object, slot.into())).collect();
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut wanted[index], true) {
            open.extend(callees(object, &object.functions[index]));
        }
    }
    let mut code = object.code.clone();
    for (function, _) in object.functions.iter().zip(wanted).filter(|(_, wanted)| !wanted) {
        code[function.start as usize..][..function.len as usize].fill(EXIT);
    }
    code
}

/// Functions that a function calls or takes the address of.
fn callees(object: &Object, function: &Function) -> Vec<usize> {
    let mut callees = Vec::new();
    for pc in function.start..function.start + function.len {
        // The second slot of an `lddw` decodes to nothing; whatever else does not is the verifier's to name.
        let offset = match decode(&object.code, pc as usize) {
            Ok(Instruction::Call(CallTarget::Local(offset))) => offset,
            Ok(Instruction::LoadImm64 { source: WideSource::Code, value, .. }) => value as i32,
            _ => continue,
        };
        callees.extend(function_at(object, i64::from(pc) + 1 + i64::from(offset)));
    }
    callees
}

fn function_at(object: &Object, slot: i64) -> Option<usize> {
    let index = object.functions.partition_point(|function| i64::from(function.start) <= slot).checked_sub(1)?;
    let function = &object.functions[index];
    (slot < i64::from(function.start) + i64::from(function.len)).then_some(index)
}
