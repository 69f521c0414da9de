//! What is measured.

use anyhow::Result;

/// A kind of sandbox.
pub(super) trait Subject {
    /// A compiled program that others share.
    type Program;
    /// With parameters, maps and state, in no cage.
    type Instance;
    /// What a worker keeps for all instances it calls.
    type Worker;

    fn name(&self) -> &'static str;

    /// Reads the object, verifies and compiles its program.
    fn load(&self) -> Result<Self::Program>;

    fn worker(&self) -> Result<Self::Worker>;

    fn instance(&self, program: &Self::Program) -> Result<Self::Instance>;

    /// Puts the instance into a cage, runs the program once over the same small input, and takes it out again.
    fn call(&self, program: &Self::Program, worker: &mut Self::Worker, instance: Self::Instance) -> Result<Self::Instance>;

    /// What all calls of an instance came to: [`Subject::once`] for each.
    fn result(&self, instance: Self::Instance) -> Result<u64>;

    /// The result of one call.
    fn once(&self) -> u64;
}
