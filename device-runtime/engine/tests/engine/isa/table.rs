//! Every instruction of RFC 9669: one row an encoding, with its conformance group and what of it varies.

use nearside_programs::isa::Slot;

/// Conformance groups of RFC 9669 §2.4. `callx` is in none; compilers write it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Base32,
    Base64,
    Divmul32,
    Divmul64,
    Atomic32,
    Atomic64,
    Packet,
    Callx,
}

/// Which fields are operands. What is not named is fixed by the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operands {
    /// `dst`.
    Dst,
    /// `dst` and `src`.
    DstSrc,
    /// `dst` and `imm`.
    DstImm,
    /// `dst` and 64 bits over two slots.
    Wide,
    /// `dst`, and `offset` from `src`.
    Load,
    /// `offset` from `dst`, and `imm`.
    StoreImm,
    /// `offset` from `dst`, and `src`: stores and atomic operations.
    StoreSrc,
    /// `dst`, `src`, and where to in `offset`.
    BranchSrc,
    /// `dst`, `imm`, and where to in `offset`.
    BranchImm,
    /// Where to in `offset`.
    Jump,
    /// Where to in `imm`.
    JumpLong,
    /// `imm`: a place in the packet.
    Packet,
    /// `imm` and `src`: a place in the packet.
    PacketIndexed,
    /// Who is called; nothing at `exit`.
    Control,
}

/// One encoding.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) group: Group,
    /// With the fields that are fixed.
    pub(super) slot: Slot,
    pub(super) operands: Operands,
}

/// Name, code, `offset`, whether it multiplies or divides: RFC 9669 §4.1, table 5.
const ARITHMETIC: [(&str, u8, i16, bool); 14] = [
    ("add", 0x00, 0, false),
    ("sub", 0x10, 0, false),
    ("mul", 0x20, 0, true),
    ("div", 0x30, 0, true),
    ("sdiv", 0x30, 1, true),
    ("or", 0x40, 0, false),
    ("and", 0x50, 0, false),
    ("lsh", 0x60, 0, false),
    ("rsh", 0x70, 0, false),
    ("mod", 0x90, 0, true),
    ("smod", 0x90, 1, true),
    ("xor", 0xa0, 0, false),
    ("mov", 0xb0, 0, false),
    ("arsh", 0xc0, 0, false),
];

/// Opcode, `offset`: `movsx`.
const MOVES: [(u8, i16); 5] = [(0xbc, 8), (0xbc, 16), (0xbf, 8), (0xbf, 16), (0xbf, 32)];

/// Name, opcode: RFC 9669 §4.2.
const CONVERSIONS: [(&str, u8); 3] = [("le", 0xd4), ("be", 0xdc), ("bswap", 0xd7)];

/// Name, code: RFC 9669 §4.3, table 7.
const CONDITIONS: [(&str, u8); 11] = [
    ("jeq", 0x10),
    ("jgt", 0x20),
    ("jge", 0x30),
    ("jset", 0x40),
    ("jne", 0x50),
    ("jsgt", 0x60),
    ("jsge", 0x70),
    ("jlt", 0xa0),
    ("jle", 0xb0),
    ("jslt", 0xc0),
    ("jsle", 0xd0),
];

/// Bits of the opcode, bytes: RFC 9669 §5, table 11.
const SIZES: [(u8, u8); 4] = [(0x00, 4), (0x08, 2), (0x10, 1), (0x18, 8)];

/// Name, `imm`: RFC 9669 §5.3, tables 13 and 14.
const ATOMICS: [(&str, i32); 10] = [
    ("add", 0x00),
    ("or", 0x40),
    ("and", 0x50),
    ("xor", 0xa0),
    ("fetch add", 0x01),
    ("fetch or", 0x41),
    ("fetch and", 0x51),
    ("fetch xor", 0xa1),
    ("xchg", 0xe1),
    ("cmpxchg", 0xf1),
];

/// Name, opcode, `src`: RFC 9669 §4.3, the rest of table 7.
const CONTROL: [(&str, u8, u8, Group); 4] = [
    ("call helper", 0x85, 0, Group::Base32),
    ("call local", 0x85, 1, Group::Base32),
    ("callx", 0x8d, 0, Group::Callx),
    ("exit", 0x95, 0, Group::Base32),
];

