//! `ld_abs` and `ld_ind` (RFC 9669 §5.5): the packet is where the context in r6 says.

use nearside_programs::isa::{Reg, Size};

use super::Machine;
use crate::trap::Trap;

/// Offsets of `data` and `data_end` in the context (`xdp_md`).
pub(crate) const DATA: i16 = 0;
pub(crate) const DATA_END: i16 = 4;

impl Machine<'_> {
    /// Loads from the packet, big-endian, into r0; r1 to r5 become 0, as after a call. Returns `false` if the packet does not have
    /// these bytes: the function then ends with r0 = 0, as in the kernel.
    pub(super) fn load_packet(&mut self, pc: usize, size: Size, index: Option<Reg>, imm: i32) -> Result<bool, Trap> {
        let data = self.load(pc, self.address(Reg::R6, DATA), Size::W)?;
        let end = self.load(pc, self.address(Reg::R6, DATA_END), Size::W)?;
        // Both are 32 bits wide. An end before the begin is a packet of less than nothing.
        let len = end.cast_signed() - data.cast_signed();
        let index = index.map_or(0, |register| self.get(register) as i32);
        let offset = i64::from(index.wrapping_add(imm));
        let inside = offset >= 0 && offset + i64::from(size.bytes()) <= len;
        let address = (data as u32).wrapping_add(offset as u32);
        let value = if inside { self.load(pc, address, size)?.swap_bytes() >> (64 - 8 * size.bytes()) } else { 0 };
        self.set(Reg::R0, value);
        self.registers[1..6].fill(0);
        Ok(inside)
    }
}
