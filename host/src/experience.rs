//! What fragments came to when devices ran them: the cost model's feedback.
//!
//! An estimate of what a filter leaves or how many groups there are can be far off; what happened is in the ledger. A fragment is remembered with its
//! literals and files, so that another constant is another fragment.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use datafusion::datasource::physical_plan::FileScanConfig;

use nearside_device::ledger::Work;

use crate::program::Program;

/// Fragments remembered; then all are forgotten.
const FRAGMENTS_MAX: usize = 4096;

/// The memory of one device.
#[derive(Debug, Default)]
pub(crate) struct Experience {
    outcomes: Mutex<HashMap<FragmentKey, Outcome>>,
}

/// A fragment with its literals, over certain files. Two with the same key only share an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FragmentKey(u64);

/// Bytes, as the ledger counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of the result, as Arrow.
    pub returned: u64,
    /// Of the columns it was made of, as Parquet; without what statistics prune, for the host as well.
    pub spared: u64,
}

impl FragmentKey {
    pub(crate) fn new(program: &Program, fetch: Option<usize>, scan: &FileScanConfig) -> Self {
        let mut hasher = DefaultHasher::new();
        program.fragment.to_string().hash(&mut hasher);
        fetch.hash(&mut hasher);
        for file in scan.file_groups.iter().flat_map(|group| group.iter()) {
            (file.object_meta.location.as_ref(), file.object_meta.size).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

impl Outcome {
    /// What an execution came to.
    pub(crate) fn of(work: &Work) -> Self {
        let spared = work.morsels.iter().map(|morsel| morsel.bytes_eligible.saturating_sub(morsel.bytes_pruned)).sum();
        Self { returned: work.returned_bytes, spared }
    }
}

impl Experience {
    /// What became of it before; executions further back count less.
    pub(crate) fn of(&self, fragment: FragmentKey) -> Option<Outcome> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).get(&fragment).copied()
    }

    /// A partition of it came to that.
    pub(crate) fn remember(&self, fragment: FragmentKey, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if outcomes.len() >= FRAGMENTS_MAX && !outcomes.contains_key(&fragment) {
            outcomes.clear();
        }
        let before = outcomes.entry(fragment).or_insert(outcome);
        let mean = |before: u64, now: u64| before / 2 + now / 2;
        *before = Outcome { returned: mean(before.returned, outcome.returned), spared: mean(before.spared, outcome.spared) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens last counts most, and memory has a bound.
    #[test]
    fn later_outcomes_count_more() {
        let (experience, fragment) = (Experience::default(), FragmentKey(1));
        assert_eq!(experience.of(fragment), None);
        experience.remember(fragment, Outcome { returned: 100, spared: 1000 });
        assert_eq!(experience.of(fragment), Some(Outcome { returned: 100, spared: 1000 }));
        for _ in 0..20 {
            experience.remember(fragment, Outcome { returned: 4000, spared: 1000 });
        }
        assert!(experience.of(fragment).is_some_and(|outcome| outcome.returned > 3900 && outcome.spared >= 980));
        for other in 2..=FRAGMENTS_MAX as u64 + 1 {
            experience.remember(FragmentKey(other), Outcome { returned: 0, spared: 0 });
        }
        assert_eq!(experience.of(fragment), None);
    }
}
