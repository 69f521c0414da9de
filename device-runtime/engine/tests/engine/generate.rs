//! A generator of valid programs, for the differential test and for the fuzzer.

use nearside_programs::abi::helper::HELPERS;
use nearside_programs::isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, Slot, WideSource, Width, encode,
};
use nearside_programs::manifest::Target;
use rand::Rng;
use rand::seq::IndexedRandom;

/// Makes valid programs: a few functions of random instructions with forward and backward jumps, addresses mostly near regions.
///
/// It needs of a source of numbers only that it answers: the fuzzer's runs out of bytes and gives zeros from then on.
pub(crate) struct Generator<R> {
    pub(crate) random: R,
    /// Where regions begin.
    pub(crate) regions: &'static [u32],
    /// The program.
    pub(crate) slots: Vec<Slot>,
}

impl<R: Rng> Generator<R> {
    pub(crate) fn program(&mut self) {
        let functions = self.random.random_range(1..=4);
        let lens: Vec<usize> = (0..functions).map(|_| self.random.random_range(4..40)).collect();
        let starts: Vec<usize> = lens.iter().scan(0, |start, len| Some(std::mem::replace(start, *start + len))).collect();
        for (&start, &len) in starts.iter().zip(&lens) {
            self.function(start, len, &starts);
        }
    }

    fn function(&mut self, start: usize, len: usize, starts: &[usize]) {
        // Where instructions begin, so that jumps miss the second halves of `lddw`.
        let wide: Vec<bool> = (0..len).map(|_| self.random.random_bool(0.05)).collect();
        let mut begins = Vec::new();
        let mut slot = 0;
        while slot < len - 1 {
            let two = wide[slot] && slot + 2 < len;
            begins.push((slot, two));
            slot += if two { 2 } else { 1 };
        }
        let targets: Vec<usize> = begins.iter().map(|&(slot, _)| start + slot).chain([start + len - 1]).collect();
        for (slot, two) in begins {
            let pc = start + slot;
            let instruction = if two { self.wide(pc, starts) } else { self.instruction(pc, &targets, starts) };
            self.emit(instruction);
        }
        self.emit(Instruction::Exit);
    }

    fn emit(&mut self, instruction: Instruction) {
        self.slots.extend_from_slice(&encode(instruction).unwrap());
    }

    fn wide(&mut self, pc: usize, starts: &[usize]) -> Instruction {
        let dst = self.written();
        if self.random.random_bool(0.3) {
            let offset = self.offset(pc, starts);
            return Instruction::LoadImm64 { dst, source: WideSource::Code, value: u64::from(offset as u32) };
        }
        Instruction::LoadImm64 { dst, source: WideSource::Immediate, value: self.value() }
    }

