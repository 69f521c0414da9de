//! The kernel's helpers for packet programs: one function each, found by number.

use nearside_programs::abi::helper;

use super::environment::Environment;
use super::frame::{Frame, Transfer};
use super::redirect::{self, Redirect};
use crate::fuel::Fuel;
use crate::helpers::{HelperFault, Helpers};
use crate::maps::MapHelpers;
use crate::memory::Memory;

pub(super) type Result = std::result::Result<u64, HelperFault>;

/// `EACCES`.
pub(super) const ACCESS: i32 = 13;
/// `EFAULT`.
pub(super) const FAULT: i32 = 14;
/// `EINVAL`.
pub(super) const INVALID: i32 = 22;

/// What a helper returns that the kernel's refuses.
pub(super) fn errno(error: i32) -> Result {
    Ok(i64::from(-error) as u64)
}

/// Fuel for touching so many bytes.
pub(super) fn bytes_cost(len: u64) -> u64 {
    len.div_ceil(8)
}

/// A copy of a program's bytes, be they the cage's own or a map's.
pub(super) fn copied(address: u64, len: usize, memory: &Memory<'_>) -> std::result::Result<Vec<u8>, HelperFault> {
    memory.check_load(address, len)?;
    let mut bytes = vec![0; len];
    memory.copy_out(address, &mut bytes)?;
    Ok(bytes)
}

/// The helpers of one run over one packet.
#[derive(Debug)]
pub(super) struct PacketHelpers<'a> {
    frame: &'a mut Frame,
    environment: &'a mut Environment,
    maps: MapHelpers,
    redirect: Option<Redirect>,
}

impl<'a> PacketHelpers<'a> {
    pub(super) fn new(frame: &'a mut Frame, environment: &'a mut Environment) -> Self {
        let maps = MapHelpers::new(environment.cpu);
        Self { frame, environment, maps, redirect: None }
    }

    /// What the last of `redirect` and `redirect_map` said.
    pub(super) fn redirect(&self) -> Option<Redirect> {
        self.redirect
    }

    /// The packet, if r1 is its context.
    fn frame(&mut self, context: u64) -> std::result::Result<&mut Frame, HelperFault> {
        if self.frame.is_context(context) { Ok(self.frame) } else { Err(HelperFault::Argument { index: 1, value: context }) }
    }
}

impl Helpers for PacketHelpers<'_> {
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        let [context, a, b, c, _] = arguments;
        match number {
            helper::XDP_ADJUST_HEAD => self.frame(context)?.adjust_head(a, memory, fuel),
            helper::XDP_ADJUST_META => self.frame(context)?.adjust_meta(a, memory),
            helper::XDP_ADJUST_TAIL => self.frame(context)?.adjust_tail(a, memory, fuel),
            helper::XDP_GET_BUFF_LEN => Ok(self.frame(context)?.len().into()),
            helper::XDP_LOAD_BYTES => self.frame(context)?.load_bytes(Transfer::new(a, b, c), memory, fuel),
            helper::XDP_STORE_BYTES => self.frame(context)?.store_bytes(Transfer::new(a, b, c), memory, fuel),
            helper::PERF_EVENT_OUTPUT => {
                let packet = self.frame(context)?.packet_bytes();
                self.maps.perf_event_output(arguments, Some(packet), memory, fuel)
            }
            helper::REDIRECT => Ok(redirect::to_interface(&mut self.redirect, arguments[0], arguments[1])),
            helper::REDIRECT_MAP => redirect::to_entry(&mut self.redirect, [arguments[0], a, b], memory, fuel),
            number => match self.maps.call(number, arguments, memory, fuel) {
                Some(result) => result,
                None => self.environment.call(number, arguments, memory, fuel),
            },
        }
    }
}
