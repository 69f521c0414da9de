//! The memory of a run: 4 GiB of address space that hold a few regions and the stack.
//!
//! Whatever 32-bit address a program computes is in the cage; what is not a region faults there. The host sees the same bytes
//! through a view of its own, writable also where the program may only read.

mod arena;
mod mapping;

use std::io;
use std::sync::Arc;

use crate::maps::Maps;
use crate::memory::{Access, Memory, Placed, REGION_UNIT, REGIONS_END, Region, RegionMap, STACK_START};
use crate::verify::FRAME_LEN;
pub(crate) use arena::Chunk;
use mapping::Mapping;

/// Why a cage cannot be made or grown. The numbers are the caller's; a program cannot cause any of these.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    /// Start, length or reservation is no multiple of [`REGION_UNIT`], or nothing is reserved.
    #[error("region {index}: start, len and reserved must be multiples of 65536, and reserved not 0")]
    Unaligned {
        /// Which region.
        index: usize,
    },
    /// The first and the last four units are the engine's; `len` may not exceed `reserved`.
    #[error("region {index}: {start:#x} + {reserved:#x} bytes reserved, {len:#x} used, do not fit into the cage")]
    OutOfRange {
        /// Which region.
        index: usize,
        /// First address.
        start: u32,
        /// Bytes used.
        len: u32,
        /// Bytes reserved.
        reserved: u32,
    },
    /// Two reservations share addresses.
    #[error("the regions overlap at {address:#x}")]
    Overlap {
        /// First address of the second one.
        address: u32,
    },
    /// The system refused memory or address space.
    #[error("cannot map memory: {0}")]
    System(#[from] io::Error),
}

/// Memory a program runs in. Reusable: contents stay between runs, except the frames that the program can have, which a run begins with zero.
///
/// The rest of the stack's 64 KiB unit, which a program reaches by addresses of its own making, keeps what earlier runs wrote there, so a cage serves one tenant at a time; see [`Cage::clear`].
#[derive(Debug)]
pub struct Cage {
    mapping: Mapping,
    map: RegionMap,
    /// Where the caller's regions are in `map`, in the caller's order.
    order: Vec<usize>,
    /// Last, so that their memory outlives its place in the window.
    maps: Option<Arc<Maps>>,
}

impl Cage {
    /// Reserves a cage with these regions, all zero.
    ///
    /// # Errors
    /// The regions are unaligned, overlap or leave the cage, or the system has no memory or address space left.
    pub fn new(regions: &[Region]) -> Result<Self, CageError> {
        for (index, region) in regions.iter().enumerate() {
            check(index, region)?;
        }
        let stack = Region { start: STACK_START, len: REGION_UNIT, reserved: REGION_UNIT, access: Access::ReadWrite };
        let map = place(regions.iter().copied().chain([stack]))?;
        let len = map.placed.iter().map(|placed| placed.region.reserved as usize).sum();
        let mut mapping = Mapping::new(len)?;
        for placed in &map.placed {
            mapping.place(placed)?;
        }
        let order =
            regions.iter().map(|region| map.placed.partition_point(|placed| placed.region.start < region.start)).collect();
        Ok(Self { mapping, map, order, maps: None })
    }

    /// The host's view of a region; `index` is its place in what [`Cage::new`] was given.
    ///
    /// # Panics
    /// There is no such region.
    pub fn region(&self, index: usize) -> &[u8] {
        let range = self.range(index);
        &self.mapping.bytes()[range]
    }

    /// The host's view of a region, writable whatever the program may do.
    ///
    /// # Panics
    /// There is no such region.
    pub fn region_mut(&mut self, index: usize) -> &mut [u8] {
        let range = self.range(index);
        &mut self.mapping.bytes_mut()[range]
    }

    /// The same of several regions.
    ///
    /// # Panics
    /// One of them does not exist, or is asked for twice.
    pub fn regions_mut<const COUNT: usize>(&mut self, indices: [usize; COUNT]) -> [&mut [u8]; COUNT] {
        let ranges = indices.map(|index| self.range(index));
        self.mapping.bytes_mut().get_disjoint_mut(ranges).expect("different regions")
    }

    /// Makes a region `len` bytes long; what it gains is zero. Nothing happens if it is as long already.
    ///
    /// # Errors
    /// `len` is unaligned or exceeds the reservation, or the system refused.
    ///
    /// # Panics
    /// There is no such region.
    pub fn grow(&mut self, index: usize, len: u32) -> Result<(), CageError> {
        let placed = &mut self.map.placed[self.order[index]];
        let region = Region { len: len.max(placed.region.len), ..placed.region };
        check(index, &region)?;
        self.mapping.open(&Placed { region, ..*placed })?;
        placed.region = region;
        Ok(())
    }

