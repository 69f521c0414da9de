//! An XDP program that counts packets by protocol in its own global data, called for a packet.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use nearside_engine::packet::{Environment, Mode, Packet, PacketCage};
use nearside_engine::{Backend, Code, Fuel, MapLimits, MapSetup, Maps, Module};
use nearside_programs::builder::Builder;
use nearside_programs::isa::{AtomicOp, Instruction, JumpOp, Reg, Size, WideSource};
use nearside_programs::manifest::Target;
use nearside_programs::{MapSpec, Object};

use super::subject::Subject;

/// Where an Ethernet frame has the protocol of an IPv4 packet.
const PROTOCOL_AT: i16 = 23;
const UDP: u8 = 17;
/// `XDP_PASS`.
const PASS: i32 = 2;
const FUEL: u64 = 1 << 20;
/// A counter of 8 bytes for each protocol.
const COUNTERS_LEN: u32 = 256 * 8;

pub(super) struct Packets {
    object: Vec<u8>,
    packet: Vec<u8>,
}

impl Packets {
    pub(super) fn new() -> Result<Self> {
        let mut packet = vec![0; 64];
        packet[PROTOCOL_AT as usize] = UDP;
        Ok(Self { object: object()?.write(), packet })
    }
}

/// The program and its map.
pub(super) struct Counting {
    object: Object,
    entry: u32,
    module: Module,
}

pub(super) struct Worker {
    cage: PacketCage,
    environment: Environment,
}

impl Subject for Packets {
    type Program = Counting;
    type Instance = Arc<Maps>;
    type Worker = Worker;

    fn name(&self) -> &'static str {
        "XDP counter"
    }

    fn load(&self) -> Result<Counting> {
        let object = Object::read(&self.object)?;
        let entry = object.functions.first().context("no function")?.start;
        let code = Code { slots: &object.code, entries: &[entry], maps: &object.maps, target: Target::Packet };
        let module = Module::compile(code, Backend::Jit)?;
        ensure!(module.backend() == Backend::Jit, "{:?}", module.fallback());
        Ok(Counting { object, entry, module })
    }

    fn worker(&self) -> Result<Worker> {
        Ok(Worker { cage: PacketCage::new()?, environment: Environment::new(0, 1) })
    }

    fn instance(&self, program: &Counting) -> Result<Arc<Maps>> {
        Ok(Maps::new(&program.object.maps, &MapSetup { cpus: 1, limits: MapLimits::default(), entries: &[] })?)
    }

    fn call(&self, program: &Counting, worker: &mut Worker, maps: Arc<Maps>) -> Result<Arc<Maps>> {
        worker.cage.attach(&maps)?;
        let packet = Packet { bytes: &self.packet, ingress_ifindex: 1, rx_queue_index: 0 };
        let Worker { cage, environment } = worker;
        let verdict = cage.run(&program.module, program.entry, packet, &mut Fuel(FUEL), environment, Mode::Run)?;
        ensure!(verdict.result == Ok(PASS as u32), "{verdict:?}");
        cage.detach()?;
        Ok(maps)
    }

    fn result(&self, maps: Arc<Maps>) -> Result<u64> {
        let counters = maps.host(0).context("there is no map")?.lookup(&0_u32.to_le_bytes())?.context("there is no data")?;
        Ok(u64::from_le_bytes(counters[8 * UDP as usize..][..8].try_into()?))
    }

    fn once(&self) -> u64 {
        1
    }
}

fn object() -> Result<Object> {
    let mut b = Builder::new();
    let drop = b.label();
    b.function("count");
    b.load(Size::W, Reg::R2, Reg::R1, 0).load(Size::W, Reg::R3, Reg::R1, 4);
    b.mov(Reg::R4, Reg::R2).add(Reg::R4, i32::from(PROTOCOL_AT) + 1).branch(JumpOp::Gt, Reg::R4, Reg::R3, drop);
    b.load(Size::B, Reg::R2, Reg::R2, PROTOCOL_AT).lsh(Reg::R2, 3);
    b.emit(Instruction::LoadImm64 { dst: Reg::R3, source: WideSource::MapValueByIndex, value: 0 });
    b.add(Reg::R3, Reg::R2).mov(Reg::R4, 1);
    b.emit(Instruction::Atomic { size: Size::D, op: AtomicOp::Add, fetch: false, base: Reg::R3, offset: 0, src: Reg::R4 });
    b.mov(Reg::R0, PASS).exit();
    b.bind(drop).mov(Reg::R0, 1).exit();
    let assembled = b.finish()?;
    let counters = MapSpec::global_data(".bss", COUNTERS_LEN, Vec::new());
    Ok(Object {
        code: assembled.code,
        functions: assembled.functions,
        maps: vec![counters],
        manifest: None,
        license: String::new(),
    })
}
