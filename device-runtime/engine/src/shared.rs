//! Bytes that programs in several cages and the host use at the same time.
//!
//! **Races are defined.** All Rust code, the interpreter included, reaches these bytes through this page, and this page touches them
//! only as whole, aligned, atomic words of 8 bytes: a narrower store exchanges the word around it. So no two accesses of Rust
//! ever differ in size, which its memory model would not define. Generated code and other processors mix sizes, as machine code may;
//! an exchange never loses their neighbouring bytes. What is torn or stale is one of the values somebody wrote, never more.

use std::sync::atomic::{AtomicU64, Ordering};

use nearside_programs::isa::Size;

/// Bytes of a word.
const WORD: usize = 8;

/// A range of shared bytes. Offsets are in bytes; one beyond the end is a bug of the caller, who checks, and panics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<'a>(&'a [AtomicU64]);

impl<'a> Shared<'a> {
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Copies bytes out. Words that somebody changes meanwhile may be torn from each other, never within.
    pub(crate) fn read(self, offset: usize, bytes: &mut [u8]) {
        let (mut word, mut skip, mut rest) = (offset / WORD, offset % WORD, bytes);
        while !rest.is_empty() {
            let len = rest.len().min(WORD - skip);
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&self.0[word].load(Ordering::Relaxed).to_le_bytes()[skip..skip + len]);
            (word, skip, rest) = (word + 1, 0, later);
        }
    }

    /// Copies bytes in, word by word.
    pub(crate) fn write(self, offset: usize, bytes: &[u8]) {
        let (mut word, mut skip, mut rest) = (offset / WORD, offset % WORD, bytes);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(WORD - skip));
            let mut value = [0; WORD];
            value[skip..skip + now.len()].copy_from_slice(now);
            self.put(word, u64::from_le_bytes(value), mask(skip, now.len()));
            (word, skip, rest) = (word + 1, 0, later);
        }
    }

    /// Makes bytes zero.
    pub(crate) fn zero(self, offset: usize, len: usize) {
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let skip = at % WORD;
            let count = (end - at).min(WORD - skip);
            self.put(at / WORD, 0, mask(skip, count));
            at += count;
        }
    }

    /// What a load instruction of any alignment loads.
    pub(crate) fn load(self, offset: usize, size: Size) -> u64 {
        let mut value = [0; WORD];
        self.read(offset, &mut value[..size.bytes() as usize]);
        u64::from_le_bytes(value)
    }

    /// What a store instruction of any alignment does.
    pub(crate) fn store(self, offset: usize, size: Size, value: u64) {
        self.write(offset, &value.to_le_bytes()[..size.bytes() as usize]);
    }

    /// An atomic operation on 4 or 8 aligned bytes, ordered before and after everything else; returns what was there.
    pub(crate) fn update(self, offset: usize, size: Size, new: impl Fn(u64) -> u64) -> u64 {
        let (len, skip) = (size.bytes() as usize, offset % WORD);
        debug_assert!(offset.is_multiple_of(len));
        let (mask, shift) = (mask(skip, len), 8 * skip);
        let replace = |word: u64| Some(word & !mask | new((word & mask) >> shift) << shift & mask);
        let (Ok(old) | Err(old)) = self.0[offset / WORD].fetch_update(Ordering::SeqCst, Ordering::SeqCst, replace);
        (old & mask) >> shift
    }

    /// Replaces the bytes of a word that `mask` covers.
    fn put(self, word: usize, value: u64, mask: u64) {
        let word = &self.0[word];
        if mask == u64::MAX {
            return word.store(value, Ordering::Relaxed);
        }
        // Never fails: the closure always has a new word.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(old & !mask | value & mask));
    }
}

/// Ones where a word has bytes `skip..skip + len`; `len` is not 0.
fn mask(skip: usize, len: usize) -> u64 {
    u64::MAX >> (64 - 8 * len) << (8 * skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every offset and length: the bytes asked for change, and no others.
    #[test]
    fn ranges_of_every_alignment() {
        for offset in 0..17 {
            for len in 0..24 {
                let words: Vec<AtomicU64> = (0..6).map(|_| AtomicU64::new(u64::MAX)).collect();
                let shared = Shared::new(&words);
                let bytes: Vec<u8> = (1..=len as u8).collect();
                shared.write(offset, &bytes);
                let mut all = [0; 48];
                shared.read(0, &mut all);
                let mut expected = [0xff; 48];
                expected[offset..offset + len].copy_from_slice(&bytes);
                assert_eq!(all, expected, "{offset} {len}");
                let mut again = vec![0; len];
                shared.read(offset, &mut again);
                assert_eq!(again, bytes);
                shared.zero(offset, len);
                shared.read(0, &mut all);
                expected[offset..offset + len].fill(0);
                assert_eq!(all, expected, "{offset} {len}");
            }
        }
    }

    /// An operation on half a word leaves the other half alone, and returns only its own.
    #[test]
    fn atomic_halves() {
        let words = [AtomicU64::new(0x1111_2222_3333_4444)];
        let shared = Shared::new(&words);
        assert_eq!(shared.update(4, Size::W, |old| old.wrapping_add(0xf000_0000)), 0x1111_2222);
        assert_eq!(shared.update(0, Size::W, |_| 0x5_0000_0007), 0x3333_4444);
        assert_eq!(shared.update(0, Size::D, |old| old), 0x0111_2222_0000_0007);
    }
}
