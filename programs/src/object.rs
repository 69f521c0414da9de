//! The unit of exchange: code, symbols and manifest.

use crate::isa::Slot;

/// A function of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// Its first slot.
    pub start: u32,
    /// How many slots it has.
    pub len: u32,
}

/// Code, symbols and manifest of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Instructions of all functions.
    pub code: Vec<Slot>,
    /// Functions by ascending start, disjoint.
    pub functions: Vec<Function>,
    /// `None`: an object of another compiler.
    pub manifest: Option<crate::Manifest>,
    /// What the kernel asks for, such as `GPL`; empty if nobody said.
    pub license: String,
}

impl Object {
    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}
