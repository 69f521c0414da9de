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
