//! What C makes of maps, packets and calls: a few instructions that set a helper's registers, call it, and use what it returns.
//!
//! By convention r6 is the context, r7 the packet's begin. What is set need not be right: small numbers next to those that are, and now and then anything.

use nearside_programs::MapKind;
use nearside_programs::abi::helper;
use nearside_programs::isa::{AluOp, AtomicOp, CallTarget, Instruction, JumpOp, Operand, Reg, Size, WideSource, Width};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Generator, Unit};

/// Where the context is, which programs could know.
const CONTEXT: i32 = 0x1_0000;
/// Where a key and a value are in the frame.
const KEY: i32 = -16;
const VALUE: i32 = -48;

impl<R: Rng> Generator<R> {
    /// r6 and r7, as programs begin. A function that is called may have been given anything.
    pub(super) fn prologue(&mut self) -> Unit {
        let context = if self.random.random_range(0..8) == 0 { Operand::Reg(Reg::R1) } else { Operand::Imm(CONTEXT) };
        vec![mov(Reg::R6, context), load(Size::W, Reg::R7, Reg::R6, 0)]
    }

    pub(super) fn idiom(&mut self) -> Unit {
        match self.random.random_range(0..16) {
            0..3 => self.lookup(),
            3 => self.update(),
            4 => self.delete(),
            5 => self.record(),
            6 => self.event(),
            7 => self.looping(),
            8 => self.tail_call(),
            9 => self.call_register(),
            10 => self.adjust(),
            11 => self.transfer(),
            12 => self.redirect(),
            13 => self.checked_access(),
            14 => self.text_or_sum(),
            _ => vec![self.load_packet()],
        }
    }

    /// Map and offset of an `lddw` that is the address of a value.
    pub(super) fn direct_value(&mut self) -> (WideSource, u64) {
        let maps = self.maps.iter().enumerate().filter(|(_, map)| map.kind == MapKind::Array);
        let arrays: Vec<(usize, u32)> = maps.map(|(index, map)| (index, map.value_len)).collect();
        let &(map, value_len) = arrays.choose(&mut self.random).unwrap();
        let offset = u64::from(self.random.random_range(0..value_len));
        (WideSource::MapValueByIndex, map as u64 | offset << 32)
    }

    /// A value's address, or 0; then something is done with what is there. What a map of maps has is looked into.
    fn lookup(&mut self) -> Unit {
        let (map, kind) = self.map(&KEYED);
        let mut unit = self.key(kind);
        unit.extend([self.map_argument(Reg::R1, map), mov(Reg::R2, Reg::R10), add(Reg::R2, KEY)]);
        let per_cpu = matches!(kind, MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash);
        if per_cpu && self.random.random() {
            unit.extend([mov(Reg::R3, self.small()), call(helper::MAP_LOOKUP_PERCPU_ELEM)]);
        } else {
            unit.push(call(helper::MAP_LOOKUP_ELEM));
        }
        if matches!(kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps) {
            let inner = [mov(Reg::R1, Reg::R0), mov(Reg::R2, Reg::R10), add(Reg::R2, KEY), call(helper::MAP_LOOKUP_ELEM)];
            unit.push(skip_if_null(inner.len()));
            unit.extend(inner);
        }
        unit.extend([skip_if_null(1), self.touch(Reg::R0)]);
        unit
    }

    fn update(&mut self) -> Unit {
        let (map, kind) = self.map(&KEYED);
        let mut unit = self.key(kind);
        let value = if self.random.random() { (Reg::R10, VALUE) } else { (Reg::R7, 0) };
        let flags = *[0, 0, 0, 1, 2, 3, 4, -1].choose(&mut self.random).unwrap();
        unit.extend([store(Reg::R10, VALUE as i16, self.operand()), self.map_argument(Reg::R1, map)]);
        unit.extend([mov(Reg::R2, Reg::R10), add(Reg::R2, KEY), mov(Reg::R3, value.0), add(Reg::R3, value.1)]);
        unit.extend([mov(Reg::R4, Operand::Imm(flags)), call(helper::MAP_UPDATE_ELEM)]);
        unit
    }

