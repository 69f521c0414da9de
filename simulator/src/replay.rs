//! The event engine: morsels in their order through medium, core and link.

use nearside_device::Ledger;
use nearside_device::ledger::Morsel;
use serde::Serialize;

use crate::profile::{Channel, Profile};
use crate::units::Nanos;

/// What the device would have taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The profile's name.
    pub device: String,
    /// Morsels replayed.
    pub morsels: u64,
    /// First request to last result byte.
    pub offloaded: Nanos,
    /// The same query without a device: the medium's bytes over the link, decoded by nobody.
    pub raw_transfer: Nanos,
    /// How long each resource was busy.
    pub resources: Vec<Resource>,
}

/// One resource's account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resource {
    /// `medium`, `core 0`, …, `link`.
    pub name: String,
    /// Sum of its services.
    pub busy: Nanos,
}

/// Something that serves one morsel at a time, first come first served.
#[derive(Clone, Copy, Default)]
struct Server {
    free_at: Nanos,
    busy: Nanos,
}

impl Server {
    /// Serves a request that arrives at `arrival`; returns when it is done.
    fn serve(&mut self, arrival: Nanos, service: Nanos) -> Nanos {
        self.free_at = arrival.max(self.free_at) + service;
        self.busy = self.busy + service;
        self.free_at
    }
}

/// Charges virtual time to the work of a ledger.
///
/// Reads are issued in the order of the morsels; a morsel goes to the core that is free first (the lowest number among equals); its share of the
/// result leaves when it is computed. The result's bytes are shared out by selected rows, the remainder to the last morsel.
pub fn replay(ledger: &Ledger, profile: &Profile) -> Report {
    let mut medium = Server::default();
    let mut cores = vec![Server::default(); profile.cores.count.get() as usize];
    let mut link = Server::default();
    let mut end = transfer(&profile.medium, ledger.work.metadata_bytes);
    medium.serve(Nanos::default(), end);

    for (morsel, returned) in ledger.work.morsels.iter().zip(shares(ledger)) {
        let read = medium.serve(Nanos::default(), transfer(&profile.medium, morsel.bytes_read));
        let computed = first_free(&mut cores).serve(read, compute(morsel, profile));
        end = end.max(link.serve(computed, transfer(&profile.link, returned)));
    }
    Report {
        device: profile.name.clone(),
        morsels: ledger.work.morsels.len() as u64,
        offloaded: end,
        raw_transfer: raw_transfer(ledger, profile),
        resources: accounts(medium, &cores, link),
    }
}

/// An empty transfer costs nothing: nobody asks for it.
fn transfer(channel: &Channel, bytes: u64) -> Nanos {
    if bytes == 0 { Nanos::default() } else { channel.latency + channel.bandwidth.time_for(bytes) }
}

fn compute(morsel: &Morsel, profile: &Profile) -> Nanos {
    profile.cores.decode.time_for(morsel.bytes_decoded) + profile.cores.fuel.time_for(morsel.fuel)
}

fn first_free(cores: &mut [Server]) -> &mut Server {
    let index = (0..cores.len()).min_by_key(|&index| cores[index].free_at).unwrap_or(0);
    &mut cores[index]
}

fn shares(ledger: &Ledger) -> Vec<u64> {
    let selected: u128 = ledger.work.morsels.iter().map(|morsel| u128::from(morsel.rows_selected)).sum();
    let total = ledger.work.returned_bytes;
    let mut shares: Vec<u64> = ledger
        .work
        .morsels
        .iter()
        .map(|morsel| (u128::from(total) * u128::from(morsel.rows_selected)).checked_div(selected).unwrap_or(0) as u64)
        .collect();
    let rest = total - shares.iter().sum::<u64>();
    if let Some(last) = shares.last_mut() {
        *last += rest;
    }
    shares
}

/// Medium and link work at the same time; the slower of the two decides.
fn raw_transfer(ledger: &Ledger, profile: &Profile) -> Nanos {
    let bytes = ledger.work.metadata_bytes
        + ledger.work.morsels.iter().map(|morsel| morsel.bytes_eligible - morsel.bytes_pruned).sum::<u64>();
    let slower = profile.medium.bandwidth.time_for(bytes).max(profile.link.bandwidth.time_for(bytes));
    profile.medium.latency + profile.link.latency + slower
}

fn accounts(medium: Server, cores: &[Server], link: Server) -> Vec<Resource> {
    let account = |name: String, server: &Server| Resource { name, busy: server.busy };
    let cores = cores.iter().enumerate().map(|(index, core)| account(format!("core {index}"), core));
    std::iter::once(account("medium".into(), &medium)).chain(cores).chain([account("link".into(), &link)]).collect()
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use nearside_device::MorselId;

    use super::*;
    use crate::profile::Cores;
    use crate::units::PerSecond;

    fn channel(latency: u64) -> Channel {
        let bandwidth = PerSecond(NonZeroU64::new(1_000_000_000).unwrap());
        Channel { latency: Nanos(latency), bandwidth, source: String::new() }
    }

    /// 1 byte or unit of fuel a nanosecond everywhere.
    fn profile(cores: u32) -> Profile {
        let rate = PerSecond(NonZeroU64::new(1_000_000_000).unwrap());
        let cores = Cores { count: NonZeroU32::new(cores).unwrap(), decode: rate, fuel: rate, source: String::new() };
        Profile { name: "test".into(), medium: channel(10), cores, link: channel(5) }
    }

    fn ledger(morsels: u32) -> Ledger {
        let mut ledger = Ledger::default();
        for row_group in 0..morsels {
            ledger.work.morsels.push(Morsel {
                id: MorselId { object: 0, row_group },
                rows: 100,
                bytes_eligible: 200,
                bytes_pruned: 50,
                bytes_read: 90,
                bytes_decoded: 300,
                rows_considered: 100,
                rows_selected: 10,
                calls: 1,
                narrow_calls: 0,
                helper_calls: 0,
                fuel: 100,
            });
        }
        ledger.work.returned_bytes = 20 * u64::from(morsels);
        ledger
    }

    /// One morsel: 10 + 90 to read, 300 + 100 to compute, 5 + 20 to return. By hand.
    #[test]
    fn one_morsel_passes_all_stations() {
        let report = replay(&ledger(1), &profile(1));
        assert_eq!(report.offloaded, Nanos(525));
        assert_eq!(report.raw_transfer, Nanos(10 + 5 + 150));
    }

    /// A second core halves the computing, not the reading.
    #[test]
    fn cores_work_in_parallel() {
        assert_eq!(replay(&ledger(2), &profile(1)).offloaded, Nanos(100 + 400 + 400 + 25));
        assert_eq!(replay(&ledger(2), &profile(2)).offloaded, Nanos(200 + 400 + 25));
    }

    /// Nothing to do takes no time, and every resource stands idle.
    #[test]
    fn an_empty_ledger_is_free() {
        let report = replay(&Ledger::default(), &profile(1));
        assert_eq!(report.offloaded, Nanos(0));
        assert!(report.resources.iter().all(|resource| resource.busy == Nanos(0)));
    }
}
