//! The `packet` target: runs an XDP program over one packet after another.
//!
//! A [`PacketCage`] is a worker's memory for it: a read-only context, whose 32-bit fields simply are cage addresses, and a buffer with head and tail room, zero
//! before every packet. [`PacketCage::run`] puts a packet in, runs the program and tells what became of it ([`Verdict`]); the packet as the program left it is
//! [`PacketCage::packet`]. [`Environment`] is what of the world a program sees beside packets and maps: clocks, CPU number, random numbers, a log. Helpers do
//! what the kernel's do, errors included. Not here: where packets come from and go to.

mod checksum;
mod environment;
mod frame;
mod helpers;
mod print;
mod redirect;

use std::sync::Arc;

use nearside_programs::abi::packet::{Action, BUFFER_LEN, HEADROOM, PACKET_LEN_MAX};

use crate::cage::{Cage, CageError};
use crate::fuel::Fuel;
use crate::maps::Maps;
use crate::memory::{Access, REGION_UNIT, Region};
use crate::module::Module;
use crate::trap::Trap;
pub use environment::{Clock, Environment};
use frame::Frame;
use helpers::PacketHelpers;
pub use redirect::Redirect;

/// Where the context is.
const CONTEXT: u32 = REGION_UNIT;
/// Where the buffer is.
const BUFFER: u32 = 2 * REGION_UNIT;
/// Most bytes of a buffer, in whole units.
const BUFFER_LEN_MAX: u32 = (HEADROOM + PACKET_LEN_MAX).next_multiple_of(REGION_UNIT);
/// Regions, by index.
const CONTEXT_REGION: usize = 0;
const BUFFER_REGION: usize = 1;

/// A packet as it came, and where from.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// From the Ethernet header on; at most [`PACKET_LEN_MAX`] bytes.
    pub bytes: &'a [u8],
    /// Index of the interface.
    pub ingress_ifindex: u32,
    /// Receive queue of the interface.
    pub rx_queue_index: u32,
}

/// The packet does not fit into any buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {len} bytes; the limit is {limit}", limit = PACKET_LEN_MAX)]
pub struct PacketTooLong {
    /// Its bytes.
    pub len: usize,
}

/// Why a packet was not run.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// It is too long.
    #[error(transparent)]
    TooLong(#[from] PacketTooLong),
    /// The system has no memory for it.
    #[error(transparent)]
    Cage(#[from] CageError),
}

/// Which of the two ways to run a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As the module was compiled.
    Run,
    /// In the interpreter, counting instructions.
    Count,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the program returned, or how it ended otherwise.
    pub result: Result<u32, Trap>,
    /// Where to, if `redirect` or `redirect_map` said so last.
    pub redirect: Option<Redirect>,
    /// Instructions executed, an `lddw` as one; only from [`Mode::Count`].
    pub instructions: Option<u64>,
}

impl Verdict {
    /// The action to take: as in the kernel, a program that returns no action has failed, and so has one that ended in a trap.
    pub fn action(&self) -> Action {
        self.result.ok().and_then(Action::by_number).unwrap_or(Action::Aborted)
    }
}

/// Memory for one packet at a time.
#[derive(Debug)]
pub struct PacketCage {
    cage: Cage,
    frame: Frame,
}

impl PacketCage {
    /// Reserves a cage.
    ///
    /// # Errors
    /// The system has no memory or address space left.
    pub fn new() -> Result<Self, CageError> {
        let region = |start, reserved, access| Region { start, len: REGION_UNIT, reserved, access };
        let cage =
            Cage::new(&[region(CONTEXT, REGION_UNIT, Access::ReadOnly), region(BUFFER, BUFFER_LEN_MAX, Access::ReadWrite)])?;
        Ok(Self { cage, frame: Frame::new(CONTEXT, BUFFER, 0) })
    }

    /// Gives programs these maps, see [`Cage::attach`].
    ///
    /// # Errors
    /// The system refused.
    pub fn attach(&mut self, maps: &Arc<Maps>) -> Result<(), CageError> {
        self.cage.attach(maps)
    }

    /// Takes the maps away, see [`Cage::detach`].
    ///
    /// # Errors
    /// The system refused.
    pub fn detach(&mut self) -> Result<(), CageError> {
        self.cage.detach()
    }

    /// Runs entry point `entry` of a module over a packet.
    ///
    /// # Errors
    /// The packet was not run. What goes wrong in the program is part of the verdict.
    pub fn run(
        &mut self,
        module: &Module,
        entry: u32,
        packet: Packet<'_>,
        fuel: &mut Fuel,
        environment: &mut Environment,
        mode: Mode,
    ) -> Result<Verdict, PacketError> {
        self.load(packet)?;
        let mut helpers = PacketHelpers::new(&mut self.frame, environment);
        let arguments = [u64::from(CONTEXT), 0, 0, 0, 0];
        let (result, instructions) = match mode {
            Mode::Run => (module.run(&mut self.cage, entry, arguments, fuel, &mut helpers), None),
            Mode::Count => {
                let counted = module.run_counting(&mut self.cage, entry, arguments, fuel, &mut helpers);
                (counted.result, Some(counted.blocks.iter().map(|block| block.instructions).sum()))
            }
        };
        let redirect = helpers.redirect();
        Ok(Verdict { result: result.map(|r0| r0 as u32), redirect, instructions })
    }

    /// The packet as the last program left it.
    pub fn packet(&self) -> &[u8] {
        let Frame { data, data_end, .. } = self.frame;
        self.bytes(data, data_end)
    }

    /// The metadata that the last program left before it.
    pub fn metadata(&self) -> &[u8] {
        let Frame { data_meta, data, .. } = self.frame;
        self.bytes(data_meta, data)
    }

    fn bytes(&self, start: u32, end: u32) -> &[u8] {
        &self.cage.region(BUFFER_REGION)[(start - BUFFER) as usize..(end - BUFFER) as usize]
    }

    fn load(&mut self, packet: Packet<'_>) -> Result<(), PacketError> {
        let len = packet.bytes.len();
        let fits = u32::try_from(len).ok().filter(|len| *len <= PACKET_LEN_MAX).ok_or(PacketTooLong { len })?;
        self.cage.grow(BUFFER_REGION, (HEADROOM + fits).max(BUFFER_LEN).next_multiple_of(REGION_UNIT))?;
        self.frame = Frame::new(CONTEXT, BUFFER, fits);
        let buffer = self.cage.region_mut(BUFFER_REGION);
        // A program may have written anywhere in it.
        buffer.fill(0);
        buffer[HEADROOM as usize..][..len].copy_from_slice(packet.bytes);
        let context = self.frame.context(packet.ingress_ifindex, packet.rx_queue_index);
        self.cage.region_mut(CONTEXT_REGION)[..context.len()].copy_from_slice(&context);
        Ok(())
    }
}
