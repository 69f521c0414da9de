//! The parent: starts the processes of each link, and gathers what the host says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::place::{self, Machine};
use crate::tpch::child::{Child, Task};
use crate::tpch::device::{DeviceTask, Engine, Listening};
use crate::tpch::host::{Answer, HostTask, Place};
use crate::tpch::options::{Link, Options};
use crate::tpch::report::{LinkFigures, Record};
use crate::tpch::{data, network};

/// Runs the bench.
///
/// # Errors
/// Whatever kept it from its end, and answers that differ.
pub(crate) fn run(options: &Options) -> Result<()> {
    let data = data::folder(options)?;
    let mut record = Record::new(options, Machine::this()?);
    for link in &options.links {
        if let Some(reason) = network::unavailable(*link) {
            eprintln!("skipped {link}: {reason}");
            continue;
        }
        let figures = run_link(*link, &data, options).with_context(|| format!("over {link}"))?;
        print!("{}", figures.table());
        record.links.push(figures);
    }
    let summary = record.summary();
    print!("{summary}");
    if let Some(folder) = options.record_folder() {
        record.write(&folder).with_context(|| format!("writing to {}", folder.display()))?;
    }
    let problems = record.problems();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

fn run_link(link: Link, data: &Path, options: &Options) -> Result<LinkFigures> {
    let cores = place::cores()?;
    let (host_core, device_core) = (cores[0], cores[cores.len() - 1]);
    let task = |engine, beside| DeviceTask { data: data.to_owned(), core: device_core, link, beside, engine };
    let (nearside, place) = start(&task(Engine::Nearside, None))?;
    let mut running = vec![nearside];
    let mut native = BTreeMap::new();
    for arm in options.arms.iter().filter(|arm| arm.is_native()) {
        let engine = Engine::DataFusion { pushdown_filters: arm.pushdown_filters() };
        let (device, place) = start(&task(engine, Some(place.process)))?;
        running.push(device);
        native.insert(*arm, place);
    }
    let (arms, queries) = (options.arms.clone(), options.queries.0.clone());
    let task = HostTask { core: host_core, link, nearside: place, native, queries, arms, runs: options.runs };
    gather(Child::start(&Task::Host(task))?, LinkFigures::new(link))
}

fn start(task: &DeviceTask) -> Result<(Child, Place)> {
    let mut device = Child::start(&Task::Device(task.clone()))?;
    let Listening { port } = device.answer()?.context("a device did not start")?;
    let place = Place { process: device.id(), port };
    Ok((device, place))
}

fn gather(mut host: Child, mut figures: LinkFigures) -> Result<LinkFigures> {
    let started = std::time::Instant::now();
    while let Some(answer) = host.answer::<Answer>()? {
        match answer {
            Answer::Registered(arm, cost) => figures.registered.push((arm, cost)),
            Answer::Measured(sample) => {
                if figures.add(sample) {
                    eprintln!("{}: query {} after {:.0} s", figures.link, figures.last_query(), started.elapsed().as_secs_f64());
                }
            }
        }
    }
    host.finish()?;
    Ok(figures)
}
