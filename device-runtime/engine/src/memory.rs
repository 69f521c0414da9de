//! What a program may address, and the checked way to it.
//!
//! A [`RegionMap`] says which cage addresses are backed, by which bytes, and whether they may be written; [`Memory`] is the map
//! together with the bytes. The interpreter and every helper go through it; the JIT's page tables say the same.

use std::sync::Arc;

use nearside_programs::isa::Size;

use crate::helpers::HelperFault;
use crate::maps::Maps;
use crate::shared::Shared;

/// Regions begin at multiples of this many bytes and are as long: the largest page size of any processor we run on, so that
/// what is accessible does not depend on it.
pub const REGION_UNIT: u32 = 65_536;

/// Where maps are that programs may only read; see [`crate::maps`].
pub(crate) const MAPS_READ_ONLY: std::ops::Range<u32> = 0x8000_0000..0xa000_0000;

/// Where the other maps are.
pub(crate) const MAPS_READ_WRITE: std::ops::Range<u32> = 0xa000_0000..0xf000_0000;

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

/// A region and where its bytes are: in the host's view of the cage, or in the chunk of the maps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) region: Region,
    pub(crate) offset: usize,
}

/// Regions of the cage, sorted by address, and of the maps attached to it; disjoint.
#[derive(Debug)]
pub(crate) struct RegionMap {
    pub(crate) placed: Vec<Placed>,
    /// At most two.
    pub(crate) shared: Vec<Placed>,
}

/// Where the byte of an address is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the host's view of the cage.
    Own(usize),
    /// In the chunk of the maps, which other threads use at the same time.
    Shared(usize),
}

impl RegionMap {
    /// Where `address` is, and how many bytes follow it in its region, itself included.
    fn locate(&self, address: u32, operation: Operation) -> Option<(Place, u64)> {
        let own = self.placed.partition_point(|placed| placed.region.start <= address).checked_sub(1);
        if let Some((offset, left)) = own.and_then(|index| self.placed[index].locate(address, operation)) {
            return Some((Place::Own(offset), left));
        }
        let shared = self.shared.iter().find_map(|placed| placed.locate(address, operation));
        shared.map(|(offset, left)| (Place::Shared(offset), left))
    }

    /// Where an access of `len` bytes is, if one region has all of it.
    fn inside(&self, address: u32, len: usize, operation: Operation) -> Option<Place> {
        self.locate(address, operation).and_then(|(place, left)| (len as u64 <= left).then_some(place))
    }

    /// Where a byte of an access is, or its address if it may not be accessed. Adjacent regions serve an access together, as page
    /// tables do.
    fn byte(&self, address: u32, byte: usize, operation: Operation) -> Result<Place, u32> {
        let address = address.wrapping_add(byte as u32);
        self.locate(address, operation).map(|(place, _)| place).ok_or(address)
    }
}

impl Placed {
    fn locate(&self, address: u32, operation: Operation) -> Option<(usize, u64)> {
        let Region { start, len, access, .. } = self.region;
        let inside = address.checked_sub(start)?;
        let allowed = operation == Operation::Load || access == Access::ReadWrite;
        (inside < len && allowed).then(|| (self.offset + inside as usize, u64::from(len - inside)))
    }
}

