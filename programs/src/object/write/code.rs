//! Sections with code, and the relocations that link them.

use std::ops::Range;

use object::elf::R_BPF_64_32;
use object::write::{SectionId, SymbolId};
use object::{SectionKind, SymbolKind};

use super::{Extent, R_BPF_64_64, Writer};
use crate::isa::Slot;
use crate::object::references::{Reference, references, target};
use crate::object::{CODE_SECTION, Object};

/// Slots that go into one section: those of functions of that section which follow each other.
pub(super) struct Run<'a> {
    name: &'a str,
    section: SectionId,
    slots: Range<u32>,
}

impl<'a> Run<'a> {
    /// The section's name, and name and first byte of each function in it.
    pub(super) fn functions(&self, object: &'a Object) -> (&'a str, Vec<(&'a str, u32)>) {
        let functions = object.functions.iter().filter(|function| self.slots.contains(&function.start));
        let byte = |slot| (slot - self.slots.start) * Slot::LEN as u32;
        (self.name, functions.map(|function| (function.name.as_str(), byte(function.start))).collect())
    }
}

impl<'a> Writer<'a> {
    /// Adds sections and symbols. Contents follow with [`Self::relocate`], when every symbol is there.
    pub(super) fn add_code(&mut self) -> Vec<Run<'a>> {
        let parts = parts(self.object);
        // As LLVM does it, there always is a `.text`.
        if !parts.iter().any(|(name, _)| *name == CODE_SECTION) {
            self.section(CODE_SECTION, SectionKind::Text, Vec::new(), Slot::LEN as u64);
        }
        let mut runs = Vec::new();
        for (name, slots) in parts {
            let section = self.section(name, SectionKind::Text, Vec::new(), Slot::LEN as u64);
            runs.push(Run { name, section, slots });
        }
        for function in &self.object.functions {
            let run = run_of(&runs, function.start.into()).expect("functions are inside of the code");
            let start = u64::from(function.start - run.slots.start) * Slot::LEN as u64;
            let extent = Extent { section: run.section, start, len: u64::from(function.len) * Slot::LEN as u64 };
            let symbol = self.symbol(&function.name, SymbolKind::Text, extent);
            self.functions.insert(function.start, symbol);
        }
        runs
    }

    /// Writes the code, with a relocation for whatever refers to a map or to another section.
    pub(super) fn relocate(&mut self, runs: &[Run<'_>]) {
        let object = self.object;
        for run in runs {
            let original = &object.code[run.slots.start as usize..run.slots.end as usize];
            let mut code = original.to_vec();
            for (index, reference) in references(original) {
                let offset = (index * Slot::LEN) as u64;
                let Some((symbol, r_type)) = self.refer(runs, run, index as u32, reference, &mut code[index..]) else { continue };
                self.relocation(run.section, offset, symbol, r_type);
            }
            let bytes: Vec<u8> = code.iter().flat_map(|slot| slot.to_bytes()).collect();
            self.elf.set_section_data(run.section, bytes, Slot::LEN as u64);
        }
    }

    /// The symbol to refer to, and what is added to it written into `code`, which begins at the instruction. `None`: the numbers
    /// stay as they are.
    fn refer(
        &mut self,
        runs: &[Run<'_>],
        run: &Run<'_>,
        index: u32,
        reference: Reference,
        code: &mut [Slot],
    ) -> Option<(SymbolId, u32)> {
        let slot = run.slots.start + index;
        match reference {
            Reference::Call(offset) => {
                let callee = target(slot, offset);
                let of = run_of(runs, callee).filter(|of| of.slots != run.slots)?;
                let (symbol, slots) = self.code_symbol(of, callee as u32);
                code[0].imm = slots as i32 - 1;
                Some((symbol, R_BPF_64_32))
            }
            Reference::Code(offset) => {
                let callee = target(slot, offset);
                let (symbol, slots) = self.code_symbol(run_of(runs, callee)?, callee as u32);
                set(code, (slots as usize * Slot::LEN) as i32);
                self.takes_addresses = true;
                Some((symbol, R_BPF_64_64))
            }
            Reference::Map(map) => {
                let symbol = self.map_symbol(map).filter(|_| !self.object.maps[map as usize].is_global_data())?;
                set(code, 0);
                Some((symbol, R_BPF_64_64))
            }
            Reference::MapValue { map, offset } => {
                let spec = self.object.maps.get(map as usize)?;
                let is_inside = spec.is_global_data() && offset <= spec.value_len;
                let symbol = self.map_symbol(map).filter(|_| is_inside)?;
                set(code, offset as i32);
                Some((symbol, R_BPF_64_64))
            }
        }
    }

    /// A symbol and how many slots behind it: the function that begins there, or the section.
    fn code_symbol(&mut self, run: &Run<'_>, slot: u32) -> (SymbolId, u32) {
        match self.functions.get(&slot) {
            Some(symbol) => (*symbol, 0),
            None => (self.elf.section_symbol(run.section), slot - run.slots.start),
        }
    }
}

/// An `lddw` without what relocation fills in.
fn set(code: &mut [Slot], addend: i32) {
    code[0] = Slot { src: 0, imm: addend, ..code[0] };
    code[1] = Slot { imm: 0, ..code[1] };
}

/// Cuts the code where a function of another section begins; what is before the first function belongs to it.
fn parts(object: &Object) -> Vec<(&str, Range<u32>)> {
    let end = object.code.len() as u32;
    let mut parts: Vec<(&str, Range<u32>)> = Vec::new();
    for function in &object.functions {
        match parts.last_mut() {
            Some((section, _)) if *section == function.section => {}
            Some((_, slots)) => {
                slots.end = function.start;
                parts.push((&function.section, function.start..end));
            }
            None => parts.push((&function.section, 0..end)),
        }
    }
    if parts.is_empty() && end > 0 {
        parts.push((CODE_SECTION, 0..end));
    }
    parts
}

fn run_of<'r, 'a>(runs: &'r [Run<'a>], slot: i64) -> Option<&'r Run<'a>> {
    let slot = u32::try_from(slot).ok()?;
    let index = runs.partition_point(|run| run.slots.start <= slot).checked_sub(1)?;
    Some(&runs[index]).filter(|run| run.slots.contains(&slot))
}