/// The whole table.
pub(super) fn rows() -> Vec<Row> {
    [arithmetic(), conversions(), branches(), memory(), atomics(), packet(), control()].concat()
}

fn row(name: impl Into<String>, group: Group, opcode: u8, operands: Operands) -> Row {
    Row { name: name.into(), group, slot: Slot { opcode, ..Slot::default() }, operands }
}

fn arithmetic() -> Vec<Row> {
    use Group::{Base32, Base64, Divmul32, Divmul64};
    let mut rows = Vec::new();
    for (class, bits, base, divmul) in [(0x04, 32, Base32, Divmul32), (0x07, 64, Base64, Divmul64)] {
        for (name, code, offset, divides) in ARITHMETIC {
            let group = if divides { divmul } else { base };
            for (form, operands) in [(0x00, Operands::DstImm), (0x08, Operands::DstSrc)] {
                let mut row = row(format!("{name}{bits}"), group, class | code | form, operands);
                row.slot.offset = offset;
                rows.push(row);
            }
        }
        rows.push(row(format!("neg{bits}"), base, class | 0x80, Operands::Dst));
    }
    for (opcode, offset) in MOVES {
        let group = if opcode == 0xbc { Base32 } else { Base64 };
        let mut row = row(format!("movsx{offset}"), group, opcode, Operands::DstSrc);
        row.slot.offset = offset;
        rows.push(row);
    }
    rows
}

fn conversions() -> Vec<Row> {
    let conversion = |(name, opcode): (&str, u8), bits: i32| {
        let group = if opcode == 0xd7 || bits == 64 { Group::Base64 } else { Group::Base32 };
        let mut row = row(format!("{name}{bits}"), group, opcode, Operands::Dst);
        row.slot.imm = bits;
        row
    };
    CONVERSIONS.into_iter().flat_map(|order| [16, 32, 64].map(|bits| conversion(order, bits))).collect()
}

fn branches() -> Vec<Row> {
    let mut rows = Vec::new();
    for (class, bits, group) in [(0x06, 32, Group::Base32), (0x05, 64, Group::Base64)] {
        for (name, code) in CONDITIONS {
            rows.push(row(format!("{name}{bits}"), group, class | code, Operands::BranchImm));
            rows.push(row(format!("{name}{bits}"), group, class | code | 0x08, Operands::BranchSrc));
        }
    }
    rows.push(row("ja", Group::Base32, 0x05, Operands::Jump));
    rows.push(row("gotol", Group::Base32, 0x06, Operands::JumpLong));
    rows
}

fn memory() -> Vec<Row> {
    let mut rows = vec![row("lddw", Group::Base64, 0x18, Operands::Wide)];
    for (size, bytes) in SIZES {
        let group = if bytes == 8 { Group::Base64 } else { Group::Base32 };
        rows.push(row(format!("ldx{bytes}"), group, 0x61 | size, Operands::Load));
        rows.push(row(format!("st{bytes}"), group, 0x62 | size, Operands::StoreImm));
        rows.push(row(format!("stx{bytes}"), group, 0x63 | size, Operands::StoreSrc));
        if bytes < 8 {
            rows.push(row(format!("ldsx{bytes}"), Group::Base64, 0x81 | size, Operands::Load));
        }
    }
    rows
}

fn atomics() -> Vec<Row> {
    let atomic = |(name, imm), opcode, group| {
        let mut row = row(format!("lock {name}"), group, opcode, Operands::StoreSrc);
        row.slot.imm = imm;
        row
    };
    let both = |op| [atomic(op, 0xc3, Group::Atomic32), atomic(op, 0xdb, Group::Atomic64)];
    ATOMICS.into_iter().flat_map(both).collect()
}

fn packet() -> Vec<Row> {
    let both = |(size, bytes): (u8, u8)| {
        [
            row(format!("ldabs{bytes}"), Group::Packet, 0x20 | size, Operands::Packet),
            row(format!("ldind{bytes}"), Group::Packet, 0x40 | size, Operands::PacketIndexed),
        ]
    };
    SIZES.into_iter().filter(|size| size.1 < 8).flat_map(both).collect()
}

fn control() -> Vec<Row> {
    let control = |(name, opcode, src, group)| {
        let mut row = row(name, group, opcode, Operands::Control);
        row.slot.src = src;
        row
    };
    CONTROL.into_iter().map(control).collect()
}
