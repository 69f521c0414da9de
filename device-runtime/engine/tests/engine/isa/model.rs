//! What RFC 9669 says, in numbers: a machine of 128-bit integers over encoded slots that shares nothing with the engine, its decoder included.
//!
//! Where the RFC leaves something open (what registers hold after a call and at entry) it says what the engine promises. Anything a test
//! should not do ends it: an address outside both memories, a step too many.

use nearside_programs::isa::Slot;

/// Bytes at the first address of a program's own memory.
pub(super) struct Memory {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Model<'a> {
    slots: &'a [Slot],
    registers: [u64; 11],
    frames: Vec<(usize, [u64; 4])>,
    pub(super) arena: Memory,
    stack: Memory,
    /// What `callx` needs for the function that begins at a slot.
    code_address: &'a dyn Fn(usize) -> u64,
}

/// More steps than any program of these tests takes.
const STEPS_MAX: usize = 1_000;

const STACK_LEN: usize = 4096;

impl<'a> Model<'a> {
    pub(super) fn new(slots: &'a [Slot], arena: Memory, stack_top: u64, code_address: &'a dyn Fn(usize) -> u64) -> Self {
        let mut registers = [0; 11];
        registers[10] = stack_top;
        let stack = Memory { start: stack_top - STACK_LEN as u64, bytes: vec![0; STACK_LEN] };
        Self { slots, registers, frames: Vec::new(), arena, stack, code_address }
    }

    /// Runs from a slot to the last `exit`; returns r0.
    pub(super) fn run(&mut self, entry: usize) -> u64 {
        let mut next = Some(entry);
        for _ in 0..STEPS_MAX {
            match next {
                Some(pc) => next = self.step(pc),
                None => return self.registers[0],
            }
        }
        panic!("the model does not come to an end");
    }

    fn step(&mut self, pc: usize) -> Option<usize> {
        let slot = self.slots[pc];
        match slot.opcode & 7 {
            0 if slot.opcode == 0x18 => return Some(self.wide(pc, slot)),
            0 => return self.load_packet(pc, slot),
            1 => self.load(slot),
            2 => self.store(slot, number(64, slot.imm as i64 as u64).unsigned as u64),
            3 if slot.opcode >> 5 == 6 => self.atomic(slot),
            3 => self.store(slot, self.src(slot)),
            4 => self.arithmetic(32, slot),
            7 => self.arithmetic(64, slot),
            class => return self.jump(pc, if class == 6 { 32 } else { 64 }, slot),
        }
        Some(pc + 1)
    }

    fn dst(&self, slot: Slot) -> u64 {
        self.registers[usize::from(slot.dst)]
    }

    fn src(&self, slot: Slot) -> u64 {
        self.registers[usize::from(slot.src)]
    }

    fn set(&mut self, register: u8, value: u64) {
        assert_ne!(register, 10, "r10 is read-only");
        self.registers[usize::from(register)] = value;
    }

    /// The second operand of arithmetic and conditions.
    fn operand(&self, slot: Slot) -> u64 {
        if slot.opcode & 8 == 0 { i64::from(slot.imm) as u64 } else { self.src(slot) }
    }

    fn arithmetic(&mut self, bits: u32, slot: Slot) {
        let value = match slot.opcode & 0xf0 {
            0x80 => modulo(bits, -number(bits, self.dst(slot)).signed),
            0xb0 if slot.offset != 0 => modulo(bits, number(slot.offset as u32, self.src(slot)).signed),
            0xd0 => convert(slot.imm as usize / 8, slot.opcode != 0xd4, self.dst(slot)),
            code => modulo(bits, compute(bits, code, slot.offset == 1, self.dst(slot), self.operand(slot))),
        };
        self.set(slot.dst, value);
    }

