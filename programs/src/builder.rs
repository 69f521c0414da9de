//! Assembles code: one method an instruction, labels for jump targets, symbols for functions, notes for people.
//!
//! ```
//! use nearside_programs::Builder;
//! use nearside_programs::isa::{JumpOp, Reg};
//!
//! let mut b = Builder::new();
//! let (top, done) = (b.label(), b.label());
//! b.function("sum_below"); // r0 = 0 + 1 + … + (r1 - 1)
//! b.mov(Reg::R0, 0).mov(Reg::R2, 0);
//! b.bind(top).branch(JumpOp::Ge, Reg::R2, Reg::R1, done);
//! b.add(Reg::R0, Reg::R2).add(Reg::R2, 1).jump(top);
//! b.bind(done).exit();
//! let assembled = b.finish()?;
//! assert_eq!(assembled.code.len(), 7);
//! # Ok::<(), nearside_programs::BuildError>(())
//! ```
//!
//! Mistakes of the caller (an unbound label, a field that does not fit) are kept and reported by [`Builder::finish`], so that
//! lowering reads as the code it writes.

use std::collections::BTreeMap;

use crate::isa::{AluOp, CallTarget, EncodeError, Instruction, JumpOp, Operand, Reg, Size, Slot, WideSource, Width, encode};
use crate::object::Function;

/// A place in the code, bound once and named any number of times before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(u32);

/// What a [`Builder`] has built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembled {
    /// The slots.
    pub code: Vec<Slot>,
    /// Functions by ascending start, each up to the next one's start.
    pub functions: Vec<Function>,
    /// Remarks by slot.
    pub notes: BTreeMap<u32, String>,
}

/// What was wrong with the calls of a [`Builder`]: a bug of the code that lowers, or a program too large for the encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An instruction has no encoding.
    #[error("instruction {slot}: {source}")]
    Encode {
        /// Where.
        slot: u32,
        /// Which.
        source: EncodeError,
    },
    /// A conditional branch is further than 16 bits of slots from its label. (Jumps become `gotol`.)
    #[error("instruction {slot}: branch over {distance} slots; 16 bits are the limit")]
    BranchTooFar {
        /// Where.
        slot: u32,
        /// Slots to the label.
        distance: i64,
    },
    /// A label is named but not bound.
    #[error("instruction {slot}: jump to a label that is bound nowhere")]
    UnboundLabel {
        /// First instruction that names it.
        slot: u32,
    },
    /// A label is bound twice.
    #[error("label bound at instruction {first} and again at {second}")]
    BoundTwice {
        /// First place.
        first: u32,
        /// Second place.
        second: u32,
    },
    /// A call names a function that is not there.
    #[error("instruction {slot}: call of function `{name}`, which does not exist")]
    UnknownFunction {
        /// The call.
        slot: u32,
        /// The function.
        name: String,
    },
    /// Two functions have one name.
    #[error("two functions are named `{name}`")]
    DuplicateFunction {
        /// The name.
        name: String,
    },
    /// A function has no instruction.
    #[error("function `{name}` is empty")]
    EmptyFunction {
        /// The name.
        name: String,
    },
}

/// What an instruction aims at.
pub(crate) enum Target {
    Label(Label),
    Function(String),
}

/// An instruction whose offset is not known yet.
struct Fixup {
    slot: u32,
    instruction: Instruction,
    target: Target,
}

/// Assembles code; see the [module](self).
#[derive(Default)]
pub struct Builder {
    code: Vec<Slot>,
    labels: Vec<Option<u32>>,
    starts: Vec<(String, u32)>,
    notes: BTreeMap<u32, String>,
    fixups: Vec<Fixup>,
    error: Option<BuildError>,
}