    fn delete(&mut self) -> Unit {
        let (map, kind) = self.map(&KEYED);
        let mut unit = self.key(kind);
        unit.extend([self.map_argument(Reg::R1, map), mov(Reg::R2, Reg::R10), add(Reg::R2, KEY), call(helper::MAP_DELETE_ELEM)]);
        unit
    }

    /// A ring buffer's record: output whole, or reserved, filled and ended, or only reserved; or a look at the ring.
    fn record(&mut self) -> Unit {
        let (map, _) = self.map(&[MapKind::RingBuffer]);
        let mut unit = vec![self.map_argument(Reg::R1, map)];
        let len = Operand::Imm(*[0, 1, 8, 16, 24, 500, 4080, 5000].choose(&mut self.random).unwrap());
        match self.random.random_range(0..4) {
            0 => unit.extend([mov(Reg::R2, self.small()), call(helper::RINGBUF_QUERY)]),
            1 => {
                unit.extend([mov(Reg::R2, Reg::R10), add(Reg::R2, VALUE), mov(Reg::R3, len), mov(Reg::R4, self.small())]);
                unit.push(call(helper::RINGBUF_OUTPUT));
            }
            _ => {
                let end = *[helper::RINGBUF_SUBMIT, helper::RINGBUF_DISCARD, helper::GET_SMP_PROCESSOR_ID]
                    .choose(&mut self.random)
                    .unwrap();
                let rest = [self.touch(Reg::R0), mov(Reg::R1, Reg::R0), mov(Reg::R2, Operand::Imm(0)), call(end)];
                unit.extend([mov(Reg::R2, len), mov(Reg::R3, Operand::Imm(0)), call(helper::RINGBUF_RESERVE)]);
                unit.push(skip_if_null(rest.len()));
                unit.extend(rest);
            }
        }
        unit
    }

    fn event(&mut self) -> Unit {
        let (map, _) = self.map(&[MapKind::PerfEventArray]);
        let cpu = *[0xffff_ffff, 0, 1, 2].choose(&mut self.random).unwrap();
        let packet_len: u64 = *[0, 0, 14, 64, 0xf_ffff, 1 << 20].choose(&mut self.random).unwrap();
        let flags = Instruction::LoadImm64 { dst: Reg::R3, source: WideSource::Immediate, value: packet_len << 32 | cpu };
        let len = Operand::Imm(*[0, 8, 40, 48, 70_000].choose(&mut self.random).unwrap());
        vec![
            mov(Reg::R1, Reg::R6),
            self.map_argument(Reg::R2, map),
            flags,
            mov(Reg::R4, Reg::R10),
            add(Reg::R4, VALUE),
            mov(Reg::R5, len),
            call(helper::PERF_EVENT_OUTPUT),
        ]
    }

    fn looping(&mut self) -> Unit {
        let count = *[0, 1, 3, 17, 1 << 23, -1].choose(&mut self.random).unwrap();
        vec![
            mov(Reg::R1, Operand::Imm(count)),
            code(Reg::R2),
            mov(Reg::R3, Reg::R10),
            add(Reg::R3, VALUE),
            mov(Reg::R4, Operand::Imm(i32::from(self.random.random_range(0..16) == 0))),
            call(helper::LOOP),
        ]
    }

    fn tail_call(&mut self) -> Unit {
        let (map, _) = self.map(&[MapKind::ProgramArray]);
        vec![mov(Reg::R1, Reg::R6), self.map_argument(Reg::R2, map), mov(Reg::R3, self.small()), call(helper::TAIL_CALL)]
    }

    /// A function, or a helper by its number.
    fn call_register(&mut self) -> Unit {
        let register = self.written();
        let numbers = [helper::KTIME_GET_NS, helper::GET_PRANDOM_U32, helper::MAP_LOOKUP_ELEM, helper::LOOP, 0x1_0000];
        let target = match self.random.random_range(0..3) {
            0 => mov(register, Operand::Imm(*numbers.choose(&mut self.random).unwrap() as i32)),
            _ => code(register),
        };
        vec![target, Instruction::Call(CallTarget::Register(register))]
    }

