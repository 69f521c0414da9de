//! The helpers that work on maps: one function each, and [`MapHelpers::call`] to find it by number.
//!
//! Arguments are registers: a map is a reference (what `lddw` loads, or a lookup in a map of maps returns), a key or value a cage
//! address. What the kernel's verifier would have refused (no such map, a helper on the wrong kind, a key outside of memory, a record
//! that is nobody's) is a [`HelperFault`]; what the kernel's helper would have returned is returned.

use std::sync::Arc;

use nearside_programs::abi::helper;

use super::{Body, EVENT_LEN_MAX, Map, MapError, Maps, Side, read};
use crate::fuel::Fuel;
use crate::helpers::{HelperFault, Helpers};
use crate::memory::Memory;

/// Ring buffer records that a run may have reserved at a time; with as many, `ringbuf_reserve` returns 0.
pub const RESERVED_MAX: usize = 64;

/// Fuel of any call, in instructions it is worth.
const CALL_COST: u64 = 16;

/// Flags of `ringbuf_output`: whom to wake, which the host decides for itself.
const WAKEUP_FLAGS: u64 = 3;

/// One run's access to the maps of its cage. Make one for each run; when it is dropped, ring buffer records that the run reserved and did
/// not submit are discarded.
#[derive(Debug)]
pub struct MapHelpers {
    cpu: u32,
    reserved: Vec<Reserved>,
}

/// A record that the run has to submit or discard.
#[derive(Debug)]
struct Reserved {
    maps: Arc<Maps>,
    map: usize,
    position: u64,
    /// What the program knows it by.
    address: u64,
}

/// Bytes of the packet that `perf_event_output` may add to a record: cage address and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketBytes {
    /// Of the packet's first byte.
    pub address: u32,
    /// Bytes of the packet.
    pub len: u32,
}

