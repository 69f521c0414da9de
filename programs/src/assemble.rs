//! Text to code.
//!
//! One instruction a line, in the syntax of [`crate::isa`]; `;`, `#` and `//` begin a comment. `<name>:` begins a function, `name:`
//! binds a label; a jump or call may name either, and a call may name a helper, whose name comes first. What [`crate::Disassembly`] and `llvm-objdump -d` print is
//! read too.

use std::collections::HashMap;

use crate::abi::helper::Helper;
use crate::builder::{Assembled, BuildError, Builder, Label, Target};
use crate::isa::{Instruction, ParseError, Statement, parse};

/// Text that cannot be assembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// A line is no instruction.
    #[error("line {line}: {source}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        source: ParseError,
    },
    /// A name that no line defines, and no helper has.
    #[error("line {line}: nothing is named `{name}`")]
    UnknownName {
        /// First line that uses it, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// The instructions do not fit together.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Reads a whole program.
///
/// ```
/// let program = nearside_programs::assemble("
///     <double>:
///         r0 = r1
///         if r0 == 0x0 goto done  ; a label
///         r0 <<= 1
///     done:
///         exit
/// ")?;
/// assert_eq!(program.code.len(), 4);
/// # Ok::<(), nearside_programs::AssembleError>(())
/// ```
///
/// # Errors
/// The first line that is wrong, see [`AssembleError`].
pub fn assemble(text: &str) -> Result<Assembled, AssembleError> {
    let mut assembler = Assembler::default();
    for (index, line) in text.lines().enumerate() {
        assembler.line(index + 1, line)?;
    }
    assembler.finish()
}

#[derive(Default)]
struct Assembler<'a> {
    builder: Builder,
    names: HashMap<&'a str, Name>,
}

struct Name {
    label: Label,
    first_use: usize,
    is_bound: bool,
}

impl<'a> Assembler<'a> {
    fn line(&mut self, number: usize, line: &'a str) -> Result<(), AssembleError> {
        if is_title(line) {
            return Ok(());
        }
        if let Some(name) = function_header(line) {
            // LLVM's name for code without a symbol.
            if name != ".text" {
                self.builder.function(name);
                self.bind(name, number);
            }
            return Ok(());
        }
        let text = instruction_text(line);
        if text.is_empty() {
            return Ok(());
        }
        if let Some(label) = label(text) {
            self.bind(label, number);
            return Ok(());
        }
        let statement = parse(text).map_err(|source| AssembleError::Line { line: number, source })?;
        self.instruction(number, statement);
        Ok(())
    }

    fn instruction(&mut self, line: usize, Statement { instruction, target }: Statement<'a>) {
        let helper = target.filter(|_| matches!(instruction, Instruction::Call(_))).and_then(Helper::by_name);
        match (target, helper) {
            (_, Some(helper)) => self.builder.call_helper(helper.number),
            (Some(name), None) => {
                let label = self.name(name, line).label;
                self.builder.emit_to(instruction, Target::Label(label))
            }
            (None, None) => self.builder.emit(instruction),
        };
    }

    fn bind(&mut self, name: &'a str, line: usize) {
        let name = self.name(name, line);
        name.is_bound = true;
        let label = name.label;
        self.builder.bind(label);
    }

    fn name(&mut self, name: &'a str, first_use: usize) -> &mut Name {
        let builder = &mut self.builder;
        let new = || Name { label: builder.label(), first_use, is_bound: false };
        self.names.entry(name).or_insert_with(new)
    }

    fn finish(self) -> Result<Assembled, AssembleError> {
        let unknown = self.names.iter().filter(|(_, name)| !name.is_bound).min_by_key(|(_, name)| name.first_use);
        if let Some((name, Name { first_use, .. })) = unknown {
            return Err(AssembleError::UnknownName { line: *first_use, name: (*name).into() });
        }
        Ok(self.builder.finish()?)
    }
}

/// What `llvm-objdump` prints above the code.
fn is_title(line: &str) -> bool {
    line.starts_with("Disassembly of section ") || line.contains(":\tfile format ")
}

/// The name in `<name>:`, with or without an address before it.
fn function_header(line: &str) -> Option<&str> {
    let (address, name) = line.trim().strip_suffix(">:")?.split_once('<')?;
    address.trim_end().chars().all(|c| c.is_ascii_hexdigit()).then_some(name)
}

/// The line without comment, and without the slot and bytes of a disassembly.
fn instruction_text(line: &str) -> &str {
    let end = [line.find(';'), line.find('#'), line.find("//")].into_iter().flatten().min().unwrap_or(line.len());
    let text = line[..end].trim();
    let is_slot = |text: &str| text.strip_suffix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match text.splitn(3, '\t').collect::<Vec<_>>()[..] {
        [slot, _bytes, instruction] if is_slot(slot) => instruction.trim(),
        _ => text,
    }
}

/// The name in `name:`.
fn label(text: &str) -> Option<&str> {
    let name = text.strip_suffix(':')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.$".contains(c));
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names resolve forwards and backwards, to labels, functions and helpers.
    #[test]
    fn names_resolve() {
        let program = assemble(
            "<main>:\n top: \n if r1 s> 5 goto done # far\n call leaf // below\n call i128_add\n goto top\ndone: exit_\n",
        );
        assert!(matches!(program, Err(AssembleError::Line { line: 7, .. })), "{program:?}");
        let program = assemble(
            "<main>:\n top: \n if r1 s> 5 goto done # far\n call leaf // below\n call i128_add\n goto top\ndone:\n exit\n<leaf>:\nexit",
        )
        .unwrap();
        let texts: Vec<_> = (0..6).map(|index| crate::isa::decode(&program.code, index).unwrap().to_string()).collect();
        assert_eq!(texts, ["if r1 s> 0x5 goto +0x3", "call +0x3", "call 0x10040", "goto -0x4", "exit", "exit"]);
        assert_eq!(
            program.functions.iter().map(|f| (f.name.as_str(), f.start, f.len)).collect::<Vec<_>>(),
            [("main", 0, 5), ("leaf", 5, 1)]
        );
    }

    /// A mistake is reported with its line.
    #[test]
    fn mistakes_have_a_line() {
        let check = |text: &str, message: &str| assert_eq!(assemble(text).unwrap_err().to_string(), message);
        check("exit\nr11 = 0", "line 2: expected an instruction, found `r11 = 0`");
        check("exit\n\nexit exit", "line 3: `exit` after the instruction");
        check("r1 = w2", "line 1: no such instruction");
        check("r1 += 0x80000000", "line 1: 2147483648 does not fit 32 bits");
        check("*(u8 *)(r1 + 40000) = 1", "line 1: 40000 does not fit 16 bits");
        check("goto nowhere", "line 1: nothing is named `nowhere`");
        check("r1 = atomic_fetch_nand((u64 *)(r2 + 0), r1)", "line 1: expected an atomic operation, found `atomic_fetch_nand`");
        check("if r1 > w2 goto +1", "line 1: no such instruction");
        check("top:\nexit\ntop:\nexit", "label bound at instruction 0 and again at 1");
        check("  63:\tbc 21 20 00 00 00 00 00\t<unknown>", "line 1: expected an instruction, found `<unknown>`");
    }
}
