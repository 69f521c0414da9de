//! What is between host and device: loopback, or two network namespaces joined by a cable of a given rate.
//!
//! The namespaces have no names: they live in the processes that are in them and are gone with the last one, cable included, however it ended.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};

use crate::tpch::options::Link;

/// The device's address at the end of a cable.
const DEVICE: &str = "10.77.0.2";
const HOST: &str = "10.77.0.1";
/// Name of the interface at both ends.
const INTERFACE: &str = "nearside0";

/// A bucket of 256 kB starves 10 Gbit/s; at 1 Gbit/s this one is 2 ms, below what any query moves.
const BURST: &str = "256kb";
const BURST_10G: &str = "4mb";

/// Why a link is left out, if it cannot be made here.
pub(crate) fn unavailable(link: Link) -> Option<String> {
    if link == Link::Loopback {
        return None;
    }
    let works = |words: &[&str]| Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success());
    if !works(&["unshare", "--net", "true"]) {
        return Some("network namespaces need root, and unshare from util-linux".to_owned());
    }
    let tools: [&[&str]; 3] = [&["ip", "-V"], &["tc", "-V"], &["nsenter", "-V"]];
    tools.into_iter().find(|words| !works(words)).map(|words| format!("no {} here", words[0]))
}

/// Where the device listens.
pub(crate) fn listen(link: Link) -> &'static str {
    if link == Link::Loopback { "127.0.0.1:0" } else { "0.0.0.0:0" }
}

/// Where the host finds it.
pub(crate) fn device_address(link: Link) -> &'static str {
    if link == Link::Loopback { "127.0.0.1" } else { DEVICE }
}

/// Moves this process, which has no threads yet, to another one's network namespace, or to one of its own.
pub(crate) fn enter(link: Link, process: Option<u32>) -> Result<()> {
    match process {
        _ if link == Link::Loopback => Ok(()),
        None => unshare(CloneFlags::CLONE_NEWNET).context("a network namespace"),
        Some(process) => {
            let namespace = std::fs::File::open(format!("/proc/{process}/ns/net"))?;
            setns(namespace, CloneFlags::CLONE_NEWNET).context("the device's network namespace")
        }
    }
}

/// Lays the cable from this process's namespace to the device's.
pub(crate) fn connect(link: Link, device: u32) -> Result<()> {
    let Some(rate) = link.rate() else { return Ok(()) };
    let pid = device.to_string();
    command(&["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", &pid])?;
    let burst = if link == Link::TenGigabit { BURST_10G } else { BURST };
    let rate = format!("{rate}bit");
    let there: &[&str] = &["nsenter", "--net", "--target", &pid];
    for (prefix, address) in [(&[][..], HOST), (there, DEVICE)] {
        let run = |arguments: &[&str]| command(&[prefix, arguments].concat());
        run(&["ip", "address", "add", &format!("{address}/24"), "dev", INTERFACE])?;
        run(&["ip", "link", "set", INTERFACE, "up"])?;
        run(&["tc", "qdisc", "replace", "dev", INTERFACE, "root", "tbf", "rate", &rate, "burst", burst, "latency", "5ms"])?;
    }
    Ok(())
}

fn command(words: &[&str]) -> Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).output().with_context(|| words[0].to_owned())?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", words.join(" "), complaint.trim());
    Ok(())
}
