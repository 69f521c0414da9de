//! What a program may address, and the checked way to it.
//!
//! A [`RegionMap`] says which cage addresses are backed, by which bytes, and whether they may be written; [`Memory`] is the map
//! together with the bytes. The interpreter and every helper go through it; the JIT's page tables say the same.

use nearside_programs::isa::Size;

use crate::helpers::HelperFault;

/// Regions begin at multiples of this many bytes and are as long: the largest page size of any processor we run on, so that
/// what is accessible does not depend on it.
pub const REGION_UNIT: u32 = 65_536;

/// First address regions may not use: the units above hold the engine's stack and its guards.
pub(crate) const REGIONS_END: u32 = 0xfffc_0000;

/// Where the stack's unit begins; it has unmapped units on both sides.
pub(crate) const STACK_START: u32 = 0xfffe_0000;

/// Where the first frame ends: r10 of an entry point.
pub(crate) const STACK_TOP: u32 = STACK_START + REGION_UNIT;

/// Whether a program may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Loads only.
    ReadOnly,
    /// Loads, stores, atomic operations.
    ReadWrite,
}

/// What a program does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reads.
    Load,
    /// Writes; atomic operations, too.
    Store,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Store => "store",
        })
    }
}

/// A range of cage addresses backed by memory. All three numbers are multiples of [`REGION_UNIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address; not 0, which is never mapped.
    pub start: u32,
    /// Bytes a program may access.
    pub len: u32,
    /// Bytes it may grow to; no other region may use them.
    pub reserved: u32,
    /// What a program may do with it.
    pub access: Access,
}

/// A region and where its bytes are in the host's view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) region: Region,
    pub(crate) offset: usize,
}

/// Regions, sorted by address and disjoint.
#[derive(Debug)]
pub(crate) struct RegionMap {
    pub(crate) placed: Vec<Placed>,
}

impl RegionMap {
    /// Where `address` is in the host's view, and how many bytes follow it in its region, itself included.
    fn locate(&self, address: u32, operation: Operation) -> Option<(usize, u64)> {
        let index = self.placed.partition_point(|placed| placed.region.start <= address).checked_sub(1)?;
        let Placed { region, offset } = self.placed[index];
        let inside = address - region.start;
        let allowed = operation == Operation::Load || region.access == Access::ReadWrite;
        (inside < region.len && allowed).then(|| (offset + inside as usize, u64::from(region.len - inside)))
    }

    /// Where an access of `len` bytes is, if one region has all of it.
    fn inside(&self, address: u32, len: usize, operation: Operation) -> Option<usize> {
        self.locate(address, operation).and_then(|(offset, left)| (len as u64 <= left).then_some(offset))
    }

    /// Where a byte of an access is, or its address if it may not be accessed. Adjacent regions serve an access together, as page
    /// tables do.
    fn byte(&self, address: u32, byte: usize, operation: Operation) -> Result<usize, u32> {
        let address = address.wrapping_add(byte as u32);
        self.locate(address, operation).map(|(offset, _)| offset).ok_or(address)
    }
}

/// A checked view of the cage during a run. Addresses are register values; like every access of a program, only their low 32 bits count.
#[derive(Debug)]
pub struct Memory<'a> {
    map: &'a RegionMap,
    bytes: &'a mut [u8],
}

impl<'a> Memory<'a> {
    pub(crate) fn new(map: &'a RegionMap, bytes: &'a mut [u8]) -> Self {
        Self { map, bytes }
    }

    /// `len` bytes at `address`, for a helper.
    ///
    /// # Errors
    /// The range is not inside one region. Unlike a load, it never spans two, even adjacent ones; no bytes are nowhere and always fine.
    pub fn read(&self, address: u64, len: usize) -> Result<&[u8], HelperFault> {
        let range = self.range(address, len, Operation::Load)?;
        Ok(&self.bytes[range])
    }

    /// `len` bytes at `address`, for a helper to write.
    ///
    /// # Errors
    /// The range is not inside one region that may be written.
    pub fn write(&mut self, address: u64, len: usize) -> Result<&mut [u8], HelperFault> {
        let range = self.range(address, len, Operation::Store)?;
        Ok(&mut self.bytes[range])
    }

    /// `len` bytes at `address`, whether the program may write them or not: what a helper tells the program.
    pub(crate) fn write_as_host(&mut self, address: u64, len: usize) -> Result<&mut [u8], HelperFault> {
        let range = self.range(address, len, Operation::Load)?;
        Ok(&mut self.bytes[range])
    }

    /// Copies `len` bytes; the ranges may overlap.
    pub(crate) fn copy(&mut self, from: u64, to: u64, len: usize) -> Result<(), HelperFault> {
        let source = self.range(from, len, Operation::Load)?;
        let target = self.range(to, len, Operation::Store)?;
        self.bytes.copy_within(source, target.start);
        Ok(())
    }

    fn range(&self, address: u64, len: usize, operation: Operation) -> Result<std::ops::Range<usize>, HelperFault> {
        if len == 0 {
            return Ok(0..0);
        }
        let address = address as u32;
        match self.map.inside(address, len, operation) {
            Some(offset) => Ok(offset..offset + len),
            None => Err(HelperFault::Memory { operation, address, len: len as u64 }),
        }
    }

    /// What a load instruction loads, zero-extended; or the first byte it may not load.
    pub(crate) fn load(&self, address: u32, size: Size) -> Result<u64, u32> {
        let len = size.bytes() as usize;
        let mut value = [0; 8];
        if let Some(offset) = self.map.inside(address, len, Operation::Load) {
            value[..len].copy_from_slice(&self.bytes[offset..offset + len]);
            return Ok(u64::from_le_bytes(value));
        }
        for (byte, value) in value.iter_mut().enumerate().take(len) {
            *value = self.bytes[self.map.byte(address, byte, Operation::Load)?];
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Does what a store instruction does: all bytes, or none and the first byte it may not store.
    pub(crate) fn store(&mut self, address: u32, size: Size, value: u64) -> Result<(), u32> {
        let len = size.bytes() as usize;
        let value = &value.to_le_bytes()[..len];
        if let Some(offset) = self.map.inside(address, len, Operation::Store) {
            self.bytes[offset..offset + len].copy_from_slice(value);
            return Ok(());
        }
        self.check_store(address, size)?;
        for (byte, value) in value.iter().enumerate() {
            self.bytes[self.map.byte(address, byte, Operation::Store)?] = *value;
        }
        Ok(())
    }

    /// Whether a store could be done.
    pub(crate) fn check_store(&self, address: u32, size: Size) -> Result<(), u32> {
        (0..size.bytes() as usize).try_for_each(|byte| self.map.byte(address, byte, Operation::Store).map(|_| ()))
    }
}
