//! One allocation that has everything a step works on, so that machines which know only one slice of memory work in place.
#![expect(unsafe_code, reason = "columns are looked at as Arrow buffers and as a program's memory")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow::buffer::Buffer;

/// Where an arena begins: a page, so that columns lie to each other as they would anywhere.
const ALIGNMENT: usize = 4096;

/// Bytes that are fetched together.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

/// Zeroed memory on the heap.
///
/// Machines run one after the other in one thread. Each makes its view when it runs and keeps none; the Arrow buffers are of columns, which no program writes.
pub(crate) struct Arena {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory of no thread in particular.
unsafe impl Send for Arena {}
// SAFETY: as above; the child that has arenas has one thread.
unsafe impl Sync for Arena {}

impl std::panic::RefUnwindSafe for Arena {}

impl Arena {
    pub(crate) fn new(len: usize) -> Result<Self> {
        let layout = Layout::from_size_align(len, ALIGNMENT)?;
        ensure!(len > 0, "an arena of no bytes");
        // SAFETY: the layout has a size.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Ok(Self { start, len })
    }

    /// Where a machine without a cage finds it.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: allocated and zeroed with this length; writers are done when anybody reads, see the type.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// All of it, for as long as a machine runs.
    pub(crate) fn view(&self) -> *mut [u8] {
        std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len)
    }

    /// Bytes to write, for whoever runs.
    pub(crate) fn with<R>(&self, range: Range<usize>, write: impl FnOnce(&mut [u8]) -> R) -> R {
        assert!(range.end <= self.len && range.start <= range.end);
        let start = self.start.as_ptr().wrapping_add(range.start);
        // SAFETY: in bounds, and nobody else runs, see the type.
        write(unsafe { std::slice::from_raw_parts_mut(start, range.len()) })
    }

    /// Has the processor fetch these bytes, while somebody works on others.
    #[cfg_attr(not(target_arch = "x86_64"), expect(clippy::unused_self, reason = "no stable intrinsic to ask with"))]
    pub(crate) fn fetch(&self, range: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        for line in range.step_by(CACHE_LINE) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.start.as_ptr().wrapping_add(line).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        drop(range);
    }

    /// A column as Arrow has it.
    pub(crate) fn buffer(self: &Arc<Self>, range: Range<usize>) -> Buffer {
        assert!(range.end <= self.len && range.start <= range.end);
        let start = self.start.map_addr(|address| address.saturating_add(range.start));
        // SAFETY: in bounds, and the arena lives as long as its owner; columns are not written once there are buffers of them.
        unsafe { Buffer::from_custom_allocation(start, range.len(), Arc::<Self>::clone(self)) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(self.len, ALIGNMENT).expect("it was one in `new`");
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), layout) };
    }
}
