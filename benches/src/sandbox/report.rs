//! What it came to, and what was promised.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::place::{Machine, today};

/// Microseconds from an object to its first result, nothing known of it.
const COLD_US: f64 = 1_000.0;
/// The same if its program is compiled.
const WARM_US: f64 = 20.0;
/// Instances made, called and read, a second on one core.
const PER_SECOND: f64 = 50_000.0;
/// Bytes of an instance that waits, page tables included.
const IDLE_BYTES: f64 = 16_384.0;
/// Linux' own `vm.max_map_count`, whatever it is here.
const MAPPINGS: u64 = 65_530;

/// A run of the bench.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    /// Of the start, UTC.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) sandboxes: Vec<Figures>,
}

/// One kind of sandbox.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) name: &'static str,
    /// Medians.
    pub(super) cold_us: f64,
    pub(super) warm_us: f64,
    pub(super) per_second: f64,
    pub(super) idle: Idle,
}

/// Instances that wait.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) live: u32,
    /// Of one.
    pub(super) bytes: f64,
    /// Of these, page tables.
    pub(super) page_tables: f64,
    /// Of the process, while they live and before.
    pub(super) mappings: u64,
    pub(super) mappings_before: u64,
    /// `vm.max_map_count` here.
    pub(super) mappings_max: u64,
}

impl Record {
    pub(super) fn new(machine: Machine) -> Self {
        Self { date: today(), machine, sandboxes: Vec::new() }
    }

    /// Writes JSON and table as files named by date.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let path = |extension| folder.join(format!("{}-sandbox.{extension}", self.date));
        fs::write(path("json"), serde_json::to_string(self)? + "\n")?;
        fs::write(path("txt"), self.to_string())?;
        eprintln!("wrote {} and beside it .txt", path("json").display());
        Ok(())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, kernel, cores, load } = &self.machine;
        writeln!(f, "{}: {processor}, {cores} cores, Linux {kernel}, load {load}\n", self.date)?;
        write!(f, "{:<46}{:>12}", "", "bound")?;
        self.sandboxes.iter().try_for_each(|figures| write!(f, "{:>18}", figures.name))?;
        writeln!(f)?;
        self.line(f, "object to first result, cold (µs)", &format!("< {COLD_US}"), |it| (it.cold_us, it.cold_us < COLD_US))?;
        self.line(f, "object to first result, warm (µs)", &format!("< {WARM_US}"), |it| (it.warm_us, it.warm_us < WARM_US))?;
        self.line(f, "instances a second, one core", &format!(">= {PER_SECOND}"), |it| {
            (it.per_second, it.per_second >= PER_SECOND)
        })?;
        self.line(f, "bytes of an idle instance", &format!("<= {IDLE_BYTES}"), |it| {
            (it.idle.bytes, it.idle.bytes <= IDLE_BYTES)
        })?;
        self.line(f, "  of these, page tables", "", |it| (it.idle.page_tables, true))?;
        self.line(f, "mappings while they live", &format!("<= {MAPPINGS}"), |it| {
            (it.idle.mappings as f64, it.idle.mappings <= MAPPINGS)
        })?;
        self.line(f, "instances alive at once", "", |it| (it.idle.live.into(), true))
    }
}

impl Record {
    fn line(&self, f: &mut fmt::Formatter<'_>, what: &str, bound: &str, figure: impl Fn(&Figures) -> (f64, bool)) -> fmt::Result {
        write!(f, "{what:<46}{bound:>12}")?;
        for figures in &self.sandboxes {
            let (value, holds) = figure(figures);
            let digits = if value < 1_000.0 { 1 } else { 0 };
            let verdict = if holds { "" } else { "MISSED " };
            write!(f, "{:>18}", format!("{verdict}{value:.digits$}"))?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bound that does not hold is called so; the files say the same as the table.
    #[test]
    fn bounds_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { processor: "a processor".into(), kernel: "a kernel".into(), cores: 2, load: "0.00".into() };
        let mut record = Record::new(machine);
        let idle = |bytes| Idle { live: 10, bytes, page_tables: 1.0, mappings: 70, mappings_before: 60, mappings_max: 65_530 };
        record.sandboxes.push(Figures {
            name: "cheap",
            cold_us: 999.0,
            warm_us: 19.0,
            per_second: 50_000.0,
            idle: idle(16_384.0),
        });
        record.sandboxes.push(Figures {
            name: "dear",
            cold_us: 1_000.0,
            warm_us: 20.0,
            per_second: 49_999.0,
            idle: idle(16_385.0),
        });
        record.write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(format!("{}-sandbox.txt", record.date))).unwrap();
        assert_eq!(text, record.to_string());
        assert_eq!(text.matches("MISSED").count(), 4, "{text}");
        let json = fs::read_to_string(folder.path().join(format!("{}-sandbox.json", record.date))).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["sandboxes"][1]["idle"]["bytes"], 16_385.0);
    }
}
