//! The figures that are promised, each with its bound.

use std::fmt;

use super::{ArmFigures, LinkFigures, QueryFigures, Record};
use crate::tpch::options::{Arm, Link};

/// Queries whose fragments leave little of much data.
const SELECTIVE: [u8; 6] = [1, 6, 12, 14, 15, 19];

/// At 1 Gbit/s, [`SELECTIVE`] queries are this many times as fast as on the host, in the geometric mean.
const SPEED_UP: f64 = 2.5;
/// On loopback, no query takes longer than this many times what it takes on the host.
const SLOW_DOWN: f64 = 1.3;
/// A device computes at most this many times as long as DataFusion in its place, in the geometric mean.
const DEVICE_CPU: f64 = 1.3;

/// What was promised and what came of it.
#[derive(Debug)]
pub(crate) struct Summary {
    speed_up: Option<f64>,
    /// By query, over the faster setting of the host; slowest first.
    slow_downs: Vec<(u8, f64)>,
    /// By query, over the host with the settings that `auto` has; slowest first.
    like_for_like: Vec<(u8, f64)>,
    device_cpu: Option<f64>,
}

impl Summary {
    pub(super) fn of(record: &Record) -> Self {
        let link = |wanted| record.links.iter().find(|link| link.link == wanted);
        let (loopback, gigabit) = (link(Link::Loopback), link(Link::Gigabit));
        Self {
            speed_up: gigabit.and_then(speed_up),
            slow_downs: slow_downs(loopback, QueryFigures::host),
            like_for_like: slow_downs(loopback, |query| query.arm(Arm::Host)),
            device_cpu: record.links.first().and_then(device_cpu),
        }
    }

    fn too_slow(&self) -> impl Iterator<Item = &(u8, f64)> {
        self.slow_downs.iter().filter(|(_, ratio)| *ratio > SLOW_DOWN)
    }
}

fn slow_downs(link: Option<&LinkFigures>, host: impl Fn(&QueryFigures) -> Option<&ArmFigures>) -> Vec<(u8, f64)> {
    let of_link = |link| ratios(link, |query| Some((query.arm(Arm::Auto)?, host(query)?)));
    let mut ratios = link.map_or_else(Vec::new, of_link);
    ratios.sort_by(|a, b| b.1.total_cmp(&a.1));
    ratios
}

fn speed_up(link: &LinkFigures) -> Option<f64> {
    let ratios = ratios(link, |query| Some((query.host()?, query.arm(Arm::Auto)?)));
    geometric_mean(ratios.into_iter().filter(|(query, _)| SELECTIVE.contains(query)).map(|(_, ratio)| ratio))
}

/// Seconds of one arm over seconds of another, by query.
fn ratios<'a>(
    link: &'a LinkFigures,
    of: impl Fn(&'a QueryFigures) -> Option<(&'a ArmFigures, &'a ArmFigures)>,
) -> Vec<(u8, f64)> {
    let ratio = |query: &'a QueryFigures| of(query).map(|(a, b)| (query.query, a.cost.seconds / b.cost.seconds));
    link.queries.iter().filter_map(ratio).collect()
}

/// Over the queries of which something is offloaded: the processor time of `always` on the device over that of the native one, which runs the same fragments, at
/// its better setting.
fn device_cpu(link: &LinkFigures) -> Option<f64> {
    let ratio = |query: &QueryFigures| {
        let ours = query.arm(Arm::Always).filter(|figures| figures.executions > 0)?;
        let native = [Arm::Native, Arm::NativePushdown].into_iter().filter_map(|arm| query.arm(arm));
        Some(ours.cost.device_cpu / native.map(|figures| figures.cost.device_cpu).min_by(f64::total_cmp)?)
    };
    geometric_mean(link.queries.iter().filter_map(ratio))
}

/// Of numbers above zero; `None` of none.
fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = |holds| if holds { "holds" } else { "MISSED" };
        if let Some(speed_up) = self.speed_up {
            let queries = SELECTIVE.map(|query| query.to_string()).join(", ");
            let verdict = verdict(speed_up >= SPEED_UP);
            writeln!(f, "1gbit, host / auto, geometric mean over {queries}: {speed_up:.2} (at least {SPEED_UP}: {verdict})")?;
        }
        if let Some((query, worst)) = self.slow_downs.first() {
            let verdict = verdict(*worst <= SLOW_DOWN);
            writeln!(f, "loopback, auto / host, worst: {worst:.2} in query {query} (at most {SLOW_DOWN}: {verdict})")?;
            for (query, ratio) in self.too_slow() {
                writeln!(f, "  query {query}: {ratio:.2}")?;
            }
        }
        if let Some((query, worst)) = self.like_for_like.first() {
            writeln!(f, "  with the settings that auto has, worst: {worst:.2} in query {query}")?;
        }
        if let Some(ratio) = self.device_cpu {
            let verdict = verdict(ratio <= DEVICE_CPU);
            writeln!(f, "device CPU, always / native, geometric mean: {ratio:.2} (at most {DEVICE_CPU}: {verdict})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    /// The better host counts, only selective queries do, and a bound that is missed is called so.
    #[test]
    fn promises() {
        let arms = |host, native, auto| {
            [(Arm::Host, host), (Arm::HostPushdown, 9.0), (Arm::Native, native), (Arm::Auto, auto), (Arm::Always, auto)]
        };
        let (q1, q6, q9) = (arms(4.0, 1.0, 1.0), arms(1.0, 1.0, 1.0), arms(1.0, 1.0, 8.0));
        let queries: &[(u8, &[(Arm, f64)])] = &[(1, &q1), (6, &q6), (9, &q9)];
        let fast = record(Link::Gigabit, queries).summary().to_string();
        assert!(fast.contains("19: 2.00 (at least 2.5: MISSED)"), "{fast}");
        assert!(fast.contains("always / native, geometric mean: 2.00"), "{fast}");
        let near = record(Link::Loopback, queries).summary().to_string();
        assert!(near.contains("worst: 8.00 in query 9 (at most 1.3: MISSED)"), "{near}");
    }
}
