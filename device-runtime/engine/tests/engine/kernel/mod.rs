//! The third implementation: programs that the kernel's verifier accepts do the same in the kernel and in both engines.

mod bpf;

use std::io;

use crate::generate::{ATOMICS, CONDITIONS, OPS};
use nearside_engine::{Access, Backend, Cage, Code, Fuel, Module, NoHelpers, Region};
use nearside_programs::Builder;
use nearside_programs::isa::{AluOp, AtomicOp, ByteOrder, Instruction, JumpOp, Operand, Reg, Size, Slot, Width, decode};
use nearside_programs::manifest::Target;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::common::FUEL;
use bpf::{Program, Type};

/// Programs of the test, and packets for each.
const PROGRAMS: u64 = 400;
const PACKETS: usize = 8;

/// Instructions under test in a program, and jumps among them: the kernel's verifier follows every path.
const BODY_LEN: usize = 48;
const BRANCHES_MAX: usize = 9;

/// Ten registers.
const PACKET_LEN: usize = 80;

/// What a socket filter does not see of a packet: the Ethernet header.
const ETHERNET_LEN: usize = 14;

const CONTEXT: u32 = 0x1_0000;
const PACKET: u32 = 0x1_0100;

/// The same program here.
struct Ours {
    modules: [Module; 2],
    cage: Cage,
}

impl Ours {
    fn new(slots: &[Slot]) -> Self {
        let modules = [Backend::Interpreter, Backend::Jit].map(|backend| {
            let module = Module::compile(Code { slots, entries: &[0], maps: &[], target: Target::Packet }, backend).unwrap();
            assert_eq!(module.backend(), backend);
            module
        });
        let region = Region { start: CONTEXT, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadWrite };
        Self { modules, cage: Cage::new(&[region]).unwrap() }
    }

    /// The low 32 bits of r0, on which both engines must agree.
    fn run(&mut self, packet: &[u8]) -> u32 {
        let [interpreter, jit] = [0, 1].map(|module| {
            let memory = self.cage.region_mut(0);
            memory[..4].copy_from_slice(&PACKET.to_le_bytes());
            memory[4..8].copy_from_slice(&(PACKET + packet.len() as u32).to_le_bytes());
            memory[(PACKET - CONTEXT) as usize..][..packet.len()].copy_from_slice(packet);
            let arguments = [CONTEXT.into(), 0, 0, 0, 0];
            self.modules[module].run(&mut self.cage, 0, arguments, &mut Fuel(FUEL), &mut NoHelpers).unwrap()
        });
        assert_eq!(interpreter, jit);
        jit as u32
    }
}

/// `None`, with a line that says so, where this process may not use `bpf(2)` or the system has none.
fn load(test: &str, kind: Type, slots: &[Slot]) -> Option<Program> {
    match Program::load(kind, slots) {
        Ok(program) => Some(program),
        Err(refused) if [Some(libc::EPERM), Some(libc::ENOSYS)].contains(&refused.error.raw_os_error()) => {
            println!("SKIP {test}: bpf(2): {}", refused.error);
            None
        }
        Err(refused) => panic!("{}\n{}\n{}", refused.error, refused.log, listing(slots)),
    }
}

fn listing(slots: &[Slot]) -> String {
    let line = |slot| decode(slots, slot).map_or(String::new(), |instruction| format!("{slot}: {instruction}\n"));
    (0..slots.len()).map(line).collect()
}

#[test]
fn the_kernel_computes_the_same() {
    for seed in 0..PROGRAMS {
        let mut generator = Generator(StdRng::seed_from_u64(seed));
        let slots = generator.program();
        let Some(program) = load("the_kernel_computes_the_same", Type::Xdp, &slots) else { return };
        let mut ours = Ours::new(&slots);
        for _ in 0..PACKETS {
            let packet: Vec<u8> = (0..PACKET_LEN / 8).flat_map(|_| generator.value().to_le_bytes()).collect();
            let theirs = run(&program, &packet);
            assert_eq!(ours.run(&packet), theirs, "seed {seed} on {packet:x?}\n{}", listing(&slots));
        }
    }
}

