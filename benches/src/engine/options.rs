//! The command line.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use serde::Serialize;

/// The engine beside others, and beside code that checks nothing, on the same byte code.
#[derive(Clone, Debug, Parser)]
#[command(name = "engine")]
pub struct Options {
    /// Steps: parts of their names.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub steps: Vec<String>,

    /// Where columns come from.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "l2,dram", value_name = "LIST")]
    pub memory: Vec<Memory>,

    /// Processes of each build that measure a step, one after the other.
    #[arg(long, default_value = "5", value_name = "COUNT")]
    pub processes: NonZeroUsize,

    /// Seconds for the rounds of a step, by all processes, whose columns are in the second-level cache; three times as many where they are not.
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    pub seconds: f64,

    /// Without the other engines, which take some CPU minutes to build.
    #[arg(long)]
    pub without_peers: bool,

    /// Builds, and measures nothing.
    #[arg(long)]
    pub build_only: bool,

    /// Folder of the record: table, JSON and SVG; without it, a run of everything writes to benches/record.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Where columns come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// The second-level cache.
    L2,
    /// More than any cache holds.
    Dram,
}

impl Memory {
    /// Bytes of columns.
    pub fn bytes(self) -> usize {
        match self {
            // With the cage's copy of a batch, less than the second-level cache of any server's processor of the last years.
            Self::L2 => 448 << 10,
            Self::Dram => 448 << 20,
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "L2",
            Self::Dram => "DRAM",
        })
    }
}

impl Options {
    /// Whether a step was asked for.
    pub fn wants(&self, step: &str) -> bool {
        self.steps.is_empty() || self.steps.iter().any(|part| step.to_lowercase().contains(&part.to_lowercase()))
    }

    /// Where the record goes; nowhere if only a part was asked for and no folder was named.
    pub fn record_folder(&self) -> Option<PathBuf> {
        let everything = self.steps.is_empty() && self.memory.len() == Memory::value_variants().len() && !self.without_peers;
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("record");
        self.output.clone().or_else(|| everything.then(own))
    }
}