    fn jump(&mut self, pc: usize, bits: u32, slot: Slot) -> Option<usize> {
        let to = |offset: i64| Some((pc as i64 + 1 + offset) as usize);
        match slot.opcode & 0xf0 {
            0x00 if bits == 32 => to(slot.imm.into()),
            0x00 => to(slot.offset.into()),
            0x80 if slot.opcode == 0x8d => {
                // Its register is in `dst`, or in `imm`.
                let register = usize::from(slot.dst) + slot.imm as usize;
                Some(self.call(pc, self.function(self.registers[register])))
            }
            0x80 if slot.src == 1 => Some(self.call(pc, (pc as i64 + 1 + i64::from(slot.imm)) as usize)),
            0x80 => {
                self.registers[0] = self.registers[1..6].iter().map(|value| i128::from(*value)).sum::<i128>() as u64;
                self.registers[1..6].fill(0);
                Some(pc + 1)
            }
            0x90 => self.exit(),
            code if holds(bits, code, self.dst(slot), self.operand(slot)) => to(slot.offset.into()),
            _ => Some(pc + 1),
        }
    }

    fn function(&self, address: u64) -> usize {
        (0..self.slots.len()).find(|slot| (self.code_address)(*slot) == address).expect("a function's address")
    }

    fn call(&mut self, pc: usize, target: usize) -> usize {
        let saved = std::array::from_fn(|index| self.registers[6 + index]);
        self.frames.push((pc + 1, saved));
        self.registers[0] = 0;
        self.registers[6..10].fill(0);
        self.registers[10] -= 512;
        target
    }

    fn exit(&mut self) -> Option<usize> {
        let (pc, saved) = self.frames.pop()?;
        self.registers[1..6].fill(0);
        self.registers[6..10].copy_from_slice(&saved);
        self.registers[10] += 512;
        Some(pc)
    }

    fn wide(&mut self, pc: usize, slot: Slot) -> usize {
        let (low, high) = (number(32, slot.imm as u64).unsigned, number(32, self.slots[pc + 1].imm as u64).unsigned);
        let value = match slot.src {
            0 => (high * (1 << 32) + low) as u64,
            4 => (self.code_address)((pc as i64 + 1 + i64::from(slot.imm)) as usize),
            _ => panic!("maps are another test's"),
        };
        self.set(slot.dst, value);
        pc + 2
    }

    fn load(&mut self, slot: Slot) {
        let len = len(slot.opcode);
        let bytes = self.bytes(offset(self.src(slot), slot.offset), len).to_vec();
        let value = little(&bytes);
        let signed = slot.opcode >> 5 == 4;
        let value = if signed { modulo(64, number(8 * len as u32, value).signed) } else { value };
        self.set(slot.dst, value);
    }

    fn store(&mut self, slot: Slot, value: u64) {
        let len = len(slot.opcode);
        let address = offset(self.dst(slot), slot.offset);
        for (index, byte) in self.bytes(address, len).iter_mut().enumerate() {
            *byte = (value / 256_u64.pow(index as u32) % 256) as u8;
        }
    }

    fn atomic(&mut self, slot: Slot) {
        let bits = 8 * len(slot.opcode) as u32;
        let address = offset(self.dst(slot), slot.offset);
        let old = little(self.bytes(address, len(slot.opcode)));
        let src = modulo(bits, self.src(slot).into());
        let expected = modulo(bits, self.registers[0].into());
        let new = match slot.imm & 0xf0 {
            0xe0 => src,
            0xf0 if old == expected => src,
            0xf0 => old,
            code => modulo(bits, compute(bits, code as u8, false, old, src)),
        };
        self.store(slot, new);
        match slot.imm {
            0xf1 => self.registers[0] = old,
            imm if imm & 1 == 1 => self.set(slot.src, old),
            _ => {}
        }
    }

    /// The context in r6 begins with where the packet begins and where it ends.
    fn load_packet(&mut self, pc: usize, slot: Slot) -> Option<usize> {
        let context = self.registers[6];
        let (begin, end) = (little(self.bytes(context, 4)), little(self.bytes(context + 4, 4)));
        let index = if slot.opcode >> 5 == 2 { number(32, self.src(slot)).signed } else { 0 };
        let place = number(32, modulo(32, index + i128::from(slot.imm))).signed;
        self.registers[0] = 0;
        self.registers[1..6].fill(0);
        if place < 0 || i128::from(begin) + place + len(slot.opcode) as i128 > end.into() {
            return self.exit();
        }
        let bytes = self.bytes(begin + place as u64, len(slot.opcode));
        self.registers[0] = bytes.iter().fold(0, |value, byte| value * 256 + u64::from(*byte));
        Some(pc + 1)
    }

