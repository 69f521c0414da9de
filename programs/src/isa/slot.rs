//! The 8-byte unit programs are made of (RFC 9669 §3).

/// One instruction slot, little-endian on the wire. `lddw` takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Operation and class.
    pub opcode: u8,
    /// Destination register number, four bits.
    pub dst: u8,
    /// Source register number, four bits.
    pub src: u8,
    /// Signed offset; its meaning depends on the class.
    pub offset: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Slot {
    /// Size of a slot in bytes.
    pub const LEN: usize = 8;

    /// The slot as it stands in a little-endian object.
    pub fn to_bytes(self) -> [u8; 8] {
        let [o0, o1] = self.offset.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [self.opcode, (self.dst & 0xf) | (self.src << 4), o0, o1, i0, i1, i2, i3]
    }

    /// Reads a slot. Every byte string of this length is a slot; whether it means anything is [`super::decode`]'s business.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [opcode, registers, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            opcode,
            dst: registers & 0xf,
            src: registers >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }
}
