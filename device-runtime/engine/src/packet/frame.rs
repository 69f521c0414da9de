//! Where a packet is in its buffer, and the helpers that move its ends.

use nearside_programs::abi::packet::{
    BUFFER_LEN, CONTEXT_LEN, DATA, DATA_END, DATA_META, ETHERNET_HEADER_LEN, FRAME_HEADER_LEN, HEADROOM, INGRESS_IFINDEX,
    METADATA_LEN_MAX, RX_QUEUE_INDEX, TAIL_LEN,
};

use super::helpers::{ACCESS, FAULT, INVALID, Result, bytes_cost, copied, errno};
use crate::fuel::Fuel;
use crate::maps::PacketBytes;
use crate::memory::Memory;

/// The kernel's bound on what `xdp_load_bytes` and `xdp_store_bytes` move, and from where.
const TRANSFER_MAX: u64 = 0xffff;

/// Cage addresses of a packet. Programs see a copy of these in the context, which they cannot write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    context: u32,
    /// First address a program's data or metadata may have.
    start: u32,
    /// Address behind the last one.
    end: u32,
    pub(super) data_meta: u32,
    pub(super) data: u32,
    pub(super) data_end: u32,
}

impl Frame {
    /// A packet of `len` bytes that has just come.
    pub(super) fn new(context: u32, buffer: u32, len: u32) -> Self {
        let data = buffer + HEADROOM;
        let data_end = data + len;
        let end = data_end.max(buffer + BUFFER_LEN - TAIL_LEN);
        Self { context, start: buffer + FRAME_HEADER_LEN, end, data_meta: data, data, data_end }
    }

    /// The context of a packet that has just come.
    pub(super) fn context(&self, ingress_ifindex: u32, rx_queue_index: u32) -> [u8; CONTEXT_LEN as usize] {
        let mut context = [0; CONTEXT_LEN as usize];
        let fields = [(INGRESS_IFINDEX, ingress_ifindex), (RX_QUEUE_INDEX, rx_queue_index)];
        for (offset, value) in self.moving().into_iter().chain(fields) {
            context[offset as usize..][..4].copy_from_slice(&value.to_le_bytes());
        }
        context
    }

    /// Fields of the context that helpers change.
    fn moving(&self) -> [(i16, u32); 3] {
        [(DATA, self.data), (DATA_END, self.data_end), (DATA_META, self.data_meta)]
    }

    /// Tells the program where its packet is now.
    fn publish(&self, memory: &mut Memory<'_>) -> Result {
        for (offset, value) in self.moving() {
            let address = u64::from(self.context) + offset as u64;
            memory.write_as_host(address, 4)?.copy_from_slice(&value.to_le_bytes());
        }
        Ok(0)
    }

    /// Bytes of the packet.
    pub(super) fn len(&self) -> u32 {
        self.data_end - self.data
    }

    pub(super) fn packet_bytes(&self) -> PacketBytes {
        PacketBytes { address: self.data, len: self.len() }
    }

    pub(super) fn is_context(&self, address: u64) -> bool {
        address as u32 == self.context
    }

    /// Metadata moves along, as in the kernel.
    pub(super) fn adjust_head(&mut self, delta: u64, memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        let metadata_len = self.data - self.data_meta;
        let delta = i64::from(delta as i32);
        let data = i64::from(self.data) + delta;
        let lowest = i64::from(self.start + metadata_len);
        let highest = i64::from(self.data_end) - i64::from(ETHERNET_HEADER_LEN);
        if !(lowest..=highest).contains(&data) {
            return errno(INVALID);
        }
        fuel.charge(bytes_cost(metadata_len.into()))?;
        let metadata = memory.read(self.data_meta.into(), metadata_len as usize)?.to_vec();
        self.data = data as u32;
        self.data_meta = self.data - metadata_len;
        memory.write(self.data_meta.into(), metadata.len())?.copy_from_slice(&metadata);
        self.publish(memory)
    }

    pub(super) fn adjust_meta(&mut self, delta: u64, memory: &mut Memory<'_>) -> Result {
        let data_meta = i64::from(self.data_meta) + i64::from(delta as i32);
        if !(i64::from(self.start)..=i64::from(self.data)).contains(&data_meta) {
            return errno(INVALID);
        }
        let len = self.data - data_meta as u32;
        if !len.is_multiple_of(4) || len > METADATA_LEN_MAX {
            return errno(ACCESS);
        }
        self.data_meta = data_meta as u32;
        self.publish(memory)
    }

    /// Bytes that a packet gains are zero.
    pub(super) fn adjust_tail(&mut self, delta: u64, memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        let data_end = i64::from(self.data_end) + i64::from(delta as i32);
        if !(i64::from(self.data + ETHERNET_HEADER_LEN)..=i64::from(self.end)).contains(&data_end) {
            return errno(INVALID);
        }
        let gained = (data_end - i64::from(self.data_end)).max(0) as usize;
        fuel.charge(bytes_cost(gained as u64))?;
        memory.write(self.data_end.into(), gained)?.fill(0);
        self.data_end = data_end as u32;
        self.publish(memory)
    }

    pub(super) fn load_bytes(&self, transfer: Transfer, memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        let (address, len) = match self.inside(transfer) {
            Ok(range) => range,
            Err(error) => return errno(error),
        };
        fuel.charge(bytes_cost(len as u64))?;
        let bytes = copied(address, len, memory)?;
        memory.copy_in(transfer.address, &bytes)?;
        Ok(0)
    }

    pub(super) fn store_bytes(&self, transfer: Transfer, memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result {
        let (address, len) = match self.inside(transfer) {
            Ok(range) => range,
            Err(error) => return errno(error),
        };
        fuel.charge(bytes_cost(len as u64))?;
        let bytes = copied(transfer.address, len, memory)?;
        memory.copy_in(address, &bytes)?;
        Ok(0)
    }

    /// Where the packet's side of a transfer is, or the error number.
    fn inside(&self, Transfer { offset, len, .. }: Transfer) -> std::result::Result<(u64, usize), i32> {
        let (offset, len) = (u64::from(offset), u64::from(len));
        if offset > TRANSFER_MAX || len > TRANSFER_MAX {
            return Err(FAULT);
        }
        if offset + len > u64::from(self.len()) {
            return Err(INVALID);
        }
        Ok((u64::from(self.data) + offset, len as usize))
    }
}

/// What `xdp_load_bytes` and `xdp_store_bytes` are asked for.
#[derive(Clone, Copy)]
pub(super) struct Transfer {
    /// Bytes from the packet's begin.
    offset: u32,
    /// The program's own buffer.
    address: u64,
    /// Bytes to move.
    len: u32,
}

impl Transfer {
    /// From r2 to r4.
    pub(super) fn new(offset: u64, address: u64, len: u64) -> Self {
        Self { offset: offset as u32, address, len: len as u32 }
    }
}