/// A checked view of the cage during a run. Addresses are register values; like every access of a program, only their low 32 bits count.
///
/// A range is in the cage's own memory, which nobody else uses during the run, or in the values of maps, which other runs may change
/// at any moment: [`Memory::read`] and [`Memory::write`] borrow the former, [`Memory::copy_out`] and [`Memory::copy_in`] copy either.
#[derive(Debug)]
pub struct Memory<'a> {
    map: &'a RegionMap,
    bytes: &'a mut [u8],
    maps: Option<&'a Arc<Maps>>,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(map: &'a RegionMap, bytes: &'a mut [u8], maps: Option<&'a Arc<Maps>>) -> Self {
        Self { map, bytes, maps }
    }

    /// The maps attached to the cage.
    pub fn maps(&self) -> Option<&'a Arc<Maps>> {
        self.maps
    }

    /// `len` bytes at `address`, for a helper whose argument cannot be the value of a map.
    ///
    /// # Errors
    /// The range is not inside one region of the cage's own. Unlike a load, it never spans two, even adjacent ones; no bytes are
    /// nowhere and always fine.
    pub fn read(&self, address: u64, len: usize) -> Result<&[u8], HelperFault> {
        let range = self.range(address, len, Operation::Load)?;
        Ok(&self.bytes[range])
    }

    /// `len` bytes at `address`, for a helper to write whose argument cannot be the value of a map.
    ///
    /// # Errors
    /// The range is not inside one region of the cage's own that may be written.
    pub fn write(&mut self, address: u64, len: usize) -> Result<&mut [u8], HelperFault> {
        let range = self.range(address, len, Operation::Store)?;
        Ok(&mut self.bytes[range])
    }

    /// As many bytes to read as to write, for a helper.
    ///
    /// # Errors
    /// As [`Memory::read`] of the first, then as [`Memory::write`] of the second, also if they overlap.
    pub fn read_and_write(&mut self, from: u64, to: u64, len: usize) -> Result<(&[u8], &mut [u8]), HelperFault> {
        let (source, target) = (self.range(from, len, Operation::Load)?, self.range(to, len, Operation::Store)?);
        if source.end <= target.start {
            let (head, tail) = self.bytes.split_at_mut(target.start);
            return Ok((&head[source], &mut tail[..len]));
        }
        if target.end <= source.start {
            let (head, tail) = self.bytes.split_at_mut(source.start);
            return Ok((&tail[..len], &mut head[target]));
        }
        Err(HelperFault::Memory { operation: Operation::Store, address: to as u32, len: len as u64 })
    }

    /// `len` bytes at `address`, whether the program may write them or not: what a helper tells the program.
    pub(crate) fn write_as_host(&mut self, address: u64, len: usize) -> Result<&mut [u8], HelperFault> {
        let range = self.range(address, len, Operation::Load)?;
        Ok(&mut self.bytes[range])
    }

    fn range(&self, address: u64, len: usize, operation: Operation) -> Result<std::ops::Range<usize>, HelperFault> {
        match self.place(address, len, operation)? {
            Place::Own(offset) => Ok(offset..offset + len),
            Place::Shared(_) => Err(HelperFault::Memory { operation, address: address as u32, len: len as u64 }),
        }
    }

    fn place(&self, address: u64, len: usize, operation: Operation) -> Result<Place, HelperFault> {
        if len == 0 {
            return Ok(Place::Own(0));
        }
        let address = address as u32;
        self.map.inside(address, len, operation).ok_or(HelperFault::Memory { operation, address, len: len as u64 })
    }

    /// Whether [`Memory::copy_out`] of as many bytes could be done; before anything is allocated for them.
    pub(crate) fn check_load(&self, address: u64, len: usize) -> Result<(), HelperFault> {
        self.place(address, len, Operation::Load).map(|_| ())
    }

    /// Fills `bytes` with what is at `address`, be it the cage's own or the value of a map.
    ///
    /// # Errors
    /// The range is not inside one region. No bytes are nowhere and always fine.
    pub fn copy_out(&self, address: u64, bytes: &mut [u8]) -> Result<(), HelperFault> {
        match self.place(address, bytes.len(), Operation::Load)? {
            Place::Own(offset) => bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]),
            Place::Shared(offset) => self.shared().read(offset, bytes),
        }
        Ok(())
    }

    /// Puts `bytes` at `address`, be it the cage's own or the value of a map.
    ///
    /// # Errors
    /// The range is not inside one region that may be written; then nothing is.
    pub fn copy_in(&mut self, address: u64, bytes: &[u8]) -> Result<(), HelperFault> {
        match self.place(address, bytes.len(), Operation::Store)? {
            Place::Own(offset) => self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes),
            Place::Shared(offset) => self.shared().write(offset, bytes),
        }
        Ok(())
    }

    /// Copies `len` bytes; the ranges may overlap, and either may be the value of a map.
    ///
    /// # Errors
    /// As [`Memory::copy_out`] of the first range, then as [`Memory::copy_in`] to the second.
    pub fn copy(&mut self, from: u64, to: u64, len: usize) -> Result<(), HelperFault> {
        let places = (self.place(from, len, Operation::Load)?, self.place(to, len, Operation::Store)?);
        if let (Place::Own(source), Place::Own(target)) = places {
            self.bytes.copy_within(source..source + len, target);
            return Ok(());
        }
        let mut bytes = vec![0; len];
        self.copy_out(from, &mut bytes)?;
        self.copy_in(to, &bytes)
    }

    /// What a load instruction loads, zero-extended; or the first byte it may not load.
    pub(crate) fn load(&self, address: u32, size: Size) -> Result<u64, u32> {
        let len = size.bytes() as usize;
        let mut value = [0; 8];
        match self.map.inside(address, len, Operation::Load) {
            Some(Place::Own(offset)) => value[..len].copy_from_slice(&self.bytes[offset..offset + len]),
            Some(Place::Shared(offset)) => return Ok(self.shared().load(offset, size)),
            None => {
                for (byte, value) in value.iter_mut().enumerate().take(len) {
                    *value = self.byte(self.map.byte(address, byte, Operation::Load)?);
                }
            }
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Does what a store instruction does: all bytes, or none and the first byte it may not store.
    pub(crate) fn store(&mut self, address: u32, size: Size, value: u64) -> Result<(), u32> {
        let len = size.bytes() as usize;
        let bytes = &value.to_le_bytes()[..len];
        match self.map.inside(address, len, Operation::Store) {
            Some(Place::Own(offset)) => self.bytes[offset..offset + len].copy_from_slice(bytes),
            Some(Place::Shared(offset)) => self.shared().store(offset, size, value),
            None => {
                self.check_store(address, size)?;
                for (byte, value) in bytes.iter().enumerate() {
                    match self.map.byte(address, byte, Operation::Store)? {
                        Place::Own(offset) => self.bytes[offset] = *value,
                        Place::Shared(offset) => self.shared().write(offset, &[*value]),
                    }
                }
            }
        }
        Ok(())
    }

    /// Does what an atomic instruction does at an aligned address, and returns what was there; or the first byte it may not store.
    ///
    /// The cage's own memory is nobody else's during a run, so that load and store are enough there.
    pub(crate) fn update(&mut self, address: u32, size: Size, new: impl Fn(u64) -> u64) -> Result<u64, u32> {
        // Aligned, so it is in one region or none.
        match self.map.inside(address, size.bytes() as usize, Operation::Store) {
            Some(Place::Shared(offset)) => Ok(self.shared().update(offset, size, new)),
            Some(Place::Own(_)) => {
                let old = self.load(address, size)?;
                self.store(address, size, new(old))?;
                Ok(old)
            }
            None => Err(address),
        }
    }

    /// Whether a store could be done.
    fn check_store(&self, address: u32, size: Size) -> Result<(), u32> {
        (0..size.bytes() as usize).try_for_each(|byte| self.map.byte(address, byte, Operation::Store).map(|_| ()))
    }

    fn byte(&self, place: Place) -> u8 {
        match place {
            Place::Own(offset) => self.bytes[offset],
            Place::Shared(offset) => self.shared().load(offset, Size::B) as u8,
        }
    }

    /// Only for a place that is there.
    fn shared(&self) -> Shared<'a> {
        let Some(maps) = self.maps else { unreachable!("shared regions are those of the maps") };
        maps.chunk().shared()
    }
}
