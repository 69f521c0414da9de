//! Every instruction of every conformance group of RFC 9669, from one [`table`], in both engines, against a [`model`] that is neither.

mod model;
mod probe;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use nearside_engine::{Operation, Trap};
use nearside_programs::isa::{Slot, decode};

use probe::{ARENA, CONTEXT, HELPER, PACKET_LEN, Probe, SCRATCH, slot};
use table::{Group, Operands, Row, rows};

/// Zero, one, extremes of every width, powers of two and their neighbours, counts of shifts at and beyond the widths.
const VALUES: [u64; 24] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x8080,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_8000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_7fff_ffff,
    u64::MAX - 6,
    u64::MAX,
];

const IMMEDIATES: [i32; 16] = [0, 1, 2, 3, 10, 31, 32, 33, 63, 64, 65, i32::MAX, i32::MIN, i32::MIN + 1, -7, -1];

/// Slots of [`tail`].
const TAIL_LEN: usize = 7;

/// r0 = r1 - r5 with r6 added that must be 0, and registers left behind that the caller must not see.
fn tail() -> [Slot; TAIL_LEN] {
    [
        slot(0xbf, 0, 1, 0, 0),
        slot(0x1f, 0, 5, 0, 0),
        slot(0x0f, 0, 6, 0, 0),
        slot(0xb7, 6, 0, 0, 77),
        slot(0xb7, 1, 0, 0, 78),
        slot(0x7b, 10, 1, -8, 0),
        slot(0x95, 0, 0, 0, 0),
    ]
}

/// Registers that differ, with these at two places. If both are the same place, the second counts.
fn registers(values: &[(u8, u64)]) -> [u64; 10] {
    let mut registers = std::array::from_fn(|index| 0x1111_2222_3333_0000 + index as u64 * 0x0101);
    for &(register, value) in values.iter().filter(|(register, _)| *register < 10) {
        registers[usize::from(register)] = value;
    }
    registers
}

/// Every register at each place, and both places the same.
fn register_pairs(src_max: u8) -> Vec<(u8, u8)> {
    let mut pairs: Vec<(u8, u8)> = (0..=src_max).map(|src| (3, src)).collect();
    pairs.extend((0..10).flat_map(|dst| [(dst, 4), (dst, dst)]));
    pairs
}

fn of(operands: &[Operands]) -> Vec<Row> {
    rows().into_iter().filter(|row| operands.contains(&row.operands)).collect()
}

