//! Slots to instructions: the one place that reads encodings, and refuses whatever RFC 9669 reserves.

use super::instruction::{AtomicOp, ByteOrder, CallTarget, Instruction, Operand, Reg, Size, WideSource, Width};
use super::opcode as op;
use super::slot::Slot;

/// A slot that is no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no slot of that index.
    #[error("instruction {index}: past the end of the program")]
    End {
        /// The slot asked for.
        index: usize,
    },
    /// The last slot is the first half of an `lddw`.
    #[error("instruction {index}: lddw without its second slot")]
    Truncated {
        /// Slot of the `lddw`.
        index: usize,
    },
    /// No instruction has this opcode.
    #[error("instruction {index}: opcode {opcode:#04x} does not exist")]
    Opcode {
        /// Slot.
        index: usize,
        /// Its opcode.
        opcode: u8,
    },
    /// Registers are r0 to r10.
    #[error("instruction {index}: register r{register} does not exist")]
    Register {
        /// Slot.
        index: usize,
        /// Number in the encoding.
        register: u8,
    },
    /// A field has a value that RFC 9669 does not define for this opcode; unused fields are zero.
    #[error("instruction {index}: opcode {opcode:#04x} does not allow {value} in field `{field}`")]
    Reserved {
        /// Slot of the instruction (also where the field is in the second slot of an `lddw`).
        index: usize,
        /// Its opcode.
        opcode: u8,
        /// `dst`, `src`, `offset`, `imm`, or `next …` in the second slot of an `lddw`.
        field: &'static str,
        /// What the field holds.
        value: i32,
    },
}

impl DecodeError {
    /// The slot at which decoding failed.
    pub fn index(&self) -> usize {
        match *self {
            Self::End { index }
            | Self::Truncated { index }
            | Self::Opcode { index, .. }
            | Self::Register { index, .. }
            | Self::Reserved { index, .. } => index,
        }
    }
}

/// Reads the instruction that begins at slot `index`; it takes [`Instruction::slot_count`] slots.
///
/// # Errors
/// Whatever RFC 9669 does not define: the program's author must change it. Nothing is said about what the instruction does:
/// jump targets and writes to r10 are the verifier's business.
pub fn decode(slots: &[Slot], index: usize) -> Result<Instruction, DecodeError> {
    let slot = *slots.get(index).ok_or(DecodeError::End { index })?;
    let decoder = Decoder { slot, index };
    match slot.opcode & op::CLASS {
        op::LD if slot.opcode == op::LDDW => decoder.load_imm64(slots.get(index + 1)),
        op::LD => decoder.load_packet(),
        op::LDX => decoder.load(),
        op::ST => decoder.store(),
        op::STX if slot.opcode & op::MODE == op::ATOMIC => decoder.atomic(),
        op::STX => decoder.store(),
        op::ALU => decoder.alu(Width::W32),
        op::ALU64 => decoder.alu(Width::W64),
        op::JMP32 => decoder.jump(Width::W32),
        _ => decoder.jump(Width::W64),
    }
}

type Result<T, E = DecodeError> = std::result::Result<T, E>;

struct Decoder {
    slot: Slot,
    index: usize,
}

impl Decoder {
    fn alu(&self, width: Width) -> Result<Instruction> {
        match self.slot.opcode & op::CODE {
            op::NEG => self.negate(width),
            op::END => self.endian(width),
            op::MOV if self.slot.offset != 0 => self.move_signed(width),
            code => {
                let op = op::alu_op(code, self.slot.offset).ok_or_else(|| self.unknown_alu(code))?;
                Ok(Instruction::Alu { width, op, dst: self.dst()?, src: self.operand()? })
            }
        }
    }

    fn unknown_alu(&self, code: u8) -> DecodeError {
        if op::alu_code_exists(code) { self.reserved("offset", self.slot.offset.into()) } else { self.opcode() }
    }

