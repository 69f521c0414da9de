//! Nothing a stranger says may cost unbounded memory.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `work` with at most `limit` bytes more than are allocated now, over all threads; the allocation that would be one too many fails, which
/// ends the process: a finding. What is mapped, as cages are, does not count.
///
/// # Panics
/// Two limits at a time.
pub(crate) fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    set_limit(ALLOCATOR.allocated().saturating_add(limit));
    let result = work();
    set_limit(usize::MAX);
    result
}

fn set_limit(limit: usize) {
    assert!(ALLOCATOR.set_limit(limit).is_ok(), "something else allocates meanwhile");
}
