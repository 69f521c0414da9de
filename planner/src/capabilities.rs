//! What the device at hand offers to programs, as its `describe` says.

use std::collections::BTreeSet;

use nearside_programs::abi::helper::{HELPERS, Helper};

use crate::refusal::Refusal;

/// Helpers a program may call. Where byte code can do without, it does: numbers are filtered and added up without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Numbers of the helpers the device has.
    pub helpers: BTreeSet<u32>,
}

impl Capabilities {
    /// Every helper of the ABI.
    pub fn all() -> Self {
        Self { helpers: HELPERS.iter().map(|helper| helper.number).collect() }
    }

    /// No helper at all, not even an intrinsic.
    pub fn none() -> Self {
        Self { helpers: BTreeSet::new() }
    }

    /// Refuses unless the device has that helper.
    pub(crate) fn need(&self, helper: u32) -> Result<(), Refusal> {
        if self.helpers.contains(&helper) {
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