impl Builder {
    /// No code yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The slot the next instruction gets.
    pub fn position(&self) -> u32 {
        self.code.len() as u32
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Binds a label to the next instruction.
    ///
    /// # Panics
    /// If the label is another builder's.
    pub fn bind(&mut self, label: Label) -> &mut Self {
        let second = self.position();
        if let Some(first) = self.labels[label.0 as usize].replace(second) {
            self.fail(BuildError::BoundTwice { first, second });
        }
        self
    }

    /// Begins a function at the next instruction; it ends where the next one begins.
    pub fn function(&mut self, name: impl Into<String>) -> &mut Self {
        let start = self.position();
        self.starts.push((name.into(), start));
        self
    }

    /// A remark on the next instruction; several are joined by `; `.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        let note = self.notes.entry(self.code.len() as u32).or_default();
        if !note.is_empty() {
            note.push_str("; ");
        }
        note.push_str(&text.into());
        self
    }

    /// Appends any instruction, offsets as encoded.
    pub fn emit(&mut self, instruction: Instruction) -> &mut Self {
        let slot = self.position();
        match encode(instruction) {
            Ok(slots) => self.code.extend_from_slice(&slots),
            Err(source) => self.fail(BuildError::Encode { slot, source }),
        }
        self
    }

    /// 64-bit arithmetic: `dst = dst op src` (`Mov`: `dst = src`).
    pub fn alu(&mut self, op: AluOp, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.emit(Instruction::Alu { width: Width::W64, op, dst, src: src.into() })
    }

    /// 32-bit arithmetic; the upper half of `dst` becomes zero.
    pub fn alu32(&mut self, op: AluOp, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.emit(Instruction::Alu { width: Width::W32, op, dst, src: src.into() })
    }