    /// Moves an end of the packet, and asks where it is now.
    fn adjust(&mut self) -> Unit {
        let number =
            *[helper::XDP_ADJUST_HEAD, helper::XDP_ADJUST_TAIL, helper::XDP_ADJUST_META].choose(&mut self.random).unwrap();
        let delta = *[-4, -14, -64, -216, -4000, 0, 2, 4, 14, 64, 300, i32::MAX, i32::MIN].choose(&mut self.random).unwrap();
        vec![
            mov(Reg::R1, Reg::R6),
            mov(Reg::R2, Operand::Imm(delta)),
            call(number),
            load(Size::W, Reg::R7, Reg::R6, 0),
            load(Size::W, Reg::R2, Reg::R6, *[4, 8].choose(&mut self.random).unwrap()),
        ]
    }

    fn transfer(&mut self) -> Unit {
        let number = *[helper::XDP_LOAD_BYTES, helper::XDP_STORE_BYTES].choose(&mut self.random).unwrap();
        let offset = *[0, 1, 12, 14, 60, 63, 0xffff, -1].choose(&mut self.random).unwrap();
        let len = *[0, 1, 4, 8, 48, 49, 0x1_0000].choose(&mut self.random).unwrap();
        let (base, displacement) = *[(Reg::R10, VALUE), (Reg::R7, 1), (Reg::R7, -8)].choose(&mut self.random).unwrap();
        vec![
            mov(Reg::R1, Reg::R6),
            mov(Reg::R2, Operand::Imm(offset)),
            mov(Reg::R3, base),
            add(Reg::R3, displacement),
            mov(Reg::R4, Operand::Imm(len)),
            call(number),
        ]
    }

    /// By number, or by map; the program may end with what that returns.
    fn redirect(&mut self) -> Unit {
        let mut unit = if self.random.random_range(0..3) == 0 {
            vec![
                mov(Reg::R1, self.small()),
                mov(Reg::R2, Operand::Imm(i32::from(self.random.random_range(0..4) == 0))),
                call(helper::REDIRECT),
            ]
        } else {
            let (map, _) = self.map(&[MapKind::DevMap, MapKind::DevMapHash, MapKind::CpuMap, MapKind::XskMap]);
            let flags = *[0, 1, 2, 3, 4, 8, 0x18, 0x20].choose(&mut self.random).unwrap();
            let (map, key) = (self.map_argument(Reg::R1, map), mov(Reg::R2, self.small()));
            vec![map, key, mov(Reg::R3, Operand::Imm(flags)), call(helper::REDIRECT_MAP)]
        };
        if self.random.random() {
            unit.push(Instruction::Exit);
        }
        unit
    }

    /// The comparison with `data_end` that the kernel's verifier wants, and an access behind it.
    fn checked_access(&mut self) -> Unit {
        let len = *[1, 4, 14, 34, 64].choose(&mut self.random).unwrap();
        let beyond =
            Instruction::Branch { width: Width::W64, op: JumpOp::Gt, dst: Reg::R2, src: Operand::Reg(Reg::R3), offset: 1 };
        vec![
            load(Size::W, Reg::R7, Reg::R6, 0),
            load(Size::W, Reg::R3, Reg::R6, 4),
            mov(Reg::R2, Reg::R7),
            add(Reg::R2, len),
            beyond,
            self.touch(Reg::R7),
        ]
    }

    /// `trace_printk` of a text that is in the read-only map, or `csum_diff`.
    fn text_or_sum(&mut self) -> Unit {
        if self.random.random() {
            let map = self.maps.iter().position(|map| map.is_read_only()).unwrap() as u64;
            let text = Instruction::LoadImm64 { dst: Reg::R1, source: WideSource::MapValueByIndex, value: map };
            let len = Operand::Imm(*[15, 15, 3, 24, 25, 0].choose(&mut self.random).unwrap());
            return vec![text, mov(Reg::R2, len), mov(Reg::R4, self.operand()), call(helper::TRACE_PRINTK)];
        }
        let [from, to] = [(); 2].map(|()| Operand::Imm(*[0, 4, 8, 12, 5, 512].choose(&mut self.random).unwrap()));
        vec![
            mov(Reg::R1, Reg::R7),
            mov(Reg::R2, from),
            mov(Reg::R3, Reg::R10),
            add(Reg::R3, VALUE),
            mov(Reg::R4, to),
            mov(Reg::R5, self.operand()),
            call(helper::CSUM_DIFF),
        ]
    }