/// The table lacks nothing that the decoder knows, and the decoder nothing that the table has.
#[test]
fn the_table_is_the_instruction_set() {
    let in_table: BTreeSet<u8> = rows().iter().map(|row| row.slot.opcode).collect();
    let mut decoded = BTreeSet::new();
    for opcode in 0..=u8::MAX {
        for imm in [0, 0xe1] {
            for imm in [imm, 16] {
                let slots = [Slot { opcode, imm, ..Slot::default() }, Slot::default()];
                decoded.extend(decode(&slots, 0).is_ok().then_some(opcode));
            }
        }
    }
    assert_eq!(in_table, decoded);
    let mut counts = BTreeMap::new();
    for row in rows() {
        decode(&[row.slot, Slot::default()], 0).unwrap_or_else(|error| panic!("{}: {error}", row.name));
        *counts.entry(row.group).or_insert(0) += 1;
    }
    // Encodings, the variants by `offset` and `imm` included.
    let expected = [
        (Group::Base32, 61),
        (Group::Base64, 56),
        (Group::Divmul32, 10),
        (Group::Divmul64, 10),
        (Group::Atomic32, 10),
        (Group::Atomic64, 10),
        (Group::Packet, 6),
        (Group::Callx, 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

/// Arithmetic, moves, conversions.
#[test]
fn arithmetic_is_the_models() {
    for row in of(&[Operands::Dst, Operands::DstSrc, Operands::DstImm]) {
        let immediates = if row.operands == Operands::DstImm { &IMMEDIATES[..] } else { &[row.slot.imm] };
        let pairs = register_pairs(if row.operands == Operands::DstSrc { 10 } else { 0 });
        let with = |dst, src, imm| {
            let src = if row.operands == Operands::DstSrc { src } else { 0 };
            vec![Slot { dst, src, imm, ..row.slot }]
        };
        // The first ones take all values, the rest shows that registers are told apart.
        let mut snippets: Vec<Vec<Slot>> = immediates.iter().map(|imm| with(1, 2, *imm)).collect();
        let first = snippets.len();
        snippets.extend(pairs.iter().map(|&(dst, src)| with(dst, src, immediates[immediates.len() - 1])));
        let mut probe = Probe::new(&snippets, &[]);
        for snippet in 0..first {
            for dst in VALUES {
                for src in if row.operands == Operands::DstSrc { &VALUES[..] } else { &[0] } {
                    probe.check(snippet, registers(&[(1, dst), (2, *src)]));
                }
            }
        }
        for (index, &(dst, src)) in pairs.iter().enumerate() {
            for (a, b) in [(0x8000_0000_1234_5678, 0xffff_ffff_0000_0007), (5, u64::MAX)] {
                probe.check(first + index, registers(&[(dst, a), (src, b)]));
            }
        }
    }
}

/// Over one instruction; a branch back to one that leads to the end.
fn branch_snippets(branch: impl Fn(i16) -> Slot) -> [Vec<Slot>; 2] {
    let mark = slot(0xa7, 0, 0, 0, 0x55);
    let goto = |offset| slot(0x05, 0, 0, offset, 0);
    [vec![branch(1), mark], vec![goto(1), goto(2), branch(-2), mark]]
}

#[test]
fn branches_are_the_models() {
    for row in of(&[Operands::BranchSrc, Operands::BranchImm]) {
        let by_register = row.operands == Operands::BranchSrc;
        let immediates = if by_register { &[0][..] } else { &IMMEDIATES[..] };
        let with = |dst, src, imm| {
            let src = if by_register { src } else { 0 };
            branch_snippets(move |offset| Slot { dst, src, offset, imm, ..row.slot })
        };
        let mut snippets: Vec<Vec<Slot>> = immediates.iter().flat_map(|imm| with(1, 2, *imm)).collect();
        let first = snippets.len();
        let pairs = register_pairs(if by_register { 10 } else { 0 });
        snippets.extend(pairs.iter().flat_map(|&(dst, src)| with(dst, src, if by_register { 0 } else { 7 })));
        let mut probe = Probe::new(&snippets, &[]);
        for snippet in 0..first {
            for dst in VALUES {
                for src in if by_register { &VALUES[..] } else { &[0] } {
                    probe.check(snippet, registers(&[(1, dst), (2, *src)]));
                }
            }
        }
        for (index, &(dst, src)) in pairs.iter().enumerate() {
            for snippet in [first + 2 * index, first + 2 * index + 1] {
                for (a, b) in [(7, 7), (6, 7), (u64::MAX, 0xffff_ffff_0000_0007)] {
                    probe.check(snippet, registers(&[(dst, a), (src, b)]));
                }
            }
        }
    }
}

#[test]
fn jumps_are_the_models() {
    for row in of(&[Operands::Jump, Operands::JumpLong]) {
        let jump = |offset: i16| match row.operands {
            Operands::Jump => Slot { offset, ..row.slot },
            _ => Slot { imm: offset.into(), ..row.slot },
        };
        let mut snippets = branch_snippets(jump).to_vec();
        snippets.push(vec![jump(0)]);
        let mut probe = Probe::new(&snippets, &[]);
        (0..snippets.len()).for_each(|snippet| probe.check(snippet, registers(&[])));
    }
}

#[test]
fn constants_are_the_models() {
    for row in of(&[Operands::Wide]) {
        let wide = |dst, value: u64| {
            vec![Slot { dst, imm: value as i32, ..row.slot }, Slot { imm: (value >> 32) as i32, ..Slot::default() }]
        };
        let mut snippets: Vec<Vec<Slot>> = VALUES.iter().map(|value| wide(1, *value)).collect();
        snippets.extend((0..10).map(|dst| wide(dst, 0x0123_4567_89ab_cdef)));
        let mut probe = Probe::new(&snippets, &[]);
        (0..snippets.len()).for_each(|snippet| probe.check(snippet, registers(&[])));
    }
}

/// Where atomic operations may be, for any size.
const ALIGNED: u64 = ARENA as u64 + SCRATCH + 0x20;

/// Loads and stores of every size, at every alignment, with offsets of both signs, by every register.
#[test]
fn loads_and_stores_are_the_models() {
    for row in of(&[Operands::Load, Operands::StoreImm, Operands::StoreSrc]) {
        let atomic = matches!(row.group, Group::Atomic32 | Group::Atomic64);
        let is_load = row.operands == Operands::Load;
        let with = |base: u8, other: u8, offset: i16, imm: i32| {
            let (dst, src) = if is_load { (other, base) } else { (base, other) };
            let slot = Slot { dst, src, offset, ..row.slot };
            vec![if row.operands == Operands::StoreImm { Slot { imm, src: 0, ..slot } } else { slot }]
        };
        let offsets: &[i16] = if atomic { &[0, 8, -16] } else { &[0, 1, 3, -5, 32] };
        let mut snippets: Vec<Vec<Slot>> = Vec::new();
        let immediates = if row.operands == Operands::StoreImm { &IMMEDIATES[..] } else { &[0] };
        for offset in offsets {
            snippets.extend(immediates.iter().map(|imm| with(1, 2, *offset, *imm)));
        }
        let first = snippets.len();
        // r0 has a part of its own in compare-exchange. Into r10 nothing is loaded or fetched.
        let others = if is_load || atomic { 10 } else { 11 };
        let pairs: Vec<(u8, u8)> = (0..10).map(|base| (base, 4)).chain((0..others).map(|other| (3, other))).collect();
        snippets.extend(pairs.iter().map(|&(base, other)| with(base, other, 8, -2)));
        // The frame.
        snippets.push(with(10, 4, -8, -2));
        snippets.push(with(10, 4, -512, -2));
        let mut probe = Probe::new(&snippets, &[]);
        for snippet in 0..first {
            for step in 0..8 {
                let base = ALIGNED + if atomic { 8 * step } else { step };
                for value in VALUES {
                    probe.check(snippet, registers(&[(1, base), (2, value)]));
                    // High bits of an address do not count; r0 is what compare-exchange expects.
                    probe.check(snippet, registers(&[(0, scratch(base, &row)), (1, base), (2, value)]));
                }
            }
        }
        for (index, &(base, other)) in pairs.iter().enumerate() {
            probe.check(first + index, registers(&[(other, 0x8877_6655_4433_2211), (base, ALIGNED)]));
        }
        probe.check(first + pairs.len(), registers(&[(4, 0x8877_6655_4433_2211)]));
        probe.check(first + pairs.len() + 1, registers(&[(4, 0x8877_6655_4433_2211)]));
    }
}

/// What is there before, for a compare-exchange that succeeds, with a high half that only counts for 64 bits.
fn scratch(address: u64, row: &Row) -> u64 {
    let start = address - u64::from(ARENA) - SCRATCH;
    let byte = |index: u64| (index as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3];
    let value = (0..8).rev().fold(0, |value, index| value << 8 | u64::from(byte(start + index)));
    if row.group == Group::Atomic32 { value ^ 1 << 63 } else { value }
}

/// Big-endian, inside the packet or not at all; r1 to r5 do not survive, and outside the function ends.
#[test]
fn packet_loads_are_the_models() {
    let (mut inside, mut outside) = (0, 0);
    for row in of(&[Operands::Packet, Operands::PacketIndexed]) {
        let places = [0, 1, 2, 3, 11, PACKET_LEN as i32 - 4, PACKET_LEN as i32 - 3, PACKET_LEN as i32 - 2, PACKET_LEN as i32 - 1];
        let beyond = [PACKET_LEN as i32, -1, -4, i32::MAX, i32::MAX - 1, i32::MIN];
        let indexed = row.operands == Operands::PacketIndexed;
        for place in places.into_iter().chain(beyond) {
            let sources = if indexed { 0..10 } else { 0..1 };
            let snippets: Vec<Vec<Slot>> = sources.clone().map(|src| vec![Slot { src, imm: place, ..row.slot }]).collect();
            let mut probe = Probe::new(&snippets, &[]);
            for src in sources {
                for index in [0, 1, 5, 0xffff_ffff, 0x7_0000_0002, (-place) as u64, 0x7fff_ffff, 0x8000_0000] {
                    let index = if src == 6 { u64::from(ARENA) + CONTEXT } else { index };
                    let context = [(src, index), (6, u64::from(ARENA) + CONTEXT)];
                    probe.check(usize::from(src), registers(&context));
                    *(if probe.is_done(usize::from(src)) { &mut inside } else { &mut outside }) += 1;
                }
            }
        }
    }
    assert!(inside > 1_000 && outside > 1_000, "{inside} in the packet, {outside} not");
}

/// A context that is not there is a trap, and so is a packet that is not where the context says.
#[test]
fn packet_loads_trap_at_the_load() {
    let load = vec![slot(0x30, 0, 0, 0, 2)];
    let fault = |address| Trap::Memory { pc: 11, operation: Operation::Load, address };
    let mut probe = Probe::new(&[load], &[]);
    probe.traps(0, registers(&[(6, 0x9000_0000)]), fault(0x9000_0000));
    // `data` is the last word of the arena's region.
    let last = u64::from(ARENA) + 0xfffc;
    probe.traps(0, registers(&[(6, last)]), fault(last as u32 + 4));
    // A packet at r0 and r1's low halves: 0x100 to 0x200.
    probe.traps(0, registers(&[(0, 0x200_0000_0100), (6, ARENA.into())]), fault(0x102));
}

/// Calls of a helper, of a function by offset and by address, and what both leave in registers; `exit` ends every snippet.
#[test]
fn calls_are_the_models() {
    let [helper, local, callx, _]: [Row; 4] = of(&[Operands::Control]).try_into().expect("four rows");
    let first = Probe::new(&[vec![Slot { imm: HELPER, ..helper.slot }]], &[]);
    // From the call to the tail, which is behind the snippet's 32 last slots.
    let to_tail = |before: i32| Slot { imm: before + 33, ..local.slot };
    let second = Probe::new(&[vec![to_tail(0)]], &tail());
    let address = |dst: u8| [slot(0x18, dst, 4, 0, 2 + 33), Slot::default()];
    for mut probe in [first, second] {
        for value in VALUES {
            probe.check(0, registers(&[(1, value), (5, 9)]));
        }
    }
    for register in 0..10 {
        let [low, high] = address(register);
        let by_dst = Slot { dst: register, ..callx.slot };
        let by_imm = Slot { imm: register.into(), ..callx.slot };
        for call in [by_dst, by_imm] {
            let mut probe = Probe::new(&[vec![low, high, call]], &tail());
            probe.check(0, registers(&[(1, 50), (5, 8)]));
        }
    }
}
