//! What the device at hand offers to programs, as its `describe` says.

use std::collections::BTreeSet;

use nearside_programs::abi::helper::{
    BITMAP_COMBINE, BITMAP_COUNT, BITMAP_NEGATE, COLUMN_BETWEEN, COLUMN_COMPARE, COLUMN_COMPARE_COLUMNS, COLUMN_GATHER,
    COLUMN_MAX, COLUMN_MIN, COLUMN_SUM, GROUP_COUNT, GROUP_MAX, GROUP_MIN, GROUP_SUM, GROUP_SUM_PRODUCTS, HELPERS, Helper,
};

use crate::refusal::Refusal;

/// Vector helpers whose work byte code does where a device lacks them.
const REPLACEABLE: [u32; 15] = [
    COLUMN_COMPARE,
    COLUMN_BETWEEN,
    COLUMN_COMPARE_COLUMNS,
    BITMAP_COMBINE,
    BITMAP_NEGATE,
    BITMAP_COUNT,
    COLUMN_SUM,
    COLUMN_MIN,
    COLUMN_MAX,
    COLUMN_GATHER,
    GROUP_COUNT,
    GROUP_SUM,
    GROUP_SUM_PRODUCTS,
    GROUP_MIN,
    GROUP_MAX,
];

/// Helpers a program may call. Numbers are compared by helpers where there are some, else by byte code; whatever else has no substitute is refused.
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

    /// Without the vector helpers that byte code can do without: those that compare columns, combine bitmaps and add up.
    ///
    /// What is compiled for the rest runs on any eBPF machine that has group ids and string search.
    pub fn without_vector_helpers(&self) -> Self {
        Self { helpers: self.helpers.difference(&REPLACEABLE.into()).copied().collect() }
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
