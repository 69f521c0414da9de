//! Objects as text, as `llvm-objdump -d` prints them.

use std::fmt;

use crate::abi::helper::Helper;
use crate::isa::{CallTarget, Instruction, Slot, WideSource, decode};
use crate::object::Object;

/// The code of an object as text; [`crate::assemble`] reads it back.
///
/// Slots that are no instruction are shown as `<unknown>`, so everything has a disassembly.
#[derive(Clone, Copy, Debug)]
pub struct Disassembly<'a> {
    object: &'a Object,
    comments: bool,
}

impl Object {
    /// The code as text.
    pub fn disassemble(&self) -> Disassembly<'_> {
        Disassembly { object: self, comments: false }
    }
}

impl Disassembly<'_> {
    /// Adds what people want to know behind a `;`: names of helpers, maps and functions whose address is taken, the manifest's
    /// notes, why a slot is no instruction.
    pub fn with_comments(self) -> Self {
        Self { comments: true, ..self }
    }

    fn fmt_header(&self, f: &mut fmt::Formatter<'_>, index: usize) -> fmt::Result {
        let functions = &self.object.functions;
        let name = match functions.binary_search_by_key(&index, |function| function.start as usize) {
            Ok(found) => &functions[found].name,
            Err(_) if index == 0 => ".text",
            Err(_) => return Ok(()),
        };
        let separator = if index == 0 { "" } else { "\n" };
        writeln!(f, "{separator}{:016x} <{}>:", index * Slot::LEN, Printable(name))
    }

    /// Writes the line of the instruction at slot `index` and returns how many slots it has.
    fn fmt_instruction(&self, f: &mut fmt::Formatter<'_>, index: usize) -> Result<usize, fmt::Error> {
        let decoded = decode(&self.object.code, index);
        let len = decoded.map_or(1, |instruction| instruction.slot_count());
        write!(f, "{index:8}:\t")?;
        let bytes = self.object.code[index..index + len].iter().flat_map(|slot| slot.to_bytes());
        for (position, byte) in bytes.enumerate() {
            write!(f, "{}{byte:02x}", if position == 0 { "" } else { " " })?;
        }
        f.write_str("\t")?;
        match decoded {
            Ok(instruction) => {
                write!(f, "{instruction}")?;
                self.fmt_target(f, index, instruction)?;
            }
            Err(_) => f.write_str("<unknown>")?,
        }
        if self.comments {
            self.fmt_comments(f, index, decoded.as_ref().map_err(ToString::to_string))?;
        }
        writeln!(f)?;
        Ok(len)
    }

    /// ` <function+0x18>`, counted in bytes from the last function that begins at or before the target.
    fn fmt_target(&self, f: &mut fmt::Formatter<'_>, index: usize, instruction: Instruction) -> fmt::Result {
        let offset = match instruction {
            Instruction::Jump { offset, .. } | Instruction::Call(CallTarget::Local(offset)) => offset,
            Instruction::Branch { offset, .. } => offset.into(),
            _ => return Ok(()),
        };
        let target = index as i64 + 1 + i64::from(offset);
        let functions = &self.object.functions;
        let after = functions.partition_point(|function| i64::from(function.start) <= target);
        let Some(function) = after.checked_sub(1).map(|last| &functions[last]) else { return Ok(()) };
        match (target - i64::from(function.start)) * Slot::LEN as i64 {
            0 => write!(f, " <{}>", Printable(&function.name)),
            bytes => write!(f, " <{}+{bytes:#x}>", Printable(&function.name)),
        }
    }

    /// What the address is of: a map, global data, a function.
    fn address(&self, index: usize, source: WideSource, value: u64) -> Option<String> {
        let object = self.object;
        let map = || object.maps.get(value as u32 as usize).map(|map| map.name.as_str());
        match source {
            WideSource::MapByIndex => map().map(Into::into),
            WideSource::MapValueByIndex => map().map(|name| format!("{name}+{:#x}", value >> 32)),
            WideSource::Code => {
                let target = index as i64 + 1 + i64::from(value as i32);
                let found = object.functions.binary_search_by_key(&target, |function| function.start.into()).ok()?;
                Some(object.functions[found].name.clone())
            }
            _ => None,
        }
    }

    fn fmt_comments(&self, f: &mut fmt::Formatter<'_>, index: usize, decoded: Result<&Instruction, String>) -> fmt::Result {
        let mut separator = "\t; ";
        let mut comment = |text: &str| {
            write!(f, "{separator}{}", Printable(text))?;
            separator = "; ";
            Ok(())
        };
        match decoded {
            Ok(&Instruction::Call(CallTarget::Helper(number))) => {
                comment(Helper::by_number(number).map_or("a helper this build does not know", |helper| helper.name))?;
            }
            Ok(&Instruction::LoadImm64 { source, value, .. }) => {
                self.address(index, source, value).map_or(Ok(()), |address| comment(&address))?;
            }
            Ok(_) => {}
            Err(error) => comment(&error)?,
        }
        let note = self.object.manifest.as_ref().and_then(|manifest| manifest.notes.get(&(index as u32)));
        note.map_or(Ok(()), |note| comment(note))
    }
}

impl fmt::Display for Disassembly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut index = 0;
        while index < self.object.code.len() {
            self.fmt_header(f, index)?;
            index += self.fmt_instruction(f, index)?;
        }
        Ok(())
    }
}

/// Text of the object's author, on one line and without power over a terminal.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}
