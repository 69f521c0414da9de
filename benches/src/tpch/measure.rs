//! Clocks and counters around one run of a query.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use nearside_protocol::RemoteDevice;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What one run took; as a figure of several, the median of each.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Seconds from SQL text to last row.
    pub seconds: f64,
    /// Processor seconds of the host process.
    pub host_cpu: f64,
    /// Processor seconds of the device processes.
    pub device_cpu: f64,
    /// Bytes to the devices, HTTP/2 framing included.
    pub sent: u64,
    /// Bytes from the devices.
    pub received: u64,
}

/// Reads everything that is measured.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Whose sockets and processors count.
    pub devices: Vec<Metered>,
}

/// A device process and this session's connection to it.
#[derive(Debug)]
pub(crate) struct Metered {
    pub device: Arc<RemoteDevice>,
    pub process: u32,
}

/// What a [`Meter`] read.
#[derive(Debug)]
pub(crate) struct Reading {
    time: Instant,
    host_cpu: Duration,
    device_cpu: Duration,
    sent: u64,
    received: u64,
}

impl Meter {
    pub(crate) fn read(&self) -> Result<Reading> {
        let host_cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into();
        let mut reading = Reading { time: Instant::now(), host_cpu, device_cpu: Duration::ZERO, sent: 0, received: 0 };
        for Metered { device, process } in &self.devices {
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw((*process).try_into()?))?;
            let socket = device.socket_bytes();
            reading.device_cpu += Duration::from(clock_gettime(clock)?);
            reading.sent += socket.sent;
            reading.received += socket.received;
        }
        Ok(reading)
    }
}

impl Reading {
    /// What has been used since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Cost {
        Cost {
            seconds: seconds(self.time - earlier.time),
            host_cpu: seconds(self.host_cpu - earlier.host_cpu),
            device_cpu: seconds(self.device_cpu - earlier.device_cpu),
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

/// In whole microseconds: what is below is noise.
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

impl Cost {
    /// The median of each figure.
    pub(crate) fn median(costs: &[Self]) -> Self {
        let float = |of: fn(&Self) -> f64| middle(costs.iter().map(of).collect(), f64::total_cmp);
        let bytes = |of: fn(&Self) -> u64| middle(costs.iter().map(of).collect(), u64::cmp);
        Self {
            seconds: float(|cost| cost.seconds),
            host_cpu: float(|cost| cost.host_cpu),
            device_cpu: float(|cost| cost.device_cpu),
            sent: bytes(|cost| cost.sent),
            received: bytes(|cost| cost.received),
        }
    }
}

/// The middle value, of an even number the lower one of the two; nothing for nothing.
fn middle<T: Copy + Default>(mut values: Vec<T>, order: fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each figure has its own middle; an outlier moves none.
    #[test]
    fn medians() {
        let cost = |seconds, received| Cost { seconds, received, ..Cost::default() };
        let median = Cost::median(&[cost(9.0, 1), cost(1.0, 3), cost(2.0, 1_000)]);
        assert_eq!((median.seconds, median.received), (2.0, 3));
        assert_eq!(Cost::median(&[cost(4.0, 1), cost(2.0, 2)]).seconds, 2.0);
        assert_eq!(Cost::median(&[]).seconds, 0.0);
    }
}
