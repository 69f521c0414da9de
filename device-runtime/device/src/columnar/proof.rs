//! Whether a batch may run the 64-bit version of an entry point.

use nearside_programs::manifest::RangeStep;

/// All integers from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: i128,
    pub(super) high: i128,
}

impl Interval {
    /// What a column without values counts as.
    pub(super) const ZERO: Self = Self::point(0);

    pub(super) const fn point(value: i128) -> Self {
        Self { low: value, high: value }
    }

    fn fits_i64(self) -> bool {
        i64::try_from(self.low).is_ok() && i64::try_from(self.high).is_ok()
    }

    fn add(self, other: Self) -> Option<Self> {
        Some(Self { low: self.low.checked_add(other.low)?, high: self.high.checked_add(other.high)? })
    }

    fn sub(self, other: Self) -> Option<Self> {
        Some(Self { low: self.low.checked_sub(other.high)?, high: self.high.checked_sub(other.low)? })
    }

    fn mul(self, other: Self) -> Option<Self> {
        let corners = [
            self.low.checked_mul(other.low)?,
            self.low.checked_mul(other.high)?,
            self.high.checked_mul(other.low)?,
            self.high.checked_mul(other.high)?,
        ];
        let [first, rest @ ..] = corners;
        let start = Self::point(first);
        Some(rest.into_iter().fold(start, |hull, corner| hull.union(Self::point(corner))))
    }

    fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// Whether every interval the proof pushes fits 64 bits.
///
/// `column` and `parameter` give the range of what they name, or `None` if it has none (a float, an index out of range): then nothing
/// is proven. A malformed proof proves nothing either.
pub(super) fn holds(
    proof: &[RangeStep],
    column: impl Fn(u32) -> Option<Interval>,
    parameter: impl Fn(u32) -> Option<Interval>,
) -> bool {
    let mut stack = Vec::new();
    proof.iter().all(|step| advance(*step, &mut stack, &column, &parameter).is_some())
}

fn advance(
    step: RangeStep,
    stack: &mut Vec<Interval>,
    column: impl Fn(u32) -> Option<Interval>,
    parameter: impl Fn(u32) -> Option<Interval>,
) -> Option<()> {
    let pushed = match step {
        RangeStep::Column(index) => column(index)?,
        RangeStep::Parameter(slot) => parameter(slot)?,
        RangeStep::Constant(value) => Interval::point(i128::from(value)),
        RangeStep::Drop => {
            stack.pop()?;
            return Some(());
        }
        RangeStep::Add | RangeStep::Sub | RangeStep::Mul | RangeStep::Union => {
            let (b, a) = (stack.pop()?, stack.pop()?);
            match step {
                RangeStep::Add => a.add(b)?,
                RangeStep::Sub => a.sub(b)?,
                RangeStep::Mul => a.mul(b)?,
                _ => a.union(b),
            }
        }
    };
    stack.push(pushed);
    pushed.fits_i64().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use RangeStep::*;

    fn check(proof: &[RangeStep], columns: &[(i128, i128)]) -> bool {
        let interval = |&(low, high): &(i128, i128)| Interval { low, high };
        holds(proof, |index| columns.get(index as usize).map(interval), |slot| (slot == 0).then_some(Interval::point(100)))
    }

    /// The bounds of a product are among the corners, whatever the signs; one step beyond 64 bits and the proof fails.
    #[test]
    fn intervals() {
        let max = i128::from(i64::MAX);
        assert!(check(&[], &[]));
        assert!(check(&[Column(0)], &[(-max - 1, max)]));
        assert!(!check(&[Column(0)], &[(-max - 2, 0)]));
        assert!(check(&[Column(0), Constant(1), Add], &[(0, max - 1)]));
        assert!(!check(&[Column(0), Constant(1), Add], &[(0, max)]));
        assert!(check(&[Constant(1), Column(0), Sub], &[(-max + 1, 5)]));
        assert!(!check(&[Constant(1), Column(0), Sub], &[(-max, 5)]));
        assert!(check(&[Column(0), Column(1), Mul], &[(-3_000_000_000, 10), (-1, 3_000_000_000)]));
        assert!(!check(&[Column(0), Column(1), Mul], &[(-4_000_000_000, 10), (-1, 4_000_000_000)]));
        assert!(!check(&[Column(0), Column(0), Mul], &[(-max - 1, 0)]));
        assert!(check(&[Column(0), Parameter(0), Union, Drop], &[(0, 1)]));
    }

    /// What is malformed proves nothing.
    #[test]
    fn malformed_proofs_fail() {
        for proof in [&[Add][..], &[Constant(1), Mul], &[Drop], &[Column(7)], &[Parameter(3)]] {
            assert!(!check(proof, &[]), "{proof:?}");
        }
    }
}
