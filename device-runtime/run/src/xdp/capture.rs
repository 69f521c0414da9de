//! Captures: pcap of either byte order and resolution, pcapng, both also compressed by gzip; and a pcap for each action.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use nearside_programs::abi::packet::Action;
use pcap_file::pcap::{PcapHeader, PcapReader, PcapTsResolution, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, Endianness};

/// Most bytes of a record or block.
const RECORD_LEN_MAX: usize = 1 << 20;
/// What the files we write promise to keep to.
const SNAPLEN: u32 = 262_144;

/// First bytes of files.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A packet of a capture.
#[derive(Debug, PartialEq, Eq)]
pub struct Captured {
    /// Seconds, and the fraction in the file's resolution.
    time: (u32, u32),
    /// Bytes it had on the wire.
    original_len: u32,
    /// What is there of them.
    pub bytes: Vec<u8>,
}

/// A capture, packet by packet.
pub struct Capture {
    path: PathBuf,
    format: Format,
    header: PcapHeader,
}

enum Format {
    Pcap(PcapReader<Box<dyn Read>>),
    /// The packets of a block that were looked at to learn the link type wait here.
    PcapNg {
        reader: Box<PcapNgReader<Box<dyn Read>>>,
        first: Option<Captured>,
    },
}

impl Capture {
    /// A file's, whatever its format.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || Self::read(path, Box::new(File::open(path)?));
        open().with_context(|| format!("capture {}", path.display()))
    }

    /// What a file of that name holds.
    ///
    /// # Errors
    /// It is no capture.
    pub fn read(path: &Path, reader: Box<dyn Read>) -> anyhow::Result<Self> {
        let (reader, magic) = peek(reader)?;
        let (reader, magic) =
            if magic.starts_with(&GZIP) { peek(Box::new(MultiGzDecoder::new(BufReader::new(reader))))? } else { (reader, magic) };
        if magic == PCAPNG {
            return Self::pcapng(path, PcapNgReader::with_capacity(reader, RECORD_LEN_MAX)?);
        }
        let reader = PcapReader::with_capacity(reader, RECORD_LEN_MAX)?;
        let header = PcapHeader { snaplen: SNAPLEN, ..reader.header() };
        Ok(Self { path: path.into(), format: Format::Pcap(reader), header })
    }

    /// The link type is the first packet's: a pcap file has only one.
    fn pcapng(path: &Path, mut reader: PcapNgReader<Box<dyn Read>>) -> anyhow::Result<Self> {
        let first = next_block(&mut reader)?;
        let datalink = first.as_ref().map_or(DataLink::ETHERNET, |(_, datalink)| *datalink);
        let header = PcapHeader {
            snaplen: SNAPLEN,
            datalink,
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let format = Format::PcapNg { reader: Box::new(reader), first: first.map(|(packet, _)| packet) };
        Ok(Self { path: path.into(), format, header })
    }

    /// The next packet, if there is one.
    ///
    /// # Errors
    /// What is there is no packet, or one that cannot stand beside those before it.
    #[expect(clippy::should_implement_trait, reason = "after an error there is no next one")]
    pub fn next(&mut self) -> anyhow::Result<Option<Captured>> {
        let next = match &mut self.format {
            Format::Pcap(reader) => next_record(reader),
            Format::PcapNg { first: first @ Some(_), .. } => Ok(first.take()),
            Format::PcapNg { reader, .. } => next_block(reader).and_then(|next| match next {
                Some((_, datalink)) if datalink != self.header.datalink => Err(anyhow!(
                    "packets of link types {} and {}; run them apart, as what is written has one",
                    u32::from(self.header.datalink),
                    u32::from(datalink)
                )),
                next => Ok(next.map(|(packet, _)| packet)),
            }),
        };
        next.with_context(|| format!("capture {}", self.path.display()))
    }
}

/// Looks at the first bytes without taking them.
fn peek(mut reader: Box<dyn Read>) -> anyhow::Result<(Box<dyn Read>, Vec<u8>)> {
    let mut magic = Vec::new();
    reader.by_ref().take(PCAPNG.len() as u64).read_to_end(&mut magic)?;
    Ok((Box::new(std::io::Cursor::new(magic.clone()).chain(reader)), magic))
}

fn next_record(reader: &mut PcapReader<Box<dyn Read>>) -> anyhow::Result<Option<Captured>> {
    let Some(record) = reader.next_raw_packet() else { return Ok(None) };
    let RawPcapPacket { ts_sec, ts_frac, orig_len, data, .. } = record?;
    Ok(Some(Captured { time: (ts_sec, ts_frac), original_len: orig_len, bytes: data.into_owned() }))
}

/// The next packet of any kind of block, and its link type.
fn next_block(reader: &mut PcapNgReader<Box<dyn Read>>) -> anyhow::Result<Option<(Captured, DataLink)>> {
    while let Some(block) = reader.next_block() {
        let (block, _) = block?;
        let (interface, timestamp, original_len, bytes) = match block {
            Block::EnhancedPacket(packet) => {
                (packet.interface_id, packet.timestamp, packet.original_len, packet.data.into_owned())
            }
            Block::Packet(packet) => {
                (packet.interface_id.into(), packet.timestamp, packet.original_len, packet.data.into_owned())
            }
            Block::SimplePacket(packet) => (0, Duration::ZERO, packet.original_len, packet.data.into_owned()),
            _ => continue,
        };
        let Some(description) = reader.interfaces().get(interface as usize) else {
            bail!("a packet of interface {interface}, which the file does not describe");
        };
        let seconds = u32::try_from(timestamp.as_secs()).context("a timestamp beyond the year 2106")?;
        return Ok(Some((Captured { time: (seconds, timestamp.subsec_nanos()), original_len, bytes }, description.linktype)));
    }
    Ok(None)
}

/// A pcap file for each action, in one folder.
pub(super) struct Outputs {
    /// By the action's number.
    files: Vec<(PathBuf, PcapWriter<BufWriter<File>>)>,
}

impl Outputs {
    /// Begins the files, with the capture's link type, resolution and byte order.
    pub(super) fn create(folder: &Path, capture: &Capture) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("output folder {}", folder.display()))?;
        let file = |action: &Action| {
            let path = folder.join(action.name()).with_extension("pcap");
            let begin =
                || -> anyhow::Result<_> { Ok(PcapWriter::with_header(BufWriter::new(File::create(&path)?), capture.header)?) };
            let writer = begin().with_context(|| format!("output {}", path.display()))?;
            anyhow::Ok((path, writer))
        };
        Ok(Self { files: Action::ALL.iter().map(file).collect::<Result<_, _>>()? })
    }

    /// Adds a packet as the program left it.
    pub(super) fn write(&mut self, action: Action, captured: &Captured, bytes: &[u8]) -> anyhow::Result<()> {
        let (path, writer) = &mut self.files[action.number() as usize];
        // What was cut off by whoever captured it is still missing.
        let missing = captured.original_len.saturating_sub(captured.bytes.len() as u32);
        let len = bytes.len() as u32;
        let (ts_sec, ts_frac) = captured.time;
        let packet = RawPcapPacket { ts_sec, ts_frac, incl_len: len, orig_len: len.saturating_add(missing), data: bytes.into() };
        writer.write_raw_packet(&packet).with_context(|| format!("output {}", path.display()))?;
        Ok(())
    }

    /// Writes out what is buffered.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        for (path, writer) in self.files {
            writer.into_inner().flush().with_context(|| format!("output {}", path.display()))?;
        }
        Ok(())
    }
}