    fn bytes(&mut self, address: u64, len: usize) -> &mut [u8] {
        let memory = if address >= self.stack.start { &mut self.stack } else { &mut self.arena };
        let start = (address - memory.start) as usize;
        &mut memory.bytes[start..start + len]
    }
}

fn len(opcode: u8) -> usize {
    [4, 2, 1, 8][usize::from(opcode >> 3 & 3)]
}

fn offset(base: u64, offset: i16) -> u64 {
    modulo(64, i128::from(base) + i128::from(offset))
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value * 256 + u64::from(*byte))
}

/// A register's low bits as the numbers they stand for.
struct Number {
    unsigned: i128,
    signed: i128,
}

fn number(bits: u32, value: u64) -> Number {
    let modulus = 1_i128 << bits;
    let unsigned = i128::from(value).rem_euclid(modulus);
    Number { unsigned, signed: if unsigned >= modulus / 2 { unsigned - modulus } else { unsigned } }
}

/// The register that stands for a number.
fn modulo(bits: u32, value: i128) -> u64 {
    value.rem_euclid(1 << bits) as u64
}

/// RFC 9669 §4.1; the result is still to be reduced.
fn compute(bits: u32, code: u8, signed: bool, dst: u64, src: u64) -> i128 {
    let (a, b) = (number(bits, dst), number(bits, src));
    let power = 1_i128 << (b.unsigned % i128::from(bits));
    match code {
        0x00 => a.unsigned + b.unsigned,
        0x10 => a.unsigned - b.unsigned,
        0x20 => a.signed * b.signed,
        0x30 if b.unsigned == 0 => 0,
        0x90 if b.unsigned == 0 => a.unsigned,
        // Truncated, and the quotient of the least number by -1 does not overflow here.
        0x30 if signed => a.signed / b.signed,
        0x30 => a.unsigned / b.unsigned,
        0x40 => a.unsigned | b.unsigned,
        0x50 => a.unsigned & b.unsigned,
        // The product may take 127 bits and a sign; wrapping keeps the low ones, which are all that counts.
        0x60 => a.unsigned.wrapping_mul(power),
        0x70 => a.unsigned.div_euclid(power),
        0x90 if signed => a.signed % b.signed,
        0x90 => a.unsigned % b.unsigned,
        0xa0 => a.unsigned ^ b.unsigned,
        0xb0 => b.unsigned,
        0xc0 => a.signed.div_euclid(power),
        _ => panic!("no arithmetic has code {code:#x}"),
    }
}

fn convert(bytes: usize, swaps: bool, value: u64) -> u64 {
    let mut bytes = value.to_le_bytes()[..bytes].to_vec();
    if swaps {
        bytes.reverse();
    }
    little(&bytes)
}

/// RFC 9669 §4.3.
fn holds(bits: u32, code: u8, dst: u64, src: u64) -> bool {
    let (a, b) = (number(bits, dst), number(bits, src));
    match code {
        0x10 => a.unsigned == b.unsigned,
        0x20 => a.unsigned > b.unsigned,
        0x30 => a.unsigned >= b.unsigned,
        0x40 => a.unsigned & b.unsigned != 0,
        0x50 => a.unsigned != b.unsigned,
        0x60 => a.signed > b.signed,
        0x70 => a.signed >= b.signed,
        0xa0 => a.unsigned < b.unsigned,
        0xb0 => a.unsigned <= b.unsigned,
        0xc0 => a.signed < b.signed,
        0xd0 => a.signed <= b.signed,
        _ => panic!("no condition has code {code:#x}"),
    }
}
