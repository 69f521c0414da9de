//! What an execution read, moved, computed and saved.
//!
//! [`Work`] is counts: the same for any number of threads and any machine. [`Timing`] is measured. The ledger is the one source of
//! `EXPLAIN ANALYZE`, of metrics, and the simulator's input.

use serde::{Deserialize, Serialize};

use crate::request::MorselId;

/// The account of one execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Counts.
    pub work: Work,
    /// Measurements.
    pub timing: Timing,
}

/// What was done, exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// A record a morsel, sorted by [`MorselId`].
    pub morsels: Vec<Morsel>,
    /// Footer and index bytes read, over all objects.
    pub metadata_bytes: u64,
    /// Arrow bytes of all result batches.
    pub returned_bytes: u64,
    /// Rows of all result batches.
    pub returned_rows: u64,
    /// Executions per basic block, if they were asked for, by ascending slot: (first slot, executions, instructions in the block).
    pub blocks: Vec<(u32, u64, u32)>,
}

/// What became of one row group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Morsel {
    /// Which.
    pub id: MorselId,
    /// Rows in the row group.
    pub rows: u64,
    /// Compressed bytes of the needed columns in the row group.
    pub bytes_eligible: u64,
    /// Of those, what statistics, bloom filters or page indexes made needless.
    pub bytes_pruned: u64,
    /// Bytes read from the medium.
    pub bytes_read: u64,
    /// Arrow bytes that decoding produced.
    pub bytes_decoded: u64,
    /// Rows that page pruning left.
    pub rows_considered: u64,
    /// Rows that all conjuncts selected.
    pub rows_selected: u64,
    /// Calls of entry points.
    pub calls: u64,
    /// Of those, calls of a 64-bit (narrow) version.
    pub narrow_calls: u64,
    /// Calls of vector helpers.
    pub helper_calls: u64,
    /// Fuel used.
    pub fuel: u64,
}

/// What it took. Sums over workers, except `wall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// First request to last event.
    pub wall_ns: u64,
    /// Waiting for the medium.
    pub read_ns: u64,
    /// Decompression and decoding.
    pub decode_ns: u64,
    /// Byte code, without helpers.
    pub bytecode_ns: u64,
    /// Vector helpers.
    pub helper_ns: u64,
    /// Copies into the cage, compaction, building of results.
    pub assemble_ns: u64,
}

impl Ledger {
    /// Adds another execution's account to this one.
    pub fn merge(&mut self, other: &Self) {
        self.work.morsels.extend(other.work.morsels.iter().cloned());
        self.work.morsels.sort_by_key(|morsel| morsel.id);
        self.work.metadata_bytes += other.work.metadata_bytes;
        self.work.returned_bytes += other.work.returned_bytes;
        self.work.returned_rows += other.work.returned_rows;
        for &(slot, executions, instructions) in &other.work.blocks {
            match self.work.blocks.binary_search_by_key(&slot, |block| block.0) {
                Ok(index) => self.work.blocks[index].1 += executions,
                Err(index) => self.work.blocks.insert(index, (slot, executions, instructions)),
            }
        }
        self.timing.wall_ns = self.timing.wall_ns.max(other.timing.wall_ns);
        self.timing.read_ns += other.timing.read_ns;
        self.timing.decode_ns += other.timing.decode_ns;
        self.timing.bytecode_ns += other.timing.bytecode_ns;
        self.timing.helper_ns += other.timing.helper_ns;
        self.timing.assemble_ns += other.timing.assemble_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of one program add up by slot, and stay sorted.
    #[test]
    fn blocks_add_up() {
        let ledger = |blocks: &[(u32, u64, u32)]| Ledger {
            work: Work { blocks: blocks.to_vec(), ..Work::default() },
            ..Ledger::default()
        };
        let mut sum = ledger(&[(2, 5, 3), (9, 1, 1)]);
        sum.merge(&ledger(&[(0, 1, 2), (2, 10, 3), (4, 7, 5)]));
        assert_eq!(sum.work.blocks, [(0, 1, 2), (2, 15, 3), (4, 7, 5), (9, 1, 1)]);
    }
}
