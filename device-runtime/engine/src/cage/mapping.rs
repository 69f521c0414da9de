//! The cage's address space: the one place that maps memory.
//!
//! One memory file holds every region's reservation, one behind another. It is mapped twice: once whole and writable for the host,
//! and region by region into a reserved 4 GiB window at the region's cage address, with the program's permissions. The window
//! has inaccessible guards on both sides.
#![expect(unsafe_code, reason = "mapping memory and looking at it as bytes")]

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};

use super::arena::Chunk;
use crate::memory::{Access, Placed, REGION_UNIT};

/// Bytes a 32-bit address can name.
const WINDOW_LEN: usize = 1 << 32;

/// Inaccessible bytes on either side of the window. An access of 8 bytes at the last address ends in the upper one, and generated code adds an instruction's
/// 16-bit offset to an address without wrapping.
const GUARD_LEN: usize = REGION_UNIT as usize;

const _: () = assert!(GUARD_LEN >= (1 << 15) + 8);

/// Address space that is unmapped when dropped.
#[derive(Debug)]
pub(super) struct Span {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a span is plain memory, which any thread may use; who may is decided by borrowing the `Mapping`.
unsafe impl Send for Span {}
// SAFETY: as above; nothing is changed through a shared span.
unsafe impl Sync for Span {}

impl Span {
    pub(super) fn new(start: *mut c_void, len: usize) -> io::Result<Self> {
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // SAFETY: a span is made from exactly one mapping of this length, and nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

/// The two views of a cage's memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    file: std::os::fd::OwnedFd,
    host: Span,
    window: Span,
}

impl Mapping {
    /// A memory file of `len` zero bytes (not 0), seen by the host, and an empty window.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let file = memfd_create(c"nearside-cage", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, len as u64)?;
        let read_write = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel picks the address, so no other mapping is touched.
        let host = unsafe { mmap(ptr::null_mut(), len, read_write, MapFlags::SHARED | MapFlags::NORESERVE, &file, 0) }?;
        let host = Span::new(host, len)?;
        let reserved = WINDOW_LEN + 2 * GUARD_LEN;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the kernel picks the address, so no other mapping is touched.
        let window = unsafe { mmap_anonymous(ptr::null_mut(), reserved, ProtFlags::empty(), flags) }?;
        let window = Span::new(window, reserved)?;
        Ok(Self { file, host, window })
    }

    /// Maps a region's reservation into the window and opens what is used of it.
    pub(crate) fn place(&mut self, placed: &Placed) -> io::Result<()> {
        let address = self.address(placed);
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        let (len, offset) = (placed.region.reserved as usize, placed.offset as u64);
        // SAFETY: regions lie below 4 GiB, so what is replaced is a part of our own window, which nothing borrows.
        unsafe { mmap(address, len, ProtFlags::empty(), flags, &self.file, offset) }?;
        self.open(placed)
    }

    /// Maps a part of a shared chunk into the window; `placed.offset` is in the chunk.
    pub(crate) fn share(&mut self, placed: &Placed, chunk: &Chunk) -> io::Result<()> {
        let protection = match placed.region.access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        let (file, start) = chunk.file();
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        let (len, offset) = (placed.region.len as usize, (start + placed.offset) as u64);
        // SAFETY: regions lie below 4 GiB, so what is replaced is a part of our own window, which nothing borrows.
        unsafe { mmap(self.address(placed), len, protection, flags, file, offset) }?;
        Ok(())
    }

    /// Makes a shared region's addresses inaccessible again.
    pub(crate) fn unshare(&mut self, placed: &Placed) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let len = placed.region.len as usize;
        // SAFETY: as in `share`.
        unsafe { mmap_anonymous(self.address(placed), len, ProtFlags::empty(), flags) }?;
        Ok(())
    }

    /// Gives a program access to the used part of a region that was placed before.
    pub(crate) fn open(&mut self, placed: &Placed) -> io::Result<()> {
        let protection = match placed.region.access {
            Access::ReadOnly => MprotectFlags::READ,
            Access::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        // SAFETY: the used part is inside the reservation, which `place` mapped in our own window; permissions only widen.
        unsafe { mprotect(self.address(placed), placed.region.len as usize, protection) }?;
        Ok(())
    }

    /// What a program calls address 0.
    pub(crate) fn base(&self) -> *mut u8 {
        self.window.start.as_ptr().wrapping_add(GUARD_LEN)
    }

    /// The window and its guards.
    pub(crate) fn window(&self) -> std::ops::Range<usize> {
        let start = self.window.start.as_ptr() as usize;
        start..start + self.window.len
    }

    fn address(&self, placed: &Placed) -> *mut c_void {
        self.base().wrapping_add(placed.region.start as usize).cast()
    }

    /// The host's view.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped readable for `len` bytes as long as `self` lives; a program writes them only while the cage is borrowed
        // mutably, and the file has no other users.
        unsafe { std::slice::from_raw_parts(self.host.start.as_ptr(), self.host.len) }
    }

    /// The host's view, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and the mutable borrow excludes both the program and other views.
        unsafe { std::slice::from_raw_parts_mut(self.host.start.as_ptr(), self.host.len) }
    }
}
