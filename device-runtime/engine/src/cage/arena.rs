//! Shared memory by the chunk: what map sets live in, whatever cages they are mapped into.
//!
//! A process has one memory file for 4 GiB of chunks (more when they run out), mapped once. So a chunk that no cage has mapped costs
//! the pages somebody wrote, and neither a file descriptor nor a mapping of its own: ten thousand of them live within the default
//! limits of both. Chunks are whole 64 KiB units, begin zero, and give their pages back when dropped.
#![expect(unsafe_code, reason = "maps memory and looks at it as atomic words")]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap};

use super::mapping::Span;
use crate::memory::REGION_UNIT;
use crate::shared::Shared;

/// Bytes of address space of an arena. Only what is written takes memory.
const ARENA_LEN: usize = 1 << 32;

/// The arenas of this process; each lives as long as it has a chunk.
static ARENAS: Mutex<Vec<Arc<Arena>>> = Mutex::new(Vec::new());

/// Zeros that several threads and cages may use at the same time. Freed when dropped.
#[derive(Debug)]
pub(crate) struct Chunk {
    arena: Arc<Arena>,
    offset: usize,
    len: usize,
}

impl Chunk {
    /// `len` zero bytes, rounded up to units of 64 KiB.
    ///
    /// # Errors
    /// Nothing that large exists, or the system has no memory or address space left.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1).checked_next_multiple_of(REGION_UNIT as usize).filter(|len| *len <= ARENA_LEN);
        let len = len.ok_or(io::ErrorKind::OutOfMemory)?;
        let mut arenas = lock(&ARENAS);
        for arena in arenas.iter() {
            if let Some(offset) = lock(&arena.free).take(len) {
                return Ok(Self { arena: arena.clone(), offset, len });
            }
        }
        let arena = Arc::new(Arena::new()?);
        arenas.push(arena.clone());
        let offset = lock(&arena.free).take(len).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { arena, offset, len })
    }

    /// Its bytes.
    pub(crate) fn shared(&self) -> Shared<'_> {
        let start = self.arena.host.start().as_ptr().wrapping_add(self.offset).cast::<AtomicU64>();
        // SAFETY: the chunk is a part of the arena's mapping, which is readable and writable and lives as long as `self`; it
        // begins at a multiple of 64 KiB; no other chunk has these bytes; Rust reaches them only through atomic words, here.
        Shared::new(unsafe { std::slice::from_raw_parts(start, self.len / size_of::<AtomicU64>()) })
    }

    /// The memory file, and where in it the chunk is.
    pub(super) fn file(&self) -> (BorrowedFd<'_>, usize) {
        (self.arena.file.as_fd(), self.offset)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // What cannot be made zero is never handed out again.
        if fallocate(&self.arena.file, hole, self.offset as u64, self.len as u64).is_ok() {
            lock(&self.arena.free).give(self.offset, self.len);
        }
    }
}

/// One memory file and its one mapping.
#[derive(Debug)]
struct Arena {
    file: OwnedFd,
    host: Span,
    free: Mutex<Free>,
}

impl Arena {
    fn new() -> io::Result<Self> {
        let file = memfd_create(c"nearside-maps", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, ARENA_LEN as u64)?;
        let read_write = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel picks the address, so no other mapping is touched.
        let host = unsafe { mmap(ptr::null_mut(), ARENA_LEN, read_write, MapFlags::SHARED | MapFlags::NORESERVE, &file, 0) }?;
        Ok(Self { file, host: Span::new(host, ARENA_LEN)?, free: Mutex::new(Free::new(ARENA_LEN)) })
    }
}

/// Unused ranges: length by offset. Neighbours are one range.
#[derive(Debug)]
struct Free(BTreeMap<usize, usize>);

impl Free {
    fn new(len: usize) -> Self {
        Self(BTreeMap::from([(0, len)]))
    }

    /// The first range that is long enough.
    fn take(&mut self, len: usize) -> Option<usize> {
        let (&offset, &available) = self.0.iter().find(|(_, available)| **available >= len)?;
        self.0.remove(&offset);
        if available > len {
            self.0.insert(offset + len, available - len);
        }
        Some(offset)
    }

    fn give(&mut self, mut offset: usize, mut len: usize) {
        if let Some(after) = self.0.remove(&(offset + len)) {
            len += after;
        }
        if let Some((&before, &before_len)) = self.0.range(..offset).next_back()
            && before + before_len == offset
        {
            (offset, len) = (before, before_len + len);
        }
        self.0.insert(offset, len);
    }
}

/// What these locks guard is whole at every moment, so a panic of another thread does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was given back in any order is one range again.
    #[test]
    fn free_ranges_join() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut free = Free::new(10);
            let taken = [3, 3, 4].map(|len| (free.take(len).unwrap(), len));
            assert_eq!(free.take(1), None);
            for index in order {
                let (offset, len) = taken[index];
                free.give(offset, len);
            }
            assert_eq!(free.0, BTreeMap::from([(0, 10)]), "{order:?}");
        }
    }

    /// A chunk begins zero, also where another one left something; chunks do not overlap.
    #[test]
    fn chunks_begin_zero() {
        for _ in 0..3 {
            let chunks: Vec<Chunk> = (0..4).map(|_| Chunk::new(70_000).unwrap()).collect();
            for (index, chunk) in chunks.iter().enumerate() {
                let mut bytes = vec![1; chunk.len];
                assert_eq!(bytes.len(), 131_072);
                chunk.shared().read(0, &mut bytes);
                assert!(bytes.iter().all(|byte| *byte == 0), "chunk {index}");
                chunk.shared().write(0, &vec![index as u8 + 1; chunk.len]);
            }
            for (index, chunk) in chunks.iter().enumerate() {
                let mut bytes = vec![0; chunk.len];
                chunk.shared().read(0, &mut bytes);
                assert!(bytes.iter().all(|byte| *byte == index as u8 + 1));
            }
        }
        assert!(Chunk::new(usize::MAX).is_err());
        assert!(Chunk::new(ARENA_LEN + 1).is_err());
    }
}
