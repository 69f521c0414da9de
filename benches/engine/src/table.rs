//! The answer: ns a row, and how often that is ours.

use std::fmt;

/// A line per workload, a column per machine.
#[derive(Debug, Default)]
pub struct Table {
    machines: Vec<&'static str>,
    lines: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    /// Adds a workload's times by machine, ns a row. The first machine is the one others are compared with; a workload may lack the last ones.
    pub fn add(&mut self, workload: &'static str, times: Vec<(&'static str, f64)>) {
        if times.len() > self.machines.len() {
            self.machines = times.iter().map(|(machine, _)| *machine).collect();
        }
        self.lines.push((workload, times.into_iter().map(|(_, time)| time).collect()));
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, what: &str, cell: impl Fn(&[f64], f64) -> String) -> fmt::Result {
        let names: String = self.machines.iter().map(|machine| format!(" {machine} |")).collect();
        writeln!(f, "| {what} |{names}\n|---|{}", "---|".repeat(self.machines.len()))?;
        for (workload, times) in &self.lines {
            let cells =
                (0..self.machines.len()).map(|machine| times.get(machine).map_or("—".into(), |time| cell(times, *time)));
            let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
            writeln!(f, "| {workload} |{cells}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "ns a row", |_, time| format!("{time:.2}"))?;
        writeln!(f)?;
        self.write(f, "times ours, JIT", |times, time| format!("{:.2}", time / times[0]))
    }
}
