//! The stack signal handlers run on. Ours needs little, but it may have to hand on a stack overflow.

use std::mem::MaybeUninit;
use std::ptr;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::check;

/// Enough for handlers we forward to, with the processor's whole vector state on top.
const LEN: usize = 256 << 10;

/// What an existing stack must have to be left alone.
const LEN_MIN: usize = 64 << 10;

/// Inaccessible bytes below: as large as any processor's page.
const GUARD_LEN: usize = 64 << 10;

/// Gives the calling thread an alternate signal stack, unless it has a large one.
pub(super) fn ensure() -> Result<(), i32> {
    thread_local! {
        static STACK: Result<Option<AlternateStack>, i32> = AlternateStack::install();
    }
    STACK.with(|stack| stack.as_ref().map(|_| ()).map_err(|&errno| errno))
}

/// Guard and stack, from low to high addresses.
struct AlternateStack {
    start: *mut u8,
}

impl AlternateStack {
    fn install() -> Result<Option<Self>, i32> {
        let mut old = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: asks for the stack in force; `old` is valid for the answer.
        check(unsafe { libc::sigaltstack(ptr::null(), old.as_mut_ptr()) })?;
        // SAFETY: filled in by the call above, and zero is valid in every field.
        let old = unsafe { old.assume_init() };
        if old.ss_flags & libc::SS_DISABLE == 0 && old.ss_size >= LEN_MIN {
            return Ok(None);
        }
        // SAFETY: the kernel picks the address, so no other mapping is touched.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), GUARD_LEN + LEN, ProtFlags::empty(), MapFlags::PRIVATE) };
        let stack = Self { start: start.map_err(rustix::io::Errno::raw_os_error)?.cast() };
        let top = stack.start.wrapping_add(GUARD_LEN).cast();
        // SAFETY: the upper part of the mapping made above, which nothing uses yet.
        unsafe { mprotect(top, LEN, MprotectFlags::READ | MprotectFlags::WRITE) }.map_err(rustix::io::Errno::raw_os_error)?;
        let new = libc::stack_t { ss_sp: top, ss_flags: 0, ss_size: LEN };
        // SAFETY: the memory is writable and stays until the thread ends, when `drop` takes it out of use first.
        check(unsafe { libc::sigaltstack(&raw const new, ptr::null_mut()) })?;
        Ok(Some(stack))
    }
}

impl AlternateStack {
    fn is_in_force(&self) -> bool {
        let mut current = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: asks for the stack in force; `current` is valid for the answer.
        let asked = check(unsafe { libc::sigaltstack(ptr::null(), current.as_mut_ptr()) });
        // SAFETY: filled in by the call above, and zero is valid in every field.
        let current = unsafe { current.assume_init() };
        asked.is_ok() && current.ss_sp == self.start.wrapping_add(GUARD_LEN).cast()
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        if !self.is_in_force() {
            // Somebody else's by now; where ours is cannot be told, so it stays mapped.
            return;
        }
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the thread ends; handlers run on its own stack until it has.
        unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        // SAFETY: the mapping `install` made, no longer in use.
        let unmapped = unsafe { munmap(self.start.cast(), GUARD_LEN + LEN) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
