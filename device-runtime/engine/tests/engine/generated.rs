//! A generated program of the packet target, with everything around it that it may use.

use nearside_engine::packet::Packet;
use nearside_engine::{Backend, Code, Module};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;

use crate::generate::{CPUS, MAPS, PROGRAMS};
use crate::lanes::{Lanes, Outcome};

/// Interface and queue that packets come from.
const INTERFACE: u32 = 7;
const QUEUE: u32 = 9;

/// A program in both engines, with maps that hold something.
pub(crate) struct PacketProgram(Lanes);

impl PacketProgram {
    /// Every function is an entry point; the program array has them in turn.
    pub(crate) fn new(slots: &[Slot], starts: &[usize]) -> Self {
        let entries: Vec<u32> = starts.iter().map(|start| *start as u32).collect();
        let names: Vec<(&str, u32)> = PROGRAMS.into_iter().zip(entries.iter().copied().cycle()).collect();
        let lanes = Lanes::new(code(slots, &entries), &names, CPUS);
        for lane in &lanes.0 {
            let host = |name| lane.maps.host(lane.maps.find(name).unwrap()).unwrap();
            let inner = lane.maps.find("inner").unwrap();
            host("hash_of_maps").set_map(&[3, 0, 0, 0], inner, 0).unwrap();
            for (name, value) in
                [("devmap", &[2, 0, 0, 0][..]), ("devmap_hash", &[3, 0, 0, 0, 0, 0, 0, 0]), ("cpumap", &[64, 0, 0, 0])]
            {
                host(name).update(&[1, 0, 0, 0], value, 0).unwrap();
            }
            host("lpm").update(&[8, 0, 0, 0, 0x80, 0, 0, 0], &[1; 8], 0).unwrap();
            host("hash").update(&[2, 0, 0, 0], &[2; 16], 0).unwrap();
        }
        Self(lanes)
    }

    /// `None` if the verifier refuses it.
    pub(crate) fn verified(slots: &[Slot], starts: &[usize]) -> Option<Self> {
        let entries: Vec<u32> = starts.iter().map(|start| *start as u32).collect();
        Module::compile(code(slots, &entries), Backend::Interpreter).ok().map(|_| Self::new(slots, starts))
    }

    pub(crate) fn run(&mut self, bytes: &[u8], fuel: u64) -> Outcome {
        let outcome = self.0.run(Packet { bytes, ingress_ifindex: INTERFACE, rx_queue_index: QUEUE }, fuel);
        self.0.compare_maps(CPUS);
        outcome
    }
}

fn code<'a>(slots: &'a [Slot], entries: &'a [u32]) -> Code<'a> {
    Code { slots, entries, maps: &MAPS, target: Target::Packet }
}
