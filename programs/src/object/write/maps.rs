//! Sections of maps: one for those that are declared, one for each that is global data.

use object::write::{SectionId, SymbolId};
use object::{SectionKind, SymbolKind};

use super::{Extent, Writer};
use crate::maps::{MapKind, MapSpec};
use crate::object::{MAPS_SECTION, R_BPF_64_ABS64, is_read_only_section};

impl Writer<'_> {
    pub(super) fn add_maps(&mut self) {
        let object = self.object;
        let (data, declared): (Vec<_>, Vec<_>) = (0..object.maps.len()).partition(|index| object.maps[*index].is_global_data());
        if !declared.is_empty() {
            self.add_declared(&declared);
        }
        for index in data {
            let section = self.add_data(&object.maps[index]);
            self.maps[index] = Some(self.elf.section_symbol(section));
        }
    }

    fn add_declared(&mut self, indices: &[usize]) {
        let object = self.object;
        let (mut variables, mut len) = (Vec::new(), 0);
        let section = self.section(MAPS_SECTION, SectionKind::Data, Vec::new(), 8);
        let mut elements = Vec::new();
        for &index in indices {
            let spec = &object.maps[index];
            assert!(spec.initial.is_empty(), "map `{}` is no global data, but has initial bytes", spec.name);
            let definition = self.types.definition(spec);
            let count = spec.named.iter().map(|(element, _)| u64::from(*element) + 1).max().unwrap_or(0);
            let size = definition.len + 8 * count;
            variables.push(self.types.variable(&spec.name, definition.type_id, len as u32, size as u32));
            self.maps[index] = Some(self.symbol(&spec.name, SymbolKind::Data, Extent { section, start: len, len: size }));
            let first = len + definition.len;
            elements.extend(spec.named.iter().map(|(element, name)| (first + 8 * u64::from(*element), spec.kind, name)));
            len += size;
        }
        self.elf.set_section_data(section, vec![0; len as usize], 8);
        for (offset, kind, name) in elements {
            let symbol = self.named(kind, name);
            self.relocation(section, offset, symbol, R_BPF_64_ABS64);
        }
        self.types.section(MAPS_SECTION, len as u32, &variables);
    }

    /// The symbol of an element: of a program, or of a map.
    fn named(&self, kind: MapKind, name: &str) -> SymbolId {
        let object = self.object;
        let symbol = if kind == MapKind::ProgramArray {
            object.function(name).map(|function| self.functions[&function.start])
        } else {
            object.maps.iter().position(|spec| spec.name == name).and_then(|index| self.maps[index])
        };
        symbol.unwrap_or_else(|| panic!("a map has an element `{name}`, which is not there"))
    }

    fn add_data(&mut self, spec: &MapSpec) -> SectionId {
        let form = MapSpec::global_data(&spec.name, spec.value_len, spec.initial.clone());
        let is_whole = spec.initial.is_empty() || spec.initial.len() == spec.value_len as usize;
        assert!(*spec == form && is_whole, "map `{}` has the name of global data, but not its form", spec.name);
        let kind = match (spec.initial.is_empty(), is_read_only_section(&spec.name)) {
            (true, _) => SectionKind::UninitializedData,
            (false, true) => SectionKind::ReadOnlyData,
            (false, false) => SectionKind::Data,
        };
        let section = self.elf.add_section(Vec::new(), spec.name.clone().into_bytes(), kind);
        if spec.initial.is_empty() {
            self.elf.append_section_bss(section, spec.value_len.into(), 8);
        } else {
            self.elf.set_section_data(section, spec.initial.clone(), 8);
        }
        section
    }
}
