//! Panics of code that reads bytes nobody vouches for: caught, answered as errors, and kept off standard error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// A panic on this thread now would be answered as an error.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics over corrupt objects from being printed. For binaries, once, at their start: every other panic goes to the hook that is
/// installed when this is called.
pub fn hush_expected_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                previous(panic);
            }
        }));
    });
}

/// The result, or `None` if it panicked, which [`hush_expected_panics`] keeps quiet. Whatever the closure was changing must not be used then.
pub fn catch_expected_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = EXPECTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    EXPECTED.set(before);
    result
}