/// What a helper does with its arguments.
type Function = fn(&mut MapHelpers, [u64; 5], &mut Memory<'_>, &mut Fuel) -> Result<u64, HelperFault>;

impl MapHelpers {
    /// For a run on a CPU (a worker), which decides whose values it sees of per-CPU maps. A CPU that the maps do not have faults.
    pub fn new(cpu: u32) -> Self {
        Self { cpu, reserved: Vec::new() }
    }

    /// What `get_smp_processor_id` returns.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Runs helper `number` if it is one of these; `None` if it is not.
    pub fn call(
        &mut self,
        number: u32,
        arguments: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Option<Result<u64, HelperFault>> {
        let function: Function = match number {
            helper::MAP_LOOKUP_ELEM => Self::map_lookup_elem,
            helper::MAP_UPDATE_ELEM => Self::map_update_elem,
            helper::MAP_DELETE_ELEM => Self::map_delete_elem,
            helper::MAP_LOOKUP_PERCPU_ELEM => Self::map_lookup_percpu_elem,
            helper::GET_SMP_PROCESSOR_ID => Self::get_smp_processor_id,
            helper::RINGBUF_OUTPUT => Self::ringbuf_output,
            helper::RINGBUF_RESERVE => Self::ringbuf_reserve,
            helper::RINGBUF_SUBMIT => |helpers, arguments, _, fuel| helpers.end(arguments, false, fuel),
            helper::RINGBUF_DISCARD => |helpers, arguments, _, fuel| helpers.end(arguments, true, fuel),
            helper::RINGBUF_QUERY => Self::ringbuf_query,
            helper::PERF_EVENT_OUTPUT => {
                |helpers, arguments, memory, fuel| helpers.perf_event_output(arguments, None, memory, fuel)
            }
            _ => return None,
        };
        Some(function(self, arguments, memory, fuel))
    }

    fn map_lookup_elem(
        &mut self,
        [map, key, ..]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        self.lookup(map, key, self.cpu, memory, fuel)
    }

    fn map_lookup_percpu_elem(
        &mut self,
        [map, key, cpu, ..]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = find(memory, 1, map)?;
        if !found.values.is_per_cpu() {
            return Err(HelperFault::Argument { index: 1, value: map });
        }
        let cpu = cpu as u32;
        if cpu >= maps.cpus { Ok(0) } else { self.lookup(map, key, cpu, memory, fuel) }
    }

    fn lookup(&self, map: u64, key: u64, cpu: u32, memory: &Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        let (maps, found) = self.find(memory, map)?;
        // Without keys a program could use, as the kernel has it.
        let hidden = matches!(found.body, Body::Programs(_) | Body::Ring(_) | Body::Events(_))
            || found.spec.kind == nearside_programs::MapKind::CpuMap;
        if hidden {
            return Err(HelperFault::Argument { index: 1, value: map });
        }
        let key = read_key(found, key, memory, fuel)?;
        Ok(found.lookup(maps.shared(), &key, cpu).unwrap_or(0))
    }

    fn map_update_elem(
        &mut self,
        [map, key, value, flags, _]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = self.find_writable(memory, map)?;
        let key = read_key(found, key, memory, fuel)?;
        // A new per-CPU entry is zero for the other CPUs.
        let written = if found.values.is_per_cpu() { u64::from(maps.cpus) } else { 1 };
        let value = read_bytes(value, found.values.len, written, memory, fuel)?;
        Ok(returned(found.update(maps.shared(), Side::Program { cpu: self.cpu }, &key, &value, flags)))
    }

    fn map_delete_elem(
        &mut self,
        [map, key, ..]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = self.find_writable(memory, map)?;
        let key = read_key(found, key, memory, fuel)?;
        Ok(returned(found.delete(maps.shared(), &key)))
    }

    fn get_smp_processor_id(&mut self, _: [u64; 5], _: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
        Ok(self.cpu.into())
    }

    fn ringbuf_output(
        &mut self,
        [map, data, len, flags, _]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = self.find(memory, map)?;
        let Body::Ring(ring) = &found.body else { return Err(HelperFault::Argument { index: 1, value: map }) };
        fuel.charge(CALL_COST)?;
        if flags & !WAKEUP_FLAGS != 0 {
            return Ok(MapError::Invalid.returned());
        }
        if len > ring.len() {
            return Ok(MapError::Again.returned());
        }
        let data = read_bytes(data, len as usize, 1, memory, fuel)?;
        let Some(position) = ring.reserve(len) else { return Ok(MapError::Again.returned()) };
        ring.fill(maps.shared(), &found.values, position, &data);
        ring.commit(position, false);
        Ok(0)
    }

    fn ringbuf_reserve(
        &mut self,
        [map, len, flags, ..]: [u64; 5],
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = self.find(memory, map)?;
        let Body::Ring(ring) = &found.body else { return Err(HelperFault::Argument { index: 1, value: map }) };
        fuel.charge(CALL_COST)?;
        if flags != 0 || self.reserved.len() == RESERVED_MAX {
            return Ok(0);
        }
        let Some(position) = ring.reserve(len) else { return Ok(0) };
        let address = ring.address(&found.values, position);
        let map = maps.index_of(found);
        self.reserved.push(Reserved { maps: maps.clone(), map, position, address });
        Ok(address)
    }

    /// `ringbuf_submit` and `ringbuf_discard`.
    fn end(&mut self, [address, ..]: [u64; 5], discard: bool, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        fuel.charge(CALL_COST)?;
        let index = self.reserved.iter().position(|reserved| reserved.address == address);
        let index = index.ok_or(HelperFault::Argument { index: 1, value: address })?;
        self.reserved.swap_remove(index).end(discard);
        Ok(0)
    }

    fn ringbuf_query(&mut self, [map, what, ..]: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        let (_, found) = self.find(memory, map)?;
        let Body::Ring(ring) = &found.body else { return Err(HelperFault::Argument { index: 1, value: map }) };
        fuel.charge(CALL_COST)?;
        Ok(ring.query(what))
    }

    /// `perf_event_output`, whose record ends with as many bytes of `packet` as its flags ask for.
    ///
    /// # Errors
    /// As every helper.
    pub fn perf_event_output(
        &mut self,
        [_, map, flags, data, len]: [u64; 5],
        packet: Option<PacketBytes>,
        memory: &mut Memory<'_>,
        fuel: &mut Fuel,
    ) -> Result<u64, HelperFault> {
        let (maps, found) = find(memory, 2, map)?;
        self.check_cpu(maps)?;
        let Body::Events(events) = &found.body else { return Err(HelperFault::Argument { index: 2, value: map }) };
        fuel.charge(CALL_COST)?;
        let (wanted, packet_len) = (flags as u32, flags >> 32 & 0xf_ffff);
        if flags >> 52 != 0 {
            return Ok(MapError::Invalid.returned());
        }
        if packet_len > u64::from(packet.map_or(0, |packet| packet.len)) {
            return Ok(MapError::Fault.returned());
        }
        let queue = match events.queue(wanted, self.cpu) {
            Ok(queue) => queue,
            Err(error) => return Ok(error.returned()),
        };
        if len.saturating_add(packet_len) > EVENT_LEN_MAX as u64 {
            return Ok(MapError::TooBig.returned());
        }
        let mut record = read_bytes(data, len as usize, 1, memory, fuel)?;
        if let Some(packet) = packet {
            record.extend(read_bytes(packet.address.into(), packet_len as usize, 1, memory, fuel)?);
        }
        Ok(returned(events.push(queue, record)))
    }

    fn find<'a>(&self, memory: &Memory<'a>, map: u64) -> Result<(&'a Arc<Maps>, &'a Map), HelperFault> {
        let (maps, found) = find(memory, 1, map)?;
        self.check_cpu(maps)?;
        Ok((maps, found))
    }

    /// A map that programs may change.
    fn find_writable<'a>(&self, memory: &Memory<'a>, map: u64) -> Result<(&'a Arc<Maps>, &'a Map), HelperFault> {
        let (maps, found) = self.find(memory, map)?;
        let writable = matches!(found.body, Body::Array | Body::Keyed(_) | Body::Prefixes(_)) && !found.spec.is_read_only();
        if writable { Ok((maps, found)) } else { Err(HelperFault::Argument { index: 1, value: map }) }
    }

    fn check_cpu(&self, maps: &Maps) -> Result<(), HelperFault> {
        if self.cpu < maps.cpus { Ok(()) } else { Err(HelperFault::Cpu { cpu: self.cpu, cpus: maps.cpus }) }
    }
}