    fn instruction(&mut self, pc: usize, targets: &[usize], starts: &[usize]) -> Instruction {
        match self.random.random_range(0..100) {
            0..35 => self.alu(),
            35..55 => self.access(),
            55..62 => self.atomic(),
            62..75 => Instruction::Branch {
                width: self.width(),
                op: *CONDITIONS.choose(&mut self.random).unwrap(),
                dst: self.read(),
                src: self.operand(),
                offset: self.offset(pc, targets) as i16,
            },
            75..77 => Instruction::Jump { offset: self.offset(pc, targets), long: self.random.random() },
            77..84 => self.call(pc, starts),
            84..94 => {
                // A pointer for later.
                let (dst, value) = (self.written(), self.address());
                Instruction::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Operand::Imm(value) }
            }
            94..96 => Instruction::MoveSigned {
                width: Width::W64,
                dst: self.written(),
                src: self.read(),
                bits: *[8, 16, 32].choose(&mut self.random).unwrap(),
            },
            96..98 => Instruction::Endian {
                order: *[ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap].choose(&mut self.random).unwrap(),
                dst: self.written(),
                bits: *[16, 32, 64].choose(&mut self.random).unwrap(),
            },
            98 => Instruction::Neg { width: self.width(), dst: self.written() },
            _ => Instruction::Exit,
        }
    }

    fn alu(&mut self) -> Instruction {
        let op = *OPS.choose(&mut self.random).unwrap();
        Instruction::Alu { width: self.width(), op, dst: self.written(), src: self.operand() }
    }

    fn access(&mut self) -> Instruction {
        let size = self.size();
        let base = self.read();
        let offset = self.displacement(base, size);
        if self.random.random() {
            let signed = size != Size::D && self.random.random();
            return Instruction::Load { size, signed, dst: self.written(), base, offset };
        }
        Instruction::Store { size, base, offset, src: self.operand() }
    }

    fn atomic(&mut self) -> Instruction {
        let size = if self.random.random() { Size::W } else { Size::D };
        let op = *ATOMICS.choose(&mut self.random).unwrap();
        let fetch = matches!(op, AtomicOp::Exchange | AtomicOp::CompareExchange) || self.random.random();
        let base = self.read();
        let offset = self.displacement(base, size) & -8;
        Instruction::Atomic { size, op, fetch, base, offset, src: self.written() }
    }

    fn call(&mut self, pc: usize, starts: &[usize]) -> Instruction {
        let helpers: Vec<u32> =
            HELPERS.iter().filter(|helper| helper.targets.contains(&Target::Columnar)).map(|helper| helper.number).collect();
        let target = match self.random.random_range(0..10) {
            // Only to later functions: a chain of calls without recursion is short, and recursion is another branch's business.
            0..3 => CallTarget::Local(self.offset(pc, starts)),
            3 => CallTarget::Register(self.read()),
            _ => CallTarget::Helper(*helpers.choose(&mut self.random).unwrap()),
        };
        Instruction::Call(target)
    }

    /// From the slot after `pc` to one of the targets.
    fn offset(&mut self, pc: usize, targets: &[usize]) -> i32 {
        *targets.choose(&mut self.random).unwrap() as i32 - (pc as i32 + 1)
    }

    /// Inside the frame for r10, small for other registers.
    fn displacement(&mut self, base: Reg, size: Size) -> i16 {
        if base == Reg::R10 {
            self.random.random_range(-64..=-8)
        } else {
            self.random.random_range(-16..16) * size.bytes() as i16
        }
    }

    fn read(&mut self) -> Reg {
        Reg::new_checked(self.random.random_range(0..=10)).unwrap()
    }

    fn written(&mut self) -> Reg {
        Reg::new_checked(self.random.random_range(0..=9)).unwrap()
    }

    fn operand(&mut self) -> Operand {
        if self.random.random() { Operand::Reg(self.read()) } else { Operand::Imm(self.value() as i32) }
    }

    fn width(&mut self) -> Width {
        if self.random.random() { Width::W32 } else { Width::W64 }
    }

    fn size(&mut self) -> Size {
        *[Size::B, Size::H, Size::W, Size::D].choose(&mut self.random).unwrap()
    }

    /// In or near a region.
    fn address(&mut self) -> i32 {
        let region = *self.regions.choose(&mut self.random).unwrap();
        let offset = *[0, 8, 64, 0x100, 0x8000, 0xfff0, 0xffff].choose(&mut self.random).unwrap();
        (region + offset) as i32
    }

    /// Zero, extremes, powers of two, addresses.
    pub(crate) fn value(&mut self) -> u64 {
        match self.random.random_range(0..6) {
            0 => self.random.random_range(0..4),
            1 => u64::MAX - self.random.random_range(0..4),
            2 => 1 << self.random.random_range(0..64),
            3 | 4 => self.address() as u64,
            _ => self.random.random(),
        }
    }
}

pub(crate) const OPS: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

pub(crate) const CONDITIONS: [JumpOp; 11] = [
    JumpOp::Eq,
    JumpOp::Gt,
    JumpOp::Ge,
    JumpOp::Set,
    JumpOp::Ne,
    JumpOp::SGt,
    JumpOp::SGe,
    JumpOp::Lt,
    JumpOp::Le,
    JumpOp::SLt,
    JumpOp::SLe,
];

pub(crate) const ATOMICS: [AtomicOp; 6] =
    [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor, AtomicOp::Exchange, AtomicOp::CompareExchange];
