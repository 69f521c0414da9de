//! What of the world a program sees beside packets and maps: clocks, the CPU, random numbers, a log.

use std::collections::VecDeque;

use nearside_programs::abi::helper;
use nix::time::{ClockId, clock_gettime};

use super::checksum::{self, Change};
use super::helpers::Result;
use super::print;
use crate::fuel::Fuel;
use crate::helpers::{HelperFault, Helpers};
use crate::memory::Memory;

/// Most lines that wait to be read; the oldest go first.
const LOG_LINES_MAX: usize = 1024;

/// What the time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The system's clocks.
    System,
    /// Every clock shows this many nanoseconds: runs can be repeated.
    Fixed(u64),
}

impl Clock {
    /// As it is now, for good.
    pub fn stopped() -> Self {
        Self::Fixed(Self::System.read(ClockId::CLOCK_MONOTONIC))
    }

    fn read(self, id: ClockId) -> u64 {
        match self {
            Self::Fixed(nanoseconds) => nanoseconds,
            Self::System => {
                let time = clock_gettime(id).expect("clocks that every kernel has");
                time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
            }
        }
    }
}

/// The surroundings of a program; its helpers that need neither packet nor map.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What the time is.
    pub clock: Clock,
    /// `get_smp_processor_id`, and whose values a program sees of per-CPU maps.
    pub(super) cpu: u32,
    random: u64,
    log: VecDeque<String>,
}

impl Environment {
    /// The system's clocks, and random numbers that follow from `seed`.
    pub fn new(cpu: u32, seed: u64) -> Self {
        Self { clock: Clock::System, cpu, random: seed, log: VecDeque::new() }
    }

    /// Lines that `trace_printk` wrote since the last call, the newest 1024 of them.
    pub fn take_log(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(&mut self.log).into_iter()
    }

    /// SplitMix64: every seed gives a sequence of full period.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 32
    }

    fn trace_printk(&mut self, arguments: [u64; 5], memory: &Memory<'_>, fuel: &mut Fuel) -> Result {
        let (result, line) = print::format(arguments, memory, fuel)?;
        if let Some(line) = line {
            if self.log.len() == LOG_LINES_MAX {
                self.log.pop_front();
            }
            self.log.push_back(line);
        }
        Ok(result)
    }
}

impl Helpers for Environment {
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        match number {
            helper::KTIME_GET_NS => Ok(self.clock.read(ClockId::CLOCK_MONOTONIC)),
            helper::KTIME_GET_BOOT_NS => Ok(self.clock.read(ClockId::CLOCK_BOOTTIME)),
            helper::KTIME_GET_COARSE_NS => Ok(self.clock.read(ClockId::CLOCK_MONOTONIC_COARSE)),
            helper::GET_SMP_PROCESSOR_ID => Ok(self.cpu.into()),
            helper::GET_PRANDOM_U32 => Ok(self.random()),
            helper::TRACE_PRINTK => self.trace_printk(arguments, memory, fuel),
            helper::CSUM_DIFF => checksum::csum_diff(&Change::new(arguments), memory, fuel),
            _ => Err(HelperFault::Missing),
        }
    }
}
