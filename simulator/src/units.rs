//! Virtual time and rates, so that a unit is in the type.

use std::fmt;
use std::iter::Sum;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point in, or a span of, virtual time. Saturates at about 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// A rate per second of bytes or fuel; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerSecond(pub NonZeroU64);

impl PerSecond {
    /// How long `amount` takes, rounded up to the nanosecond.
    pub fn time_for(self, amount: u64) -> Nanos {
        let nanos = (u128::from(amount) * 1_000_000_000).div_ceil(u128::from(self.0.get()));
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.0 as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time rounds up and does not wrap.
    #[test]
    fn time_rounds_up_and_saturates() {
        let rate = |n| PerSecond(NonZeroU64::new(n).unwrap());
        assert_eq!(rate(1_000_000_000).time_for(7), Nanos(7));
        assert_eq!(rate(3).time_for(1), Nanos(333_333_334));
        assert_eq!(rate(1).time_for(u64::MAX), Nanos(u64::MAX));
        assert_eq!(Nanos(u64::MAX) + Nanos(1), Nanos(u64::MAX));
    }
}
