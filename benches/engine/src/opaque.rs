//! What keeps rustc from vectorising.
#![expect(unsafe_code, reason = "an empty piece of assembly")]

use std::arch::asm;

/// The same value, in a general register, and the compiler knows nothing of it. Costs nothing.
#[inline(always)]
pub(crate) fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instructions.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}