impl Drop for MapHelpers {
    fn drop(&mut self) {
        self.reserved.drain(..).for_each(|reserved| reserved.end(true));
    }
}

/// For programs that call no other helpers.
impl Helpers for MapHelpers {
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        Self::call(self, number, arguments, memory, fuel).unwrap_or(Err(HelperFault::Missing))
    }
}

impl Reserved {
    fn end(self, discard: bool) {
        if let Body::Ring(ring) = &self.maps.maps[self.map].body {
            ring.commit(self.position, discard);
        }
    }
}

impl Maps {
    /// Index of a map of this instance.
    fn index_of(&self, map: &Map) -> usize {
        self.maps.iter().position(|other| std::ptr::eq(other, map)).unwrap_or(usize::MAX)
    }
}

/// The map that argument `index` refers to.
fn find<'a>(memory: &Memory<'a>, index: u8, map: u64) -> Result<(&'a Arc<Maps>, &'a Map), HelperFault> {
    let maps = memory.maps().ok_or(HelperFault::Argument { index, value: map })?;
    maps.by_reference(index, map).map(|found| (maps, found))
}

fn read_key(map: &Map, address: u64, memory: &Memory<'_>, fuel: &mut Fuel) -> Result<Vec<u8>, HelperFault> {
    let probes = match &map.body {
        Body::Prefixes(prefixes) => read(prefixes).probes() as u64 + 1,
        _ => 1,
    };
    fuel.charge(CALL_COST)?;
    read_bytes(address, map.spec.key_len as usize, probes, memory, fuel)
}

/// Copies an argument; charges for as many passes over it, each word an instruction.
fn read_bytes(address: u64, len: usize, passes: u64, memory: &Memory<'_>, fuel: &mut Fuel) -> Result<Vec<u8>, HelperFault> {
    fuel.charge((len as u64).div_ceil(8).saturating_mul(passes))?;
    memory.check_load(address, len)?;
    let mut bytes = vec![0; len];
    memory.copy_out(address, &mut bytes)?;
    Ok(bytes)
}

fn returned(result: Result<(), MapError>) -> u64 {
    result.map_or_else(MapError::returned, |()| 0)
}