    fn negate(&self, width: Width) -> Result<Instruction> {
        if self.is_register_form() {
            return Err(self.opcode());
        }
        self.zero_src()?;
        self.zero_offset()?;
        self.zero_imm()?;
        Ok(Instruction::Neg { width, dst: self.dst()? })
    }

    fn endian(&self, width: Width) -> Result<Instruction> {
        let order = match (width, self.is_register_form()) {
            (Width::W32, false) => ByteOrder::Little,
            (Width::W32, true) => ByteOrder::Big,
            (Width::W64, false) => ByteOrder::Swap,
            (Width::W64, true) => return Err(self.opcode()),
        };
        self.zero_src()?;
        self.zero_offset()?;
        let bits = match self.slot.imm {
            16 => 16,
            32 => 32,
            64 => 64,
            other => return Err(self.reserved("imm", other)),
        };
        Ok(Instruction::Endian { order, dst: self.dst()?, bits })
    }

    fn move_signed(&self, width: Width) -> Result<Instruction> {
        let bits = match (self.slot.offset, width) {
            (8, _) => 8,
            (16, _) => 16,
            (32, Width::W64) => 32,
            (other, _) => return Err(self.reserved("offset", other.into())),
        };
        if !self.is_register_form() {
            return Err(self.reserved("offset", self.slot.offset.into()));
        }
        self.zero_imm()?;
        Ok(Instruction::MoveSigned { width, dst: self.dst()?, src: self.src()?, bits })
    }

    fn jump(&self, width: Width) -> Result<Instruction> {
        match self.slot.opcode & op::CODE {
            op::JA => self.jump_always(width),
            op::CALL if width == Width::W64 => self.call(),
            op::EXIT if width == Width::W64 => self.exit(),
            code => {
                let op = op::jump_op(code).ok_or_else(|| self.opcode())?;
                let offset = self.slot.offset;
                Ok(Instruction::Branch { width, op, dst: self.dst()?, src: self.operand()?, offset })
            }
        }
    }

    fn jump_always(&self, width: Width) -> Result<Instruction> {
        if self.is_register_form() {
            return Err(self.opcode());
        }
        self.zero_dst()?;
        self.zero_src()?;
        match width {
            Width::W64 => {
                self.zero_imm()?;
                Ok(Instruction::Jump { offset: self.slot.offset.into(), long: false })
            }
            Width::W32 => {
                self.zero_offset()?;
                Ok(Instruction::Jump { offset: self.slot.imm, long: true })
            }
        }
    }

    fn call(&self) -> Result<Instruction> {
        self.zero_offset()?;
        if self.is_register_form() {
            self.zero_src()?;
            return Ok(Instruction::Call(CallTarget::Register(self.callee()?)));
        }
        self.zero_dst()?;
        let imm = self.slot.imm;
        let target = match self.slot.src {
            0 => CallTarget::Helper(imm as u32),
            1 => CallTarget::Local(imm),
            2 => CallTarget::HelperByBtf(imm as u32),
            other => return Err(self.reserved("src", other.into())),
        };
        Ok(Instruction::Call(target))
    }

    /// The register of `callx`. Compilers before LLVM 19 wrote its number to `imm`.
    fn callee(&self) -> Result<Reg> {
        match (self.slot.dst, self.slot.imm) {
            (0, imm @ 1..=10) => self.register(imm as u8),
            _ => self.zero_imm().and_then(|()| self.dst()),
        }
    }

    fn exit(&self) -> Result<Instruction> {
        if self.is_register_form() {
            return Err(self.opcode());
        }
        self.zero_dst()?;
        self.zero_src()?;
        self.zero_offset()?;
        self.zero_imm()?;
        Ok(Instruction::Exit)
    }

