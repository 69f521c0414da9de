//! What bounds a run's time.

/// How many more instructions a run may execute, as a bound.
///
/// A function's entry is charged the slots of the function; a jump to its own or an earlier slot is charged the slots from its target
/// to itself, both included, when it is taken. Between two backward jumps execution only moves forward, so **what is charged
/// is never less than the instructions executed**. A helper charges for the bytes or rows it will touch before it touches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuel(pub u64);

/// The budget does not cover a charge; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fuel used up")]
pub struct OutOfFuel;

impl Fuel {
    /// Takes `amount`, or nothing if less is left.
    ///
    /// # Errors
    /// Less than `amount` is left.
    pub fn charge(&mut self, amount: u64) -> Result<(), OutOfFuel> {
        self.0 = self.0.checked_sub(amount).ok_or(OutOfFuel)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A charge is taken whole or not at all.
    #[test]
    fn charges_are_all_or_nothing() {
        let mut fuel = Fuel(5);
        assert_eq!(fuel.charge(6), Err(OutOfFuel));
        assert_eq!(fuel, Fuel(5));
        assert_eq!(fuel.charge(5), Ok(()));
        assert_eq!(fuel, Fuel(0));
    }
}
