//! The figures as text.

use std::fmt;

use super::{ArmFigures, LinkFigures, QueryFigures, Record};
use crate::tpch::options::Arm;

/// What stands under one heading: a name, and the figure of each query.
struct Column {
    group: &'static str,
    name: &'static str,
    figure: fn(&QueryFigures) -> Option<f64>,
    decimals: usize,
}

/// `group` is said once, over the first of its columns.
const TIMES: [Column; 11] = [
    Column { group: "milliseconds", name: "host", figure: |query| ms(query.arm(Arm::Host)), decimals: 1 },
    Column { group: "", name: "pushdown", figure: |query| ms(query.arm(Arm::HostPushdown)), decimals: 1 },
    Column { group: "", name: "wire", figure: |query| wire(query.host()), decimals: 1 },
    Column { group: "", name: "native", figure: |query| ms(query.native()), decimals: 1 },
    Column { group: "", name: "wire", figure: |query| wire(query.native()), decimals: 1 },
    Column { group: "", name: "auto", figure: |query| ms(query.arm(Arm::Auto)), decimals: 1 },
    Column { group: "", name: "always", figure: |query| ms(query.arm(Arm::Always)), decimals: 1 },
    Column { group: "times as fast", name: "host/auto", figure: |query| times(query.host(), query.arm(Arm::Auto)), decimals: 2 },
    Column { group: "", name: "native/auto", figure: |query| times(query.native(), query.arm(Arm::Auto)), decimals: 2 },
    Column { group: "executions", name: "auto", figure: |query| executions(query.arm(Arm::Auto)), decimals: 0 },
    Column { group: "", name: "always", figure: |query| executions(query.arm(Arm::Always)), decimals: 0 },
];

const COSTS: [Column; 12] = [
    Column { group: "MB received", name: "host", figure: |query| megabytes(query.host()), decimals: 2 },
    Column { group: "", name: "native", figure: |query| megabytes(query.native()), decimals: 2 },
    Column { group: "", name: "auto", figure: |query| megabytes(query.arm(Arm::Auto)), decimals: 2 },
    Column { group: "", name: "always", figure: |query| megabytes(query.arm(Arm::Always)), decimals: 2 },
    Column { group: "host CPU, ms", name: "host", figure: |query| host_cpu(query.host()), decimals: 0 },
    Column { group: "", name: "native", figure: |query| host_cpu(query.native()), decimals: 0 },
    Column { group: "", name: "auto", figure: |query| host_cpu(query.arm(Arm::Auto)), decimals: 0 },
    Column { group: "", name: "always", figure: |query| host_cpu(query.arm(Arm::Always)), decimals: 0 },
    Column { group: "device CPU, ms", name: "host", figure: |query| device_cpu(query.host()), decimals: 0 },
    Column { group: "", name: "native", figure: |query| device_cpu(query.native()), decimals: 0 },
    Column { group: "", name: "auto", figure: |query| device_cpu(query.arm(Arm::Auto)), decimals: 0 },
    Column { group: "", name: "always", figure: |query| device_cpu(query.arm(Arm::Always)), decimals: 0 },
];

fn ms(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.cost.seconds * 1e3)
}

fn wire(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.wire_seconds? * 1e3)
}

fn times(slow: Option<&ArmFigures>, fast: Option<&ArmFigures>) -> Option<f64> {
    Some(slow?.cost.seconds / fast?.cost.seconds)
}

fn megabytes(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.cost.received as f64 / 1e6)
}

fn host_cpu(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.cost.host_cpu * 1e3)
}

fn device_cpu(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.cost.device_cpu * 1e3)
}

fn executions(arm: Option<&ArmFigures>) -> Option<f64> {
    Some(arm?.executions as f64)
}

/// The table of one link.
pub(crate) struct Table<'a>(&'a LinkFigures);

impl LinkFigures {
    pub(crate) fn table(&self) -> Table<'_> {
        Table(self)
    }
}

impl Column {
    fn width(&self) -> usize {
        self.name.len().max(8)
    }

    fn cell(&self, query: &QueryFigures) -> String {
        (self.figure)(query).map_or_else(|| "-".to_owned(), |figure| format!("{figure:.*}", self.decimals))
    }

    /// Of all queries, where there is one and the figure is not a ratio.
    fn sum(&self, queries: &[QueryFigures]) -> String {
        let figures: Option<Vec<f64>> = queries.iter().map(self.figure).collect();
        let sum = figures.filter(|_| !self.name.contains('/')).map(|figures| figures.iter().sum::<f64>());
        sum.map_or_else(String::new, |sum| format!("{sum:.*}", self.decimals))
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.0.link)?;
        for (arm, cost) in &self.0.registered {
            writeln!(f, "registering the tables, {arm}: {:.1} ms, {:.2} MB", cost.seconds * 1e3, cost.received as f64 / 1e6)?;
        }
        self.block(&TIMES, f)?;
        self.block(&COSTS, f)
    }
}

impl Table<'_> {
    fn block(&self, columns: &[Column], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        groups(columns, f)?;
        row("query", columns.iter().map(|column| column.name.to_owned()), columns, f)?;
        for query in &self.0.queries {
            row(&query.query.to_string(), columns.iter().map(|column| column.cell(query)), columns, f)?;
        }
        row("sum", columns.iter().map(|column| column.sum(&self.0.queries)), columns, f)
    }
}

fn row(title: &str, cells: impl Iterator<Item = String>, columns: &[Column], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{title:>5}")?;
    for (cell, column) in cells.zip(columns) {
        let gap = if column.group.is_empty() { "" } else { " |" };
        write!(f, "{gap} {cell:>0$}", column.width())?;
    }
    writeln!(f)
}

/// Names of groups, each over the columns up to the next one.
fn groups(columns: &[Column], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut line = format!("{:5}", "");
    let mut end = line.len();
    for column in columns {
        if !column.group.is_empty() {
            line = format!("{line:end$} | {}", column.group);
            end += 2;
        }
        end += column.width() + 1;
    }
    writeln!(f, "{line}")
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let super::Machine { processor, kernel, cores, load } = &self.machine;
        writeln!(f, "TPC-H at scale {}, {}: medians of {} warm runs.", self.scale, self.date, self.runs)?;
        writeln!(
            f,
            "{processor}, {cores} cores, Linux {kernel}, load {load} before the start. Host on one core, device on another."
        )?;
        writeln!(
            f,
            "host: the faster of both settings of pushdown_filters where there is one column; native likewise; wire: bytes / link rate."
        )?;
        self.links.iter().try_for_each(|link| write!(f, "{}", link.table()))?;
        write!(f, "\n{}", self.summary())
    }
}