/// Packet loads, inside the packet and outside.
#[test]
fn the_kernel_loads_the_same_of_a_packet() {
    let packet: Vec<u8> = (0..64_u8).map(|byte| byte.wrapping_mul(37).wrapping_add(129)).collect();
    let len = (packet.len() - ETHERNET_LEN) as i32;
    for size in [Size::B, Size::H, Size::W] {
        for place in [0, 1, 7, len - 4, len - 3, len - 2, len - 1, len, 5_000] {
            for index in [None, Some(0), Some(3), Some(1_000)] {
                let mut builder = Builder::new();
                builder.mov(Reg::R6, Reg::R1).mov(Reg::R7, index.unwrap_or(0));
                builder.emit(Instruction::LoadPacket { size, index: index.map(|_| Reg::R7), imm: place });
                builder.add(Reg::R0, 0x100).exit();
                let slots = builder.finish().unwrap().code;
                let name = "the_kernel_loads_the_same_of_a_packet";
                let Some(program) = load(name, Type::SocketFilter, &slots) else { return };
                let theirs = run(&program, &packet);
                assert_eq!(Ours::new(&slots).run(&packet[ETHERNET_LEN..]), theirs, "{size:?} at {place} + {index:?}");
            }
        }
    }
}

fn run(program: &Program, packet: &[u8]) -> u32 {
    let run: io::Result<u32> = program.run(packet);
    run.unwrap_or_else(|error| panic!("BPF_PROG_TEST_RUN: {error}"))
}

/// Programs over scalars and the stack: what the kernel's verifier can see to be fine.
struct Generator(StdRng);

impl Generator {
    /// Registers from the packet, instructions, and all registers and the stack folded into r0.
    fn program(&mut self) -> Vec<Slot> {
        let mut builder = Builder::new();
        load_registers(&mut builder);
        for place in stack() {
            builder.emit(store(place, Operand::Imm(i32::from(place) * 0x0101_0101)));
        }
        let mut branches = 0;
        for index in 0..BODY_LEN {
            let instruction = self.instruction(BODY_LEN - 1 - index, branches < BRANCHES_MAX);
            branches += usize::from(matches!(instruction, Instruction::Branch { .. }));
            builder.emit(instruction);
        }
        for register in 1..10 {
            builder.mul(Reg::R0, 31).xor(Reg::R0, register_of(register));
        }
        for place in stack() {
            let load = Instruction::Load { size: Size::D, signed: false, dst: Reg::R1, base: Reg::R10, offset: place };
            builder.emit(load).mul(Reg::R0, 31).xor(Reg::R0, Reg::R1);
        }
        let high = Instruction::Alu { width: Width::W64, op: AluOp::Rsh, dst: Reg::R1, src: Operand::Imm(32) };
        builder.mov(Reg::R1, Reg::R0).emit(high).xor(Reg::R0, Reg::R1).exit();
        builder.finish().unwrap().code
    }