    /// `ld_abs`, `ld_ind`.
    fn load_packet(&mut self) -> Instruction {
        let size = *[Size::B, Size::H, Size::W].choose(&mut self.random).unwrap();
        let index = self.random.random::<bool>().then(|| self.read());
        let imm = *[0, 1, 12, 60, 61, 62, 63, 64, -1, -4096, i32::MAX, i32::MIN].choose(&mut self.random).unwrap();
        Instruction::LoadPacket { size, index, imm }
    }

    /// A load, store or atomic near the address in a register.
    fn touch(&mut self, base: Reg) -> Instruction {
        let offset = *[0, 0, 4, 8, 12, 13, -8].choose(&mut self.random).unwrap();
        match self.random.random_range(0..3) {
            0 => load(self.size(), Reg::R0, base, offset),
            1 => store(base, offset, self.operand()),
            _ => Instruction::Atomic { size: Size::D, op: AtomicOp::Add, fetch: false, base, offset, src: Reg::R9 },
        }
    }

    /// A key in the frame: few, so that some are met again.
    fn key(&mut self, kind: MapKind) -> Unit {
        let (low, high) = match kind {
            MapKind::LpmTrie => {
                let bits = *[0, 1, 7, 8, 16, 31, 32, 33].choose(&mut self.random).unwrap();
                (bits, *[0, 0x80, 0xff, -1].choose(&mut self.random).unwrap())
            }
            _ => (self.random.random_range(0..6), 0),
        };
        let word = |offset, value| Instruction::Store { size: Size::W, base: Reg::R10, offset, src: Operand::Imm(value) };
        vec![word(KEY as i16, low), word(KEY as i16 + 4, high)]
    }

    /// One of the maps of these kinds, rarely another.
    fn map(&mut self, kinds: &[MapKind]) -> (usize, MapKind) {
        let any = self.random.random_range(0..16) == 0;
        let fits = |map: &(usize, MapKind)| any || kinds.contains(&map.1);
        let maps = self.maps.iter().map(|map| map.kind).enumerate().filter(fits);
        *maps.collect::<Vec<_>>().choose(&mut self.random).unwrap()
    }

    fn map_argument(&mut self, dst: Reg, map: usize) -> Instruction {
        Instruction::LoadImm64 { dst, source: WideSource::MapByIndex, value: map as u64 }
    }

    fn small(&mut self) -> Operand {
        Operand::Imm(self.random.random_range(0..6))
    }
}

/// Kinds with keys that programs look up, also those that they may not change.
const KEYED: [MapKind; 13] = [
    MapKind::Array,
    MapKind::PerCpuArray,
    MapKind::Hash,
    MapKind::PerCpuHash,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
    MapKind::LpmTrie,
    MapKind::ArrayOfMaps,
    MapKind::HashOfMaps,
    MapKind::DevMap,
    MapKind::DevMapHash,
    MapKind::CpuMap,
    MapKind::XskMap,
];

fn mov(dst: Reg, src: impl Into<Operand>) -> Instruction {
    Instruction::Alu { width: Width::W64, op: AluOp::Mov, dst, src: src.into() }
}

fn add(dst: Reg, imm: i32) -> Instruction {
    Instruction::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(imm) }
}

fn load(size: Size, dst: Reg, base: Reg, offset: i16) -> Instruction {
    Instruction::Load { size, signed: false, dst, base, offset }
}

fn store(base: Reg, offset: i16, src: Operand) -> Instruction {
    Instruction::Store { size: Size::D, base, offset, src }
}

fn call(number: u32) -> Instruction {
    Instruction::Call(CallTarget::Helper(number))
}

/// A function, whichever it will be.
fn code(dst: Reg) -> Instruction {
    Instruction::LoadImm64 { dst, source: WideSource::Code, value: 0 }
}

fn skip_if_null(instructions: usize) -> Instruction {
    Instruction::Branch { width: Width::W64, op: JumpOp::Eq, dst: Reg::R0, src: Operand::Imm(0), offset: instructions as i16 }
}