    fn load_imm64(&self, next: Option<&Slot>) -> Result<Instruction> {
        let source = op::wide_source(self.slot.src).ok_or_else(|| self.reserved("src", self.slot.src.into()))?;
        self.zero_offset()?;
        let next = next.ok_or(DecodeError::Truncated { index: self.index })?;
        self.zero("next opcode", next.opcode.into())?;
        self.zero("next dst", next.dst.into())?;
        self.zero("next src", next.src.into())?;
        self.zero("next offset", next.offset.into())?;
        use WideSource::{Code, MapByFd, MapByIndex, Variable};
        if matches!(source, MapByFd | Variable | Code | MapByIndex) {
            self.zero("next imm", next.imm)?;
        }
        let value = u64::from(next.imm as u32) << 32 | u64::from(self.slot.imm as u32);
        Ok(Instruction::LoadImm64 { dst: self.dst()?, source, value })
    }

    fn load_packet(&self) -> Result<Instruction> {
        let size = op::size(self.slot.opcode);
        let indexed = match self.slot.opcode & op::MODE {
            op::ABS => false,
            op::IND => true,
            _ => return Err(self.opcode()),
        };
        if size == Size::D {
            return Err(self.opcode());
        }
        self.zero_dst()?;
        self.zero_offset()?;
        let index = if indexed { Some(self.src()?) } else { self.zero_src().map(|()| None)? };
        Ok(Instruction::LoadPacket { size, index, imm: self.slot.imm })
    }

    fn load(&self) -> Result<Instruction> {
        let size = op::size(self.slot.opcode);
        let signed = match self.slot.opcode & op::MODE {
            op::MEM => false,
            op::MEMSX if size != Size::D => true,
            _ => return Err(self.opcode()),
        };
        self.zero_imm()?;
        Ok(Instruction::Load { size, signed, dst: self.dst()?, base: self.src()?, offset: self.slot.offset })
    }

    fn store(&self) -> Result<Instruction> {
        if self.slot.opcode & op::MODE != op::MEM {
            return Err(self.opcode());
        }
        let src = if self.slot.opcode & op::CLASS == op::STX {
            self.zero_imm()?;
            Operand::Reg(self.src()?)
        } else {
            self.zero_src()?;
            Operand::Imm(self.slot.imm)
        };
        Ok(Instruction::Store { size: op::size(self.slot.opcode), base: self.dst()?, offset: self.slot.offset, src })
    }

    fn atomic(&self) -> Result<Instruction> {
        let size = op::size(self.slot.opcode);
        if !matches!(size, Size::W | Size::D) {
            return Err(self.opcode());
        }
        let op = op::atomic_op(self.slot.imm).ok_or_else(|| self.reserved("imm", self.slot.imm))?;
        let fetch = self.slot.imm & op::FETCH != 0;
        if !fetch && matches!(op, AtomicOp::Exchange | AtomicOp::CompareExchange) {
            return Err(self.reserved("imm", self.slot.imm));
        }
        Ok(Instruction::Atomic { size, op, fetch, base: self.dst()?, offset: self.slot.offset, src: self.src()? })
    }

    fn is_register_form(&self) -> bool {
        self.slot.opcode & op::X != 0
    }

    fn operand(&self) -> Result<Operand> {
        if self.is_register_form() {
            self.zero_imm()?;
            Ok(Operand::Reg(self.src()?))
        } else {
            self.zero_src()?;
            Ok(Operand::Imm(self.slot.imm))
        }
    }

    fn dst(&self) -> Result<Reg> {
        self.register(self.slot.dst)
    }

    fn src(&self) -> Result<Reg> {
        self.register(self.slot.src)
    }

    fn register(&self, register: u8) -> Result<Reg> {
        Reg::new_checked(register).ok_or(DecodeError::Register { index: self.index, register })
    }

    fn zero_dst(&self) -> Result<()> {
        self.zero("dst", self.slot.dst.into())
    }

    fn zero_src(&self) -> Result<()> {
        self.zero("src", self.slot.src.into())
    }

    fn zero_offset(&self) -> Result<()> {
        self.zero("offset", self.slot.offset.into())
    }

    fn zero_imm(&self) -> Result<()> {
        self.zero("imm", self.slot.imm)
    }

    fn zero(&self, field: &'static str, value: i32) -> Result<()> {
        if value == 0 { Ok(()) } else { Err(self.reserved(field, value)) }
    }

