//! What generated code checks at run time.

/// Everything, in every build but that of the engine's bench; see `unchecked.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checks {
    /// Addresses are 32 bits, within the cage; otherwise they are the processor's own.
    pub(crate) cage: bool,
    /// Fuel is charged.
    pub(crate) fuel: bool,
}

impl Checks {
    pub(crate) const ALL: Self = Self { cage: true, fuel: true };
}

/// How a program is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) checks: Checks,
    /// Loops of one block as `translate/turns.rs` has them; otherwise like any other code.
    pub(super) turns: bool,
}
