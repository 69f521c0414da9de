//! The parent: starts the processes of each link, and gathers what the host says.

use anyhow::{Context, Result};

use crate::child::{self, Child, Task};
use crate::device::{DeviceTask, Listening};
use crate::host::{Answer, HostTask, Place};
use crate::measure::Cost;
use crate::options::{Link, Options};
use crate::{data, network};

/// Runs the bench.
pub(crate) fn run(options: &Options) -> Result<()> {
    let data = data::folder(options)?;
    for link in &options.links {
        match network::unavailable(*link) {
            Some(reason) => eprintln!("skipped {link}: {reason}"),
            None => run_link(*link, &data, options).with_context(|| format!("over {link}"))?,
        }
    }
    Ok(())
}

fn run_link(link: Link, data: &std::path::Path, options: &Options) -> Result<()> {
    let cores = child::cores()?;
    let (host_core, device_core) = (cores[0], cores[cores.len() - 1]);
    let (device, place) = start_device(&DeviceTask { data: data.to_owned(), core: device_core, link })?;
    let mut host = Child::start(&Task::Host(HostTask {
        core: host_core,
        link,
        device: place,
        queries: options.queries.0.clone(),
        arms: options.arms.clone(),
        runs: options.runs,
    }))?;
    while let Some(answer) = host.answer::<Answer>()? {
        match answer {
            Answer::Registered { arm, cost } => println!("{link} {arm} registered {cost:?}"),
            Answer::Measured(sample) => {
                let Cost { seconds, host_cpu, device_cpu, sent, received } = Cost::median(&sample.runs);
                println!(
                    "{link} q{:<2} {:15} {:8.1} ms host {:7.1} device {:7.1} sent {sent:>8} received {received:>10} x{} {:?}",
                    sample.query,
                    sample.arm,
                    seconds * 1e3,
                    host_cpu * 1e3,
                    device_cpu * 1e3,
                    sample.executions,
                    sample.difference
                );
            }
        }
    }
    host.finish()?;
    drop(device);
    Ok(())
}

fn start_device(task: &DeviceTask) -> Result<(Child, Place)> {
    let mut device = Child::start(&Task::Device(DeviceTask { data: task.data.clone(), ..*task }))?;
    let Listening { port } = device.answer()?.context("the device did not start")?;
    let place = Place { process: device.id(), port };
    Ok((device, place))
}
