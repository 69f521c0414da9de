//! `csum_diff`: the difference that a change makes to an Internet checksum (RFC 1624).

use super::helpers::{Result, bytes_cost, copied};
use crate::fuel::Fuel;
use crate::memory::Memory;

/// Two pieces of memory, and a sum to begin with.
pub(super) struct Change {
    from: u64,
    from_len: u32,
    to: u64,
    to_len: u32,
    seed: u32,
}

impl Change {
    /// From r1 to r5.
    pub(super) fn new([from, from_len, to, to_len, seed]: [u64; 5]) -> Self {
        Self { from, from_len: from_len as u32, to, to_len: to_len as u32, seed: seed as u32 }
    }
}

/// `csum_diff(from, from_len, to, to_len, seed)`: seed - sum(from) + sum(to), in 16 bits. (The kernel's before Linux 6.13 returned 32 bits that fold to these.)
pub(super) fn csum_diff(change: &Change, memory: &Memory<'_>, fuel: &mut Fuel) -> Result {
    let Change { from, from_len, to, to_len, seed } = *change;
    fuel.charge(bytes_cost(u64::from(from_len) + u64::from(to_len)))?;
    let mut sum = seed;
    if to_len > 0 {
        sum = add(sum, sum_of(&copied(to, to_len as usize, memory)?));
    }
    if from_len > 0 {
        sum = add(sum, !sum_of(&copied(from, from_len as usize, memory)?));
    }
    Ok(fold(sum).into())
}

/// Ones' complement addition: what leaves at the top comes back at the bottom.
fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u32::from(carry)
}

fn sum_of(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0, |sum, word| add(sum, u32::from_le_bytes(*word)))
}

/// To 16 bits; only 0 becomes 0.
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_ones_complement() {
        assert_eq!(add(u32::MAX, 1), 1);
        assert_eq!(add(u32::MAX, u32::MAX), u32::MAX);
        assert_eq!(sum_of(&[1, 0, 0, 0, 2, 0, 0, 0]), 3);
        assert_eq!(sum_of(&[1, 0, 0, 0, 2]), 3);
        assert_eq!([0, 0xffff, 0x1_0000, 0xffff_ffff, 0x8000_8000].map(fold), [0, 0xffff, 1, 0xffff, 1]);
    }
}