    /// `dst = src`.
    pub fn mov(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Mov, dst, src)
    }

    /// `dst = low 32 bits of src`.
    pub fn mov32(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu32(AluOp::Mov, dst, src)
    }

    /// `dst = sign extension of the low bits (8, 16, 32) of src`.
    pub fn mov_signed(&mut self, bits: u8, dst: Reg, src: Reg) -> &mut Self {
        self.emit(Instruction::MoveSigned { width: Width::W64, dst, src, bits })
    }

    /// `dst = value`, in one slot if it fits 32 signed bits, else by `lddw`.
    pub fn constant(&mut self, dst: Reg, value: i64) -> &mut Self {
        match i32::try_from(value) {
            Ok(imm) => self.mov(dst, imm),
            Err(_) => self.emit(Instruction::LoadImm64 { dst, source: WideSource::Immediate, value: value as u64 }),
        }
    }

    /// `dst += src`.
    pub fn add(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Add, dst, src)
    }

    /// `dst -= src`.
    pub fn sub(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Sub, dst, src)
    }

    /// `dst *= src`.
    pub fn mul(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Mul, dst, src)
    }

    /// `dst &= src`.
    pub fn and(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::And, dst, src)
    }

    /// `dst |= src`.
    pub fn or(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Or, dst, src)
    }

    /// `dst ^= src`.
    pub fn xor(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Xor, dst, src)
    }

    /// `dst <<= src`.
    pub fn lsh(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Lsh, dst, src)
    }

    /// `dst >>= src`, zeros from above.
    pub fn rsh(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Rsh, dst, src)
    }

    /// `dst >>= src`, the sign from above.
    pub fn arsh(&mut self, dst: Reg, src: impl Into<Operand>) -> &mut Self {
        self.alu(AluOp::Arsh, dst, src)
    }

    /// `dst = -dst`.
    pub fn neg(&mut self, dst: Reg) -> &mut Self {
        self.emit(Instruction::Neg { width: Width::W64, dst })
    }

    /// `dst = *(size *)(base + offset)`, zero-extended.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, offset: i16) -> &mut Self {
        self.emit(Instruction::Load { size, signed: false, dst, base, offset })
    }

    /// `dst = *(size *)(base + offset)`, sign-extended.
    pub fn load_signed(&mut self, size: Size, dst: Reg, base: Reg, offset: i16) -> &mut Self {
        // Eight bytes have no sign to extend, and no encoding for it.
        self.emit(Instruction::Load { size, signed: size != Size::D, dst, base, offset })
    }

    /// `*(size *)(base + offset) = src`.
    pub fn store(&mut self, size: Size, base: Reg, offset: i16, src: impl Into<Operand>) -> &mut Self {
        self.emit(Instruction::Store { size, base, offset, src: src.into() })
    }

    /// `goto target`, near or far.
    pub fn jump(&mut self, target: Label) -> &mut Self {
        self.emit_to(Instruction::Jump { offset: 0, long: false }, Target::Label(target))
    }

    /// `if dst op src goto target`, 64 bits.
    pub fn branch(&mut self, op: JumpOp, dst: Reg, src: impl Into<Operand>, target: Label) -> &mut Self {
        let branch = Instruction::Branch { width: Width::W64, op, dst, src: src.into(), offset: 0 };
        self.emit_to(branch, Target::Label(target))
    }

    /// `if dst op src goto target`, 32 bits.
    pub fn branch32(&mut self, op: JumpOp, dst: Reg, src: impl Into<Operand>, target: Label) -> &mut Self {
        let branch = Instruction::Branch { width: Width::W32, op, dst, src: src.into(), offset: 0 };
        self.emit_to(branch, Target::Label(target))
    }

    /// Calls a helper by number; see [`crate::abi::helper`].
    pub fn call_helper(&mut self, number: u32) -> &mut Self {
        self.emit(Instruction::Call(CallTarget::Helper(number)))
    }

    /// Calls a subprogram at a label.
    pub fn call(&mut self, target: Label) -> &mut Self {
        self.emit_to(Instruction::Call(CallTarget::Local(0)), Target::Label(target))
    }

    /// Calls a function by name, begun before or after.
    pub fn call_function(&mut self, name: impl Into<String>) -> &mut Self {
        self.emit_to(Instruction::Call(CallTarget::Local(0)), Target::Function(name.into()))
    }

    /// Returns r0.
    pub fn exit(&mut self) -> &mut Self {
        self.emit(Instruction::Exit)
    }

    /// Resolves labels and function names.
    ///
    /// # Errors
    /// The first mistake of the calls before, see [`BuildError`].
    pub fn finish(mut self) -> Result<Assembled, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let functions = functions(&self.starts, self.code.len() as u32)?;
        for Fixup { slot, instruction, target } in self.fixups {
            let to = match target {
                Target::Label(label) => self.labels[label.0 as usize].ok_or(BuildError::UnboundLabel { slot })?,
                Target::Function(name) => find(&functions, name, slot)?,
            };
            let instruction = aim(instruction, slot, i64::from(to) - i64::from(slot) - 1)?;
            let slots = encode(instruction).map_err(|source| BuildError::Encode { slot, source })?;
            self.code[slot as usize] = slots[0];
        }
        Ok(Assembled { code: self.code, functions, notes: self.notes })
    }

    /// Appends an instruction whose offset [`Builder::finish`] fills in.
    pub(crate) fn emit_to(&mut self, instruction: Instruction, target: Target) -> &mut Self {
        let slot = self.position();
        self.fixups.push(Fixup { slot, instruction, target });
        self.emit(instruction)
    }

    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }
}

/// The instruction with its offset. Every instruction that takes a label is one slot, near or far.
fn aim(instruction: Instruction, slot: u32, distance: i64) -> Result<Instruction, BuildError> {
    let too_far = BuildError::BranchTooFar { slot, distance };
    match instruction {
        Instruction::Branch { width, op, dst, src, .. } => {
            let offset = i16::try_from(distance).map_err(|_| too_far)?;
            Ok(Instruction::Branch { width, op, dst, src, offset })
        }
        Instruction::Call(_) => {
            let offset = i32::try_from(distance).map_err(|_| too_far)?;
            Ok(Instruction::Call(CallTarget::Local(offset)))
        }
        _ => {
            let offset = i32::try_from(distance).map_err(|_| too_far)?;
            Ok(Instruction::Jump { offset, long: i16::try_from(offset).is_err() })
        }
    }
}

