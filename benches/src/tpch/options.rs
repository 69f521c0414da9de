//! The command line, and the words of its lists.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use nearside::tpch;
use serde::{Deserialize, Serialize};

/// TPC-H side by side: DataFusion on the host, DataFusion beside the data, Nearside.
#[derive(Clone, Debug, Parser)]
#[command(name = "tpch")]
pub struct Options {
    /// Scale factor.
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub scale: f64,

    /// Folder of the tables; made at that scale in the user's cache folder if it is not given.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Queries: numbers and ranges.
    #[arg(long, default_value = "1-22", value_parser = |list: &str| tpch::parse_queries(list).map(Queries), value_name = "LIST")]
    pub queries: Queries,

    /// Links between host and device. All but loopback need root.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "loopback,10gbit,1gbit", value_name = "LIST")]
    pub links: Vec<Link>,

    /// What to compare; the first is what the others' answers must be equal to.
    #[arg(long, value_enum, value_delimiter = ',', default_value = Arm::ALL, value_name = "LIST")]
    pub arms: Vec<Arm>,

    /// Measured runs after the warm-up; the figure is their median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub runs: u32,

    /// Folder of the record: table, JSON and SVG; without it, a run of everything writes to benches/record.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// One of this bench's own processes.
    #[arg(long, hide = true)]
    pub child: Option<String>,

    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    /// Where the record goes; nowhere if only a part was asked for and no folder was named.
    pub fn record_folder(&self) -> Option<PathBuf> {
        let everything = self.links.len() == Link::value_variants().len()
            && self.arms.len() == Arm::value_variants().len()
            && self.queries.0.len() == 22;
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("record");
        self.output.clone().or_else(|| everything.then(own))
    }
}

/// Numbers of queries.
#[derive(Clone, Debug)]
pub struct Queries(pub Vec<u8>);

/// One way to run a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// DataFusion on the host, over the daemon's object store.
    Host,
    /// The same with `pushdown_filters`.
    HostPushdown,
    /// What the device takes with `always`, run there by DataFusion.
    Native,
    /// The same with `pushdown_filters`.
    NativePushdown,
    /// Nearside: what is estimated to pay.
    Auto,
    /// Nearside: whatever the device can take.
    Always,
}

impl Arm {
    const ALL: &str = "host,host-pushdown,native,native-pushdown,auto,always";

    /// Whether scans that DataFusion runs evaluate filters while they decode.
    pub fn pushdown_filters(self) -> bool {
        matches!(self, Self::HostPushdown | Self::NativePushdown)
    }

    /// Whether fragments run in the device that is plain DataFusion.
    pub fn is_native(self) -> bool {
        matches!(self, Self::Native | Self::NativePushdown)
    }

    /// The value of `nearside.offload`.
    pub fn offload(self) -> &'static str {
        match self {
            Self::Host | Self::HostPushdown => "never",
            Self::Native | Self::NativePushdown | Self::Always => "always",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Host => "host",
            Self::HostPushdown => "host-pushdown",
            Self::Native => "native",
            Self::NativePushdown => "native-pushdown",
            Self::Auto => "auto",
            Self::Always => "always",
        })
    }
}

/// What is between host and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The machine's own loopback.
    Loopback,
    /// 10 Gbit/s of Ethernet.
    #[value(name = "10gbit")]
    #[serde(rename = "10gbit")]
    TenGigabit,
    /// 1 Gbit/s of Ethernet.
    #[value(name = "1gbit")]
    #[serde(rename = "1gbit")]
    Gigabit,
}

impl Link {
    /// Bits a second; `None`: as fast as the machine copies.
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Loopback => None,
            Self::TenGigabit => Some(10e9),
            Self::Gigabit => Some(1e9),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loopback => "loopback",
            Self::TenGigabit => "10gbit",
            Self::Gigabit => "1gbit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people type, and what cargo adds.
    #[test]
    fn arguments() {
        let parse = |line: &str| Options::try_parse_from(line.split(' '));
        let options = parse("tpch --scale 0.1 --queries 1,6 --links loopback,1gbit --arms host,auto --runs 2 --bench").unwrap();
        assert_eq!((options.queries.0.as_slice(), options.runs), ([1, 6].as_slice(), 2));
        assert_eq!(options.links, [Link::Loopback, Link::Gigabit]);
        assert_eq!(options.arms, [Arm::Host, Arm::Auto]);
        let all = parse("tpch").unwrap();
        assert_eq!((all.arms.len(), all.links.len(), all.queries.0.len()), (6, 3, 22));
        assert!(all.record_folder().is_some() && options.record_folder().is_none());
        for wrong in ["--queries 23", "--links 40gbit", "--arms fast", "--runs 0"] {
            assert!(parse(&format!("tpch {wrong}")).is_err(), "{wrong}");
        }
    }
}
