//! One build of the engine's bench: runs each step on every machine it has, when it is told to.
//!
//! `cargo bench -p nearside-benches --bench engine` builds this twice, for any processor and for this one, and drives both in turns: see [`serve`] for
//! what they say to each other. A [`steps::Step`] is what is run, a [`machine::Machine`] is one way to run it. x86-64 only, as some peers are.

mod arena;
mod columns;
mod compile;
mod data;
mod machine;
mod native;
mod opaque;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod planned;
mod serve;
mod steps;

/// As `nearsided` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    serve::serve()
}
