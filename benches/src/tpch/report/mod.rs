//! What the runs came to: per link and query the figures of each arm, and the three figures that are promised.
//!
//! [`Record`] is all of it, and what is written as JSON; `table` is for a terminal, `plot` for a page, `summary` says what was promised.

mod plot;
mod summary;
mod table;

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::place::{Machine, today};
use crate::tpch::host::Sample;
use crate::tpch::measure::Cost;
use crate::tpch::options::{Arm, Link, Options};

pub(crate) use summary::Summary;

/// A run of the bench.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Of the start, UTC.
    pub date: String,
    pub scale: f64,
    pub runs: u32,
    pub arms: Vec<Arm>,
    pub machine: Machine,
    pub links: Vec<LinkFigures>,
}

/// All queries over one link.
#[derive(Debug, Serialize)]
pub(crate) struct LinkFigures {
    pub link: Link,
    /// Bits a second.
    pub rate: Option<f64>,
    /// What registering the tables cost each arm.
    pub registered: Vec<(Arm, Cost)>,
    pub queries: Vec<QueryFigures>,
}

/// One query over one link.
#[derive(Debug, Serialize)]
pub(crate) struct QueryFigures {
    pub query: u8,
    pub arms: Vec<ArmFigures>,
}

/// One query over one link by one arm.
#[derive(Debug, Serialize)]
pub(crate) struct ArmFigures {
    pub arm: Arm,
    /// Medians.
    pub cost: Cost,
    /// Seconds of each run.
    pub seconds: Vec<f64>,
    /// Seconds that the received bytes take on the link alone: no object store is faster.
    pub wire_seconds: Option<f64>,
    /// Rows of the answer.
    pub rows: usize,
    /// Executions on the device.
    pub executions: u64,
    /// Why there is no answer, or how it differs from the first arm's.
    pub problem: Option<String>,
}

impl Record {
    pub(crate) fn new(options: &Options, machine: Machine) -> Self {
        let Options { scale, runs, arms, .. } = options.clone();
        Self { date: today(), scale, runs, arms, machine, links: Vec::new() }
    }

    /// The promised figures.
    pub(crate) fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// Arms that gave no answer, or another one than the first arm.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of_query = |link: Link, query: &QueryFigures| {
            let named = |arm: &ArmFigures| Some(format!("{link}, query {}, {}: {}", query.query, arm.arm, arm.problem.as_ref()?));
            query.arms.iter().filter_map(named).collect::<Vec<_>>()
        };
        let of_link = |link: &LinkFigures| link.queries.iter().flat_map(|query| of_query(link.link, query)).collect::<Vec<_>>();
        self.links.iter().flat_map(of_link).collect()
    }

    /// Writes JSON, plot and table as files named by date and scale.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let name = format!("{}-tpch-sf{}", self.date, self.scale);
        let path = |extension| folder.join(format!("{name}.{extension}"));
        fs::write(path("json"), serde_json::to_string(self)? + "\n")?;
        fs::write(path("txt"), self.to_string())?;
        plot::write(self, &path("svg"))?;
        eprintln!("wrote {} and beside it .txt and .svg", path("json").display());
        Ok(())
    }
}

impl LinkFigures {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, rate: link.rate(), registered: Vec::new(), queries: Vec::new() }
    }

    /// Takes a sample; whether it is the first of another query.
    pub(crate) fn add(&mut self, sample: Sample) -> bool {
        let is_new = self.queries.last().is_none_or(|last| last.query != sample.query);
        if is_new {
            self.queries.push(QueryFigures { query: sample.query, arms: Vec::new() });
        }
        let Sample { arm, runs, rows, executions, problem, .. } = sample;
        let cost = Cost::median(&runs);
        let wire_seconds = self.rate.map(|rate| cost.received as f64 * 8.0 / rate);
        let seconds = runs.iter().map(|run| run.seconds).collect();
        if let Some(query) = self.queries.last_mut() {
            query.arms.push(ArmFigures { arm, cost, seconds, wire_seconds, rows, executions, problem });
        }
        is_new
    }

    /// Number of the query that was added last.
    pub(crate) fn last_query(&self) -> u8 {
        self.queries.last().map_or(0, |query| query.query)
    }
}

impl QueryFigures {
    /// The figures of an arm that gave the right answer.
    pub(crate) fn arm(&self, arm: Arm) -> Option<&ArmFigures> {
        self.arms.iter().find(|figures| figures.arm == arm && figures.problem.is_none())
    }

    /// The faster of both settings of `pushdown_filters`.
    pub(crate) fn faster(&self, arms: [Arm; 2]) -> Option<&ArmFigures> {
        let both = arms.into_iter().filter_map(|arm| self.arm(arm));
        both.min_by(|a, b| a.cost.seconds.total_cmp(&b.cost.seconds))
    }

    /// DataFusion on the host, at its best.
    pub(crate) fn host(&self) -> Option<&ArmFigures> {
        self.faster([Arm::Host, Arm::HostPushdown])
    }

    /// DataFusion beside the data, at its best.
    pub(crate) fn native(&self) -> Option<&ArmFigures> {
        self.faster([Arm::Native, Arm::NativePushdown])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record of one link with these arms' seconds, by query.
    pub(crate) fn record(link: Link, queries: &[(u8, &[(Arm, f64)])]) -> Record {
        let mut figures = LinkFigures::new(link);
        for (query, arms) in queries {
            for (arm, seconds) in *arms {
                let cost = Cost { seconds: *seconds, device_cpu: *seconds / 2.0, received: 125_000_000, ..Cost::default() };
                let (query, arm) = (*query, *arm);
                figures.add(Sample { query, arm, runs: vec![cost], rows: 1, executions: 1, problem: None });
            }
        }
        let machine = Machine { processor: "a processor".into(), kernel: "a kernel".into(), cores: 2, load: "0.00".into() };
        Record { date: today(), scale: 1.0, runs: 1, arms: Vec::new(), machine, links: vec![figures] }
    }

    /// Samples come query by query; bytes take the time that the link needs for them.
    #[test]
    fn samples_are_gathered_by_query() {
        let record = record(
            Link::Gigabit,
            &[(1, &[(Arm::Host, 2.0), (Arm::HostPushdown, 1.5)]), (6, &[(Arm::Host, 1.0), (Arm::HostPushdown, 3.0)])],
        );
        let queries = &record.links[0].queries;
        assert_eq!(queries.len(), 2);
        assert_eq!(queries[0].host().unwrap().arm, Arm::HostPushdown);
        assert_eq!(queries[1].host().unwrap().arm, Arm::Host);
        assert_eq!(queries[0].arms[0].wire_seconds, Some(1.0));
        assert!(queries[0].native().is_none());
        assert!(record.date.starts_with("20") && record.problems().is_empty());
    }

    /// The three files are there, and say the same.
    #[test]
    fn records_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let arms = [(Arm::Host, 2.0), (Arm::Native, 0.5), (Arm::Auto, 0.25), (Arm::Always, 0.25)];
        let record = record(Link::Gigabit, &[(1, &arms), (6, &arms)]);
        record.write(folder.path()).unwrap();
        let read = |extension| fs::read_to_string(folder.path().join(format!("{}-tpch-sf1.{extension}", record.date))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&read("json")).unwrap();
        assert_eq!(json["links"][0]["queries"][1]["query"], 6);
        assert_eq!(json["links"][0]["queries"][1]["arms"][2]["cost"]["seconds"], 0.25);
        assert!(read("txt").contains("8.00"), "{}", read("txt"));
        assert!(read("svg").contains("1gbit"));
    }
}
