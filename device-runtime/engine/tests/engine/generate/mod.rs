//! A generator of valid programs, for the differential tests and for the fuzzer.
//!
//! [`Generator::columnar`] and [`Generator::packet`] begin one, [`Generator::program`] makes the slots, [`mutate`] spoils some. Programs of the packet target
//! also use maps of every kind ([`MAPS`]), packets, `loop`, `tail_call` and `callx` the way C does (`idioms`), so that they get past the first check of a helper.

mod idioms;
mod maps;
mod mutate;

use nearside_programs::MapSpec;
use nearside_programs::abi::helper::HELPERS;
use nearside_programs::isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, Slot, WideSource, Width, encode,
};
use nearside_programs::manifest::Target;
use rand::Rng;
use rand::seq::IndexedRandom;

pub(crate) use maps::{CPUS, MAPS, PROGRAMS};
pub(crate) use mutate::mutate;

/// Makes valid programs: a few functions of random instructions with forward and backward jumps, addresses mostly near regions.
///
/// It needs of a source of numbers only that it answers: the fuzzer's runs out of bytes and gives zeros from then on.
pub(crate) struct Generator<R> {
    pub(crate) random: R,
    /// The program.
    pub(crate) slots: Vec<Slot>,
    /// First slots of its functions.
    pub(crate) starts: Vec<usize>,
    target: Target,
    /// Where regions begin.
    regions: &'static [u32],
    /// What `lddw` may name.
    maps: &'static [MapSpec],
}

/// Instructions that belong together; only the first is jumped to.
type Unit = Vec<Instruction>;

impl<R: Rng> Generator<R> {
    /// For programs of the columnar target, which have no maps.
    pub(crate) fn columnar(random: R, regions: &'static [u32]) -> Self {
        Self { random, slots: Vec::new(), starts: Vec::new(), target: Target::Columnar, regions, maps: &[] }
    }

    /// For programs of the packet target with the maps of [`MAPS`].
    pub(crate) fn packet(random: R) -> Self {
        let regions = &maps::REGIONS;
        Self { random, slots: Vec::new(), starts: Vec::new(), target: Target::Packet, regions, maps: &MAPS }
    }

    pub(crate) fn program(&mut self) {
        let functions: Vec<Vec<Unit>> = (0..self.random.random_range(1..=4)).map(|_| self.function()).collect();
        let len = |function: &Vec<Unit>| function.iter().map(slot_count).sum::<usize>();
        self.starts =
            functions.iter().scan(0, |start, function| Some(std::mem::replace(start, *start + len(function)))).collect();
        for function in functions {
            self.emit(function);
        }
    }

    /// What a function does, before it is known where everything is: jumps and references to code have no offset yet.
    fn function(&mut self) -> Vec<Unit> {
        let slots = self.random.random_range(4..40);
        let mut units = Vec::new();
        if self.target == Target::Packet {
            units.push(self.prologue());
        }
        let mut len = 0;
        while len < slots - 1 {
            let unit = self.unit();
            len += slot_count(&unit);
            units.push(unit);
        }
        units.push(vec![Instruction::Exit]);
        units
    }

    fn unit(&mut self) -> Unit {
        match self.random.random_range(0..20) {
            0 => vec![self.wide()],
            1..6 if self.target == Target::Packet => self.idiom(),
            _ => vec![self.instruction()],
        }
    }

    /// Adds a function, with jumps that lead to its units and calls that lead to functions.
    fn emit(&mut self, function: Vec<Unit>) {
        let start = self.slots.len();
        let begins = function.iter().scan(start, |slot, unit| Some(std::mem::replace(slot, *slot + slot_count(unit))));
        let targets: Vec<usize> = begins.collect();
        for instruction in function.into_iter().flatten() {
            let aimed = self.aim(instruction, &targets);
            self.slots.extend_from_slice(&encode(aimed).unwrap());
        }
    }

    fn aim(&mut self, instruction: Instruction, targets: &[usize]) -> Instruction {
        match instruction {
            Instruction::Branch { width, op, dst, src, offset: 0 } => {
                Instruction::Branch { width, op, dst, src, offset: self.offset(targets) as i16 }
            }
            Instruction::Jump { long, .. } => Instruction::Jump { offset: self.offset(targets), long },
            Instruction::Call(CallTarget::Local(_)) => Instruction::Call(CallTarget::Local(self.function_offset())),
            Instruction::LoadImm64 { dst, source: WideSource::Code, .. } => {
                let value = u64::from(self.function_offset() as u32);
                Instruction::LoadImm64 { dst, source: WideSource::Code, value }
            }
            other => other,
        }
    }

    /// From the slot after the one that comes next to one of the targets.
    fn offset(&mut self, targets: &[usize]) -> i32 {
        *targets.choose(&mut self.random).unwrap() as i32 - (self.slots.len() as i32 + 1)
    }

    fn function_offset(&mut self) -> i32 {
        *self.starts.choose(&mut self.random).unwrap() as i32 - (self.slots.len() as i32 + 1)
    }

    fn wide(&mut self) -> Instruction {
        let dst = self.written();
        let (source, value) = match self.random.random_range(0..10) {
            0..3 => (WideSource::Code, 0),
            3..5 if !self.maps.is_empty() => (WideSource::MapByIndex, self.random.random_range(0..self.maps.len() as u64)),
            5..7 if !self.maps.is_empty() => self.direct_value(),
            _ => (WideSource::Immediate, self.value()),
        };
        Instruction::LoadImm64 { dst, source, value }
    }

    fn instruction(&mut self) -> Instruction {
        match self.random.random_range(0..100) {
            0..35 => self.alu(),
            35..55 => self.access(),
            55..62 => self.atomic(),
            62..75 => Instruction::Branch {
                width: self.width(),
                op: *CONDITIONS.choose(&mut self.random).unwrap(),
                dst: self.read(),
                src: self.operand(),
                offset: 0,
            },
            75..77 => Instruction::Jump { offset: 0, long: self.random.random() },
            77..84 => self.call(),
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
        let base = self.base();
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
        let base = self.base();
        let offset = self.displacement(base, size) & -8;
        Instruction::Atomic { size, op, fetch, base, offset, src: self.written() }
    }

    fn call(&mut self) -> Instruction {
        let target = self.target;
        let helpers: Vec<u32> =
            HELPERS.iter().filter(|helper| helper.targets.contains(&target)).map(|helper| helper.number).collect();
        Instruction::Call(match self.random.random_range(0..10) {
            0..3 => CallTarget::Local(0),
            3 => CallTarget::Register(self.read()),
            _ => CallTarget::Helper(*helpers.choose(&mut self.random).unwrap()),
        })
    }

    /// Inside the frame for r10, small for other registers.
    fn displacement(&mut self, base: Reg, size: Size) -> i16 {
        if base == Reg::R10 {
            self.random.random_range(-64..=-8)
        } else {
            self.random.random_range(-16..16) * size.bytes() as i16
        }
    }

    /// Often the frame, so that a program gets somewhere.
    fn base(&mut self) -> Reg {
        if self.random.random() { Reg::R10 } else { self.read() }
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

    /// A packet: of a length that matters, with anything in it.
    pub(crate) fn packet_bytes(&mut self) -> Vec<u8> {
        let len = *[64, 64, 0, 13, 14, 34, 60, 300, 1514, 3520, 4000].choose(&mut self.random).unwrap();
        let mut bytes = vec![0; len];
        let random = len.min(64);
        self.random.fill(&mut bytes[..random]);
        bytes
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

fn slot_count(unit: &Unit) -> usize {
    unit.iter().map(Instruction::slot_count).sum()
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