    fn reserved(&self, field: &'static str, value: i32) -> DecodeError {
        DecodeError::Reserved { index: self.index, opcode: self.slot.opcode, field, value }
    }

    fn opcode(&self) -> DecodeError {
        DecodeError::Opcode { index: self.index, opcode: self.slot.opcode }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::encode;
    use super::*;

    const ZERO: Slot = Slot { opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 };

    /// Every single-slot encoding that decodes encodes to itself: there is exactly one encoding of an instruction, but for `callx`.
    #[test]
    fn each_instruction_has_one_encoding() {
        let mut opcodes = std::collections::BTreeSet::new();
        for opcode in 0..=u8::MAX {
            for fields in 0..3_u32.pow(4) {
                let pick = |digit: u32, values: [i32; 3]| values[(fields / 3_u32.pow(digit) % 3) as usize];
                for imm in [0, 1, 16, 32, 64, 0x41, 0xa0, 0xe0, 0xe1, 0xf1, -1] {
                    let slot = Slot {
                        opcode,
                        dst: pick(0, [0, 3, 11]) as u8,
                        src: pick(1, [0, 2, 15]) as u8,
                        offset: pick(2, [0, 1, 16]) as i16,
                        imm,
                    };
                    let slots = [slot, ZERO];
                    if let Ok(instruction) = decode(&slots, 0) {
                        opcodes.insert(opcode);
                        if opcode == 0x8d && imm != 0 {
                            continue;
                        }
                        assert_eq!(*encode(instruction).unwrap(), slots[..instruction.slot_count()], "{instruction:?}");
                    }
                }
            }
        }
        // 53 of arithmetic, 49 of jumps, 24 of memory.
        assert_eq!(opcodes.len(), 126, "{opcodes:x?}");
    }

    /// What RFC 9669 reserves is refused, and the message names instruction and field.
    #[test]
    fn reserved_values_are_refused() {
        let check = |slot: Slot, message: &str| {
            assert_eq!(decode(&[ZERO, slot, ZERO], 1).unwrap_err().to_string(), format!("instruction 1: {message}"));
        };
        let slot = |opcode, dst, src, offset, imm| Slot { opcode, dst, src, offset, imm };
        check(slot(0x07, 0, 1, 0, 5), "opcode 0x07 does not allow 1 in field `src`"); // add imm
        check(slot(0x0f, 0, 1, 0, 5), "opcode 0x0f does not allow 5 in field `imm`"); // add reg
        check(slot(0x0f, 0, 1, 1, 0), "opcode 0x0f does not allow 1 in field `offset`");
        check(slot(0x37, 0, 0, 2, 7), "opcode 0x37 does not allow 2 in field `offset`"); // sdiv is 1
        check(slot(0xbf, 0, 1, 7, 0), "opcode 0xbf does not allow 7 in field `offset`"); // movsx of 7 bits
        check(slot(0xbc, 0, 1, 32, 0), "opcode 0xbc does not allow 32 in field `offset`"); // movsx32 to 32 bits
        check(slot(0xb7, 0, 0, 8, 0), "opcode 0xb7 does not allow 8 in field `offset`"); // movsx imm
        check(slot(0x8f, 0, 0, 0, 0), "opcode 0x8f does not exist"); // neg reg
        check(slot(0xd4, 0, 0, 0, 17), "opcode 0xd4 does not allow 17 in field `imm`"); // le17
        check(slot(0xdf, 0, 0, 0, 16), "opcode 0xdf does not exist"); // bswap with X
        check(slot(0xe7, 0, 0, 0, 0), "opcode 0xe7 does not exist");
        check(slot(0x05, 0, 0, 1, 1), "opcode 0x05 does not allow 1 in field `imm`"); // ja
        check(slot(0x06, 0, 0, 1, 1), "opcode 0x06 does not allow 1 in field `offset`"); // gotol
        check(slot(0x0d, 0, 0, 1, 0), "opcode 0x0d does not exist"); // ja reg
        check(slot(0x86, 0, 0, 0, 1), "opcode 0x86 does not exist"); // call in JMP32
        check(slot(0x85, 0, 3, 0, 1), "opcode 0x85 does not allow 3 in field `src`");
        check(slot(0x85, 1, 0, 0, 1), "opcode 0x85 does not allow 1 in field `dst`");
        check(slot(0x8d, 1, 0, 0, 1), "opcode 0x8d does not allow 1 in field `imm`");
        check(slot(0x8d, 0, 0, 0, 11), "opcode 0x8d does not allow 11 in field `imm`");
        check(slot(0x95, 0, 0, 0, 1), "opcode 0x95 does not allow 1 in field `imm`");
        check(slot(0x18, 0, 7, 0, 0), "opcode 0x18 does not allow 7 in field `src`");
        check(slot(0x18, 0, 0, 1, 0), "opcode 0x18 does not allow 1 in field `offset`");
        check(slot(0x00, 0, 0, 0, 0), "opcode 0x00 does not exist"); // second half of lddw
        check(slot(0x38, 0, 0, 0, 0), "opcode 0x38 does not exist"); // ld_abs of 8 bytes
        check(slot(0x20, 1, 0, 0, 0), "opcode 0x20 does not allow 1 in field `dst`");
        check(slot(0x99, 0, 0, 0, 0), "opcode 0x99 does not exist"); // sign-extending load of 8 bytes
        check(slot(0x61, 0, 1, 0, 1), "opcode 0x61 does not allow 1 in field `imm`");
        check(slot(0x62, 0, 1, 0, 1), "opcode 0x62 does not allow 1 in field `src`");
        check(slot(0xd3, 0, 1, 0, 0), "opcode 0xd3 does not exist"); // atomic of 1 byte
        check(slot(0xdb, 0, 1, 0, 0x10), "opcode 0xdb does not allow 16 in field `imm`");
        check(slot(0xdb, 0, 1, 0, 0xe0), "opcode 0xdb does not allow 224 in field `imm`"); // xchg without fetch
        check(slot(0xbf, 11, 0, 0, 0), "register r11 does not exist");
    }

    /// The register of `callx` is in `dst`, or, from older compilers, in `imm`.
    #[test]
    fn callx_has_two_encodings() {
        for number in 0..=10 {
            let expected = Ok(Instruction::Call(CallTarget::Register(Reg::new_checked(number).unwrap())));
            assert_eq!(decode(&[Slot { opcode: 0x8d, dst: number, ..ZERO }], 0), expected);
            assert_eq!(decode(&[Slot { opcode: 0x8d, imm: number.into(), ..ZERO }], 0), expected);
        }
    }

    /// Both halves of `lddw` are checked; a map reference has no upper half.
    #[test]
    fn lddw_takes_two_slots() {
        let first = Slot { opcode: 0x18, dst: 1, imm: -1, ..ZERO };
        let value = |slots: &[Slot]| decode(slots, 0);
        let expected = Instruction::LoadImm64 { dst: Reg::R1, source: WideSource::Immediate, value: 0x0000_0002_ffff_ffff };
        assert_eq!(value(&[first, Slot { imm: 2, ..ZERO }]), Ok(expected));
        assert_eq!(value(&[first]), Err(DecodeError::Truncated { index: 0 }));
        assert_eq!(value(&[]), Err(DecodeError::End { index: 0 }));
        for next in [Slot { opcode: 1, ..ZERO }, Slot { dst: 1, ..ZERO }, Slot { src: 1, ..ZERO }, Slot { offset: 1, ..ZERO }] {
            assert!(matches!(value(&[first, next]), Err(DecodeError::Reserved { .. })), "{next:?}");
        }
        let map = Slot { src: 1, ..first };
        assert!(value(&[map, ZERO]).is_ok());
        assert!(matches!(value(&[map, Slot { imm: 1, ..ZERO }]), Err(DecodeError::Reserved { field: "next imm", .. })));
    }
}
