//! An input as a sequence of choices.

use rand::RngCore;

/// Answers a generator's questions from an input, front to back: two bytes for a small choice, eight for a number. After the last byte every
/// answer is zero, so that any input is a whole sequence, and near inputs make near programs.
#[derive(Debug)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// The choices in an input.
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut taken = [0; LEN];
        self.fill_bytes(&mut taken);
        taken
    }
}

impl RngCore for Choices<'_> {
    fn next_u32(&mut self) -> u32 {
        // Ranges are chosen from by the high bits.
        u32::from(u16::from_le_bytes(self.take())) * 0x1_0001
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        let (taken, rest) = self.0.split_at(out.len().min(self.0.len()));
        out[..taken.len()].copy_from_slice(taken);
        out[taken.len()..].fill(0);
        self.0 = rest;
    }
}