    /// Puts maps where the program's `lddw`s and lookups find them, in place of those that were there. Several cages may have the same
    /// maps at the same time; nothing happens if this one has them already.
    ///
    /// # Errors
    /// A region of the cage is where maps have to be, or the system refused. Then the cage has no maps, or still the old ones if
    /// those could not be removed.
    pub fn attach(&mut self, maps: &Arc<Maps>) -> Result<(), CageError> {
        if self.maps.as_ref().is_some_and(|attached| Arc::ptr_eq(attached, maps)) {
            return Ok(());
        }
        self.detach()?;
        let shared = maps.regions();
        for placed in &shared {
            self.check_free(&placed.region)?;
        }
        // From here on, `detach` knows what to remove.
        self.maps = Some(maps.clone());
        for placed in shared {
            if let Err(error) = self.mapping.share(&placed, maps.chunk()) {
                self.detach()?;
                return Err(error.into());
            }
            self.map.shared.push(placed);
        }
        Ok(())
    }

    /// Removes the maps.
    ///
    /// # Errors
    /// The system refused; the cage still has the maps, and must not serve another tenant.
    pub fn detach(&mut self) -> Result<(), CageError> {
        while let Some(placed) = self.map.shared.last() {
            self.mapping.unshare(placed)?;
            self.map.shared.pop();
        }
        self.maps = None;
        Ok(())
    }

    /// What [`Cage::attach`] was given.
    pub fn maps(&self) -> Option<&Arc<Maps>> {
        self.maps.as_ref()
    }

    fn check_free(&self, shared: &Region) -> Result<(), CageError> {
        let overlaps =
            |region: &Region| region.start < shared.start + shared.reserved && shared.start < region.start + region.reserved;
        match self.map.placed.iter().find(|placed| overlaps(&placed.region)) {
            Some(placed) => Err(CageError::Overlap { address: placed.region.start.max(shared.start) }),
            None => Ok(()),
        }
    }

    /// A checked view, as a helper gets it.
    pub fn memory(&mut self) -> Memory<'_> {
        Memory::new(&self.map, self.mapping.bytes_mut(), self.maps.as_ref())
    }

    /// Where the processor finds cage address 0.
    pub(crate) fn base(&self) -> usize {
        self.mapping.base() as usize
    }

    /// The processor's addresses that a program's access can end up at, guards included.
    pub(crate) fn window(&self) -> std::ops::Range<usize> {
        self.mapping.window()
    }

    /// Zeroes everything a program can have written, but for attached maps: for another tenant.
    pub fn clear(&mut self) {
        for placed in &self.map.placed {
            self.mapping.bytes_mut()[placed.offset..][..placed.region.len as usize].fill(0);
        }
    }

    /// Every run begins with its frames zero.
    pub(crate) fn clear_frames(&mut self, frames: u32) {
        // The stack is the last region.
        if let Some(stack) = self.map.placed.last() {
            let top = stack.offset + stack.region.len as usize;
            self.mapping.bytes_mut()[top - (frames * FRAME_LEN) as usize..top].fill(0);
        }
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let Placed { region, offset } = self.map.placed[self.order[index]];
        offset..offset + region.len as usize
    }
}

fn check(index: usize, region: &Region) -> Result<(), CageError> {
    let Region { start, len, reserved, .. } = *region;
    if [start, len, reserved].iter().any(|value| value % REGION_UNIT != 0) || reserved == 0 {
        return Err(CageError::Unaligned { index });
    }
    let fits = start.checked_add(reserved).is_some_and(|end| end <= REGIONS_END);
    if start == 0 || len > reserved || !fits {
        return Err(CageError::OutOfRange { index, start, len, reserved });
    }
    Ok(())
}

/// Sorts regions and lays their reservations behind one another in the host's view.
fn place(regions: impl Iterator<Item = Region>) -> Result<RegionMap, CageError> {
    let mut sorted: Vec<Region> = regions.collect();
    sorted.sort_by_key(|region| region.start);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].start + pair[0].reserved > pair[1].start) {
        return Err(CageError::Overlap { address: pair[1].start });
    }
    let mut offset = 0;
    let placed = sorted.into_iter().map(|region| {
        let placed = Placed { region, offset };
        offset += region.reserved as usize;
        placed
    });
    Ok(RegionMap { placed: placed.collect(), shared: Vec::new() })
}
