//! What the device at hand offers to programs, as its `describe` says.

use std::collections::BTreeSet;

use nearside_programs::abi::helper::{HELPERS, Helper};

use crate::refusal::Refusal;

/// Helpers a program may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Numbers of the helpers the device has.
    pub helpers: BTreeSet<u32>,
    /// `false`: do without vector helpers wherever byte code can (`SET nearside.vector_helpers = false`), so that any eBPF machine can run the program.
    /// Text and group keys need them all the same.
    pub vector_helpers: bool,
}

impl Capabilities {
    /// Every helper of the ABI.
    pub fn all() -> Self {
        Self { helpers: HELPERS.iter().map(|helper| helper.number).collect(), vector_helpers: true }
    }

    /// No helper at all, not even an intrinsic.
    pub fn none() -> Self {
        Self { helpers: BTreeSet::new(), vector_helpers: false }
    }

    /// Whether the device has every intrinsic of the 128-bit integers.
    pub(crate) fn has(&self, helper: u32) -> bool {
        self.helpers.contains(&helper)
    }

    /// Refuses unless the device has that helper.
    pub(crate) fn need(&self, helper: u32) -> Result<(), Refusal> {
        if self.has(helper) {
            return Ok(());
        }
        Err(Refusal::Helper { name: Helper::by_number(helper).map_or("unknown", |helper| helper.name) })
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::all()
    }
}