    fn instruction(&mut self, left: usize, may_branch: bool) -> Instruction {
        let (dst, src) = (self.register(), self.register());
        match self.0.random_range(0..100) {
            0..50 => self.arithmetic(dst, src),
            50..60 if may_branch && left > 0 => {
                let op = self.pick(&CONDITIONS);
                let offset = self.0.random_range(0..=left.min(5)) as i16;
                Instruction::Branch { width: self.width(), op, dst, src: self.operand(src), offset }
            }
            60..70 => {
                let size = self.pick(&[Size::B, Size::H, Size::W, Size::D]);
                Instruction::Store { size, base: Reg::R10, offset: self.place(size), src: self.operand(src) }
            }
            70..80 => {
                let size = self.pick(&[Size::B, Size::H, Size::W, Size::D]);
                let signed = size != Size::D && self.0.random();
                Instruction::Load { size, signed, dst, base: Reg::R10, offset: self.place(size) }
            }
            80..88 => {
                let (size, op) = (self.pick(&[Size::W, Size::D]), self.pick(&ATOMICS));
                let fetch = matches!(op, AtomicOp::Exchange | AtomicOp::CompareExchange) || self.0.random();
                Instruction::Atomic { size, op, fetch, base: Reg::R10, offset: self.place(size), src }
            }
            88..92 => {
                let width = self.width();
                let bits = if width == Width::W32 { self.pick(&[8, 16]) } else { self.pick(&[8, 16, 32]) };
                Instruction::MoveSigned { width, dst, src, bits }
            }
            92..97 => {
                let order = self.pick(&[ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]);
                Instruction::Endian { order, dst, bits: self.pick(&[16, 32, 64]) }
            }
            _ => Instruction::Neg { width: self.width(), dst },
        }
    }

    /// The kernel refuses immediate shifts beyond the width and immediate divisors of zero; in registers it takes both.
    fn arithmetic(&mut self, dst: Reg, src: Reg) -> Instruction {
        let (width, op) = (self.width(), self.pick(&OPS));
        let shift_max = if width == Width::W32 { 32 } else { 64 };
        let src = match (op, self.operand(src)) {
            (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(_)) => Operand::Imm(self.0.random_range(0..shift_max)),
            (AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, Operand::Imm(0)) => Operand::Imm(-1),
            (_, operand) => operand,
        };
        Instruction::Alu { width, op, dst, src }
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        *values.choose(&mut self.0).unwrap()
    }

    fn register(&mut self) -> Reg {
        register_of(self.0.random_range(0..10))
    }

    fn operand(&mut self, register: Reg) -> Operand {
        if self.0.random() { Operand::Reg(register) } else { Operand::Imm(self.value() as i32) }
    }

    fn width(&mut self) -> Width {
        self.pick(&[Width::W32, Width::W64])
    }

    /// Aligned: the kernel wants that of the stack.
    fn place(&mut self, size: Size) -> i16 {
        -64 + size.bytes() as i16 * self.0.random_range(0..64 / size.bytes() as i16)
    }

    fn value(&mut self) -> u64 {
        match self.0.random_range(0..6) {
            0 => self.0.random_range(0..4),
            1 => u64::MAX - self.0.random_range(0..4),
            2 => 1 << self.0.random_range(0..64),
            3 => (1 << self.0.random_range(1..64)) - 1,
            4 => 0x8000_0000_8000_0000_u64.rotate_left(self.0.random_range(0..2)),
            _ => self.0.random(),
        }
    }
}

fn register_of(number: u8) -> Reg {
    Reg::new_checked(number).unwrap()
}

/// Offsets of the eight words of stack that are used.
fn stack() -> impl Iterator<Item = i16> {
    (1..=8).map(|word| -8 * word)
}

fn store(offset: i16, src: Operand) -> Instruction {
    Instruction::Store { size: Size::D, base: Reg::R10, offset, src }
}

/// r0 to r9 = the packet, if it is as long as that.
fn load_registers(builder: &mut Builder) {
    let field = |dst, offset| Instruction::Load { size: Size::W, signed: false, dst, base: Reg::R1, offset };
    builder.emit(field(Reg::R7, 0)).emit(field(Reg::R8, 4)).mov(Reg::R2, Reg::R7).add(Reg::R2, PACKET_LEN as i32);
    let (dst, src) = (Reg::R2, Operand::Reg(Reg::R8));
    builder.emit(Instruction::Branch { width: Width::W64, op: JumpOp::Le, dst, src, offset: 2 });
    builder.mov(Reg::R0, 0).exit();
    for register in (0..10).filter(|register| *register != 7).chain([7]) {
        let (dst, offset) = (register_of(register), 8 * i16::from(register));
        builder.emit(Instruction::Load { size: Size::D, signed: false, dst, base: Reg::R7, offset });
    }
}