fn functions(starts: &[(String, u32)], end: u32) -> Result<Vec<Function>, BuildError> {
    let mut functions: Vec<Function> = Vec::with_capacity(starts.len());
    for (index, (name, start)) in starts.iter().enumerate() {
        let len = starts.get(index + 1).map_or(end, |next| next.1) - start;
        if len == 0 {
            return Err(BuildError::EmptyFunction { name: name.clone() });
        }
        if functions.iter().any(|function| function.name == *name) {
            return Err(BuildError::DuplicateFunction { name: name.clone() });
        }
        functions.push(Function::new(name, *start, len));
    }
    Ok(functions)
}

fn find(functions: &[Function], name: String, slot: u32) -> Result<u32, BuildError> {
    match functions.iter().find(|function| function.name == name) {
        Some(function) => Ok(function.start),
        None => Err(BuildError::UnknownFunction { slot, name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::decode;

    fn decoded(assembled: &Assembled, index: usize) -> Instruction {
        decode(&assembled.code, index).unwrap()
    }

    /// Offsets count from the next slot, and `lddw` counts as two.
    #[test]
    fn labels_resolve_both_ways() {
        let mut b = Builder::new();
        let (top, end) = (b.label(), b.label());
        b.function("f").bind(top).branch(JumpOp::Eq, Reg::R1, 0, end);
        b.note("wide").constant(Reg::R0, 1 << 40).jump(top).bind(end).exit();
        b.function("g").call_function("f").call(top).exit();
        let built = b.finish().unwrap();
        assert!(matches!(decoded(&built, 0), Instruction::Branch { offset: 3, .. }));
        assert_eq!(decoded(&built, 3), Instruction::Jump { offset: -4, long: false });
        assert_eq!(decoded(&built, 5), Instruction::Call(CallTarget::Local(-6)));
        assert_eq!(decoded(&built, 6), Instruction::Call(CallTarget::Local(-7)));
        let function = Function::new;
        assert_eq!(built.functions, [function("f", 0, 5), function("g", 5, 3)]);
        assert_eq!(built.notes, BTreeMap::from([(1, "wide".into())]));
    }

    /// A far jump is a `gotol`; a far branch is an error, not a wrong offset.
    #[test]
    fn far_targets() {
        let far = |branch: bool| {
            let mut b = Builder::new();
            let end = b.label();
            if branch {
                b.branch(JumpOp::Eq, Reg::R1, 0, end)
            } else {
                b.jump(end)
            };
            for _ in 0..40_000 {
                b.mov(Reg::R0, 0);
            }
            b.bind(end).exit();
            b.finish()
        };
        assert_eq!(decoded(&far(false).unwrap(), 0), Instruction::Jump { offset: 40_000, long: true });
        assert_eq!(far(true), Err(BuildError::BranchTooFar { slot: 0, distance: 40_000 }));
    }

    /// Every mistake is reported by `finish`, in one line.
    #[test]
    fn mistakes_are_reported() {
        let check = |build: &dyn Fn(&mut Builder), message: &str| {
            let mut b = Builder::new();
            build(&mut b);
            assert_eq!(b.finish().unwrap_err().to_string(), message);
        };
        check(
            &|b| {
                let label = b.label();
                b.exit().jump(label);
            },
            "instruction 1: jump to a label that is bound nowhere",
        );
        check(
            &|b| {
                let label = b.label();
                b.bind(label).exit().bind(label).exit();
            },
            "label bound at instruction 0 and again at 1",
        );
        check(
            &|b| {
                b.call_function("f");
            },
            "instruction 0: call of function `f`, which does not exist",
        );
        check(
            &|b| {
                b.function("f").exit().function("f").exit();
            },
            "two functions are named `f`",
        );
        check(
            &|b| {
                b.function("f");
            },
            "function `f` is empty",
        );
        check(
            &|b| {
                b.mov_signed(7, Reg::R0, Reg::R1);
            },
            "instruction 0: `r0 = (s7)r1` has no encoding",
        );
    }
}
