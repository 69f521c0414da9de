//! How long things take, without asking the clock all the time: two readings cost as much as a hundred rows in a vector helper.

use std::time::Instant;

/// Calls of a worker that are all timed.
const TIMED_AT_FIRST: u64 = 64;

/// Of later calls, one in so many is timed, and counts for all of them: a prime, so that no entry point has all the luck.
const TIMED_ONE_IN: u64 = 31;

/// Times a call, or does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    /// Calls that this one stands for; 0: it is not timed.
    weight: u64,
}

impl Stopwatch {
    /// For the call with that number.
    pub(super) fn of_call(number: u64) -> Self {
        let weight = match number {
            ..TIMED_AT_FIRST => 1,
            number if number.is_multiple_of(TIMED_ONE_IN) => TIMED_ONE_IN,
            _ => 0,
        };
        Self { weight }
    }

    pub(super) fn begin(self) -> Option<Instant> {
        (self.weight > 0).then(Instant::now)
    }

    /// Nanoseconds since `begin`, of all calls that this one stands for.
    pub(super) fn end(self, begin: Option<Instant>) -> u64 {
        begin.map_or(0, |begin| begin.elapsed().as_nanos() as u64 * self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over many calls, the weights add up to as many calls.
    #[test]
    fn weights_add_up() {
        let calls = TIMED_AT_FIRST + 100 * TIMED_ONE_IN;
        let weights: u64 = (0..calls).map(|number| Stopwatch::of_call(number).weight).sum();
        assert!(weights.abs_diff(calls) < TIMED_ONE_IN, "{weights} for {calls}");
        assert!((0..TIMED_AT_FIRST).all(|number| Stopwatch::of_call(number).weight == 1));
    }
}
