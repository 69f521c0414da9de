//! `.BTF` and `.BTF.ext`, the least that says what declared maps are, and what a kernel asks of code that takes the addresses of
//! functions.

use std::collections::BTreeMap;

use crate::maps::MapSpec;
use crate::object::btf::{HEADER_LEN, MAGIC, VERSION, kind};

/// Types of an object that is being written.
pub(super) struct Types {
    records: Vec<u8>,
    texts: Vec<u8>,
    count: u32,
    /// Pointers to an array of as many elements as a number says.
    numbers: BTreeMap<u32, u32>,
    /// A function that returns an `int`.
    prototype: Option<u32>,
}

/// A variable of a section: its type, where it begins and how many bytes it has.
pub(super) type Variable = [u32; 3];

/// The struct that defines a map.
pub(super) struct Definition {
    pub(super) type_id: u32,
    /// Bytes, without elements.
    pub(super) len: u64,
}

/// `int`, which every array has as element and index.
const INT: u32 = 1;
/// Bits and sign of `int`.
const INT_ENCODING: u32 = 1 << 24 | 32;
const POINTER_LEN: u32 = 8;
/// `BTF_VAR_GLOBAL_ALLOCATED`.
const GLOBAL: u32 = 1;
/// `BTF_FUNC_STATIC`: the kernel checks such a function where it is called, whatever its type says.
const STATIC: u32 = 0;
/// Bytes of the header of `.BTF.ext`: where functions and lines are.
const EXT_HEADER_LEN: u32 = 24;
/// Bytes of what it says of a function.
const FUNCTION_LEN: u32 = 8;

impl Types {
    pub(super) fn new() -> Self {
        let mut types = Self { records: Vec::new(), texts: vec![0], count: 0, numbers: BTreeMap::new(), prototype: None };
        types.add("int", kind::INT, 0, 4, &[INT_ENCODING]);
        types
    }

    /// The struct for a map; its last field is elements, if they are maps or some are there at the start.
    pub(super) fn definition(&mut self, spec: &MapSpec) -> Definition {
        self.definition_named("", spec)
    }

    fn definition_named(&mut self, name: &str, spec: &MapSpec) -> Definition {
        let numbers = [
            ("type", spec.kind.number()),
            ("key_size", spec.key_len),
            ("value_size", spec.value_len),
            ("max_entries", spec.entries_max),
            ("map_flags", spec.flags),
        ];
        let mut members: Vec<(&str, u32)> = numbers.map(|(field, number)| (field, self.number(number))).to_vec();
        let len = u64::from(POINTER_LEN) * members.len() as u64;
        members.extend(self.elements(spec).map(|elements| ("values", elements)));
        let mut rest = Vec::new();
        for (index, (field, type_id)) in members.iter().enumerate() {
            rest.extend([self.text(field), *type_id, index as u32 * POINTER_LEN * 8]);
        }
        Definition { type_id: self.add(name, kind::STRUCT, members.len() as u32, len as u32, &rest), len }
    }

    /// An array of open length of pointers to what elements are.
    fn elements(&mut self, spec: &MapSpec) -> Option<u32> {
        let element = match &spec.inner {
            Some(inner) => self.definition_named(&inner.name, inner).type_id,
            None if spec.named.is_empty() => return None,
            None => self.prototype(),
        };
        let pointer = self.add("", kind::PTR, 0, element, &[]);
        Some(self.add("", kind::ARRAY, 0, 0, &[pointer, INT, 0]))
    }

    pub(super) fn variable(&mut self, name: &str, type_id: u32, offset: u32, len: u32) -> Variable {
        [self.add(name, kind::VAR, 0, type_id, &[GLOBAL]), offset, len]
    }

    pub(super) fn section(&mut self, name: &str, len: u32, variables: &[Variable]) {
        self.add(name, kind::DATASEC, variables.len() as u32, len, variables.as_flattened());
    }

    /// `.BTF.ext` with the functions of each section: name and, for each, first byte.
    pub(super) fn functions<'a>(&mut self, sections: impl Iterator<Item = (&'a str, Vec<(&'a str, u32)>)>) -> Vec<u8> {
        let mut words = vec![FUNCTION_LEN];
        for (section, functions) in sections {
            words.extend([self.text(section), functions.len() as u32]);
            for (name, start) in functions {
                let prototype = self.prototype();
                words.extend([start, self.add(name, kind::FUNC, STATIC, prototype, &[])]);
            }
        }
        let len = words.len() as u32 * 4;
        let header = [u32::from(MAGIC) | u32::from(VERSION) << 16, EXT_HEADER_LEN, 0, len, len, 0];
        header.iter().chain(&words).flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The bytes of `.BTF`; `None`: nothing has a type.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let (records_len, texts_len) = (self.records.len() as u32, self.texts.len() as u32);
        let magic = u32::from(MAGIC) | u32::from(VERSION) << 16;
        let header = [magic, HEADER_LEN as u32, 0, records_len, records_len, texts_len].map(u32::to_le_bytes);
        (self.count > 1).then(|| [header.as_flattened(), &self.records, &self.texts].concat())
    }

    fn prototype(&mut self) -> u32 {
        match self.prototype {
            Some(known) => known,
            None => {
                let new = self.add("", kind::FUNC_PROTO, 0, INT, &[]);
                *self.prototype.insert(new)
            }
        }
    }

    fn number(&mut self, number: u32) -> u32 {
        if let Some(known) = self.numbers.get(&number) {
            return *known;
        }
        let array = self.add("", kind::ARRAY, 0, 0, &[INT, INT, number]);
        let pointer = self.add("", kind::PTR, 0, array, &[]);
        self.numbers.insert(number, pointer);
        pointer
    }

    /// Adds a record and returns the number of the type.
    fn add(&mut self, name: &str, kind: u8, count: u32, size_or_type: u32, rest: &[u32]) -> u32 {
        let name = self.text(name);
        for word in [name, u32::from(kind) << 24 | count, size_or_type].iter().chain(rest) {
            self.records.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.texts.len() as u32;
        self.texts.extend(text.bytes().chain([0]));
        offset
    }
}
