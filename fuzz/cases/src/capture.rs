//! A capture of a stranger: pcap, pcapng, compressed or not. Reading it ends, in packets or an error, each packet's memory bounded.

use std::io::Cursor;
use std::path::Path;

use nearside_run::xdp::Capture;

use crate::Target;

/// Longest input, bytes.
const INPUT_LEN_MAX: usize = 32 << 10;
/// Most packets that are looked at: of a small file that was compressed there may be very many.
const PACKETS_MAX: usize = 20_000;

pub(crate) const TARGET: Target = Target { name: "capture", memory: (16 << 20, 0), prepare: || (), check, seeds };

fn check(input: &[u8]) -> bool {
    if input.len() > INPUT_LEN_MAX {
        return false;
    }
    let Ok(mut capture) = Capture::read(Path::new("fuzzed"), Box::new(Cursor::new(input.to_vec()))) else { return true };
    for _ in 0..PACKETS_MAX {
        match capture.next() {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return true,
        }
    }
    true
}

/// Two packets in every form, written by hand.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (magic, bytes) in [(0xa1b2_c3d4_u32, u32::to_le_bytes as fn(u32) -> [u8; 4]), (0xa1b2_3c4d, u32::to_be_bytes)] {
        let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| bytes(*word)).collect() };
        let version = if bytes(1)[0] == 1 { 4 << 16 | 2 } else { 2 << 16 | 4 };
        let packet = |len: u32| [words(&[1, 2, len, len + 10]), vec![7; len as usize]].concat();
        seeds.push([words(&[magic, version, 0, 0, 65_535, 1]), packet(60), packet(3)].concat());
    }
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes(), &len, body, &len].concat()
    };
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    let interface = block(1, &words(&[1, 65_535, 9 << 24 | 1, 0]));
    let enhanced = block(6, &[words(&[0, 0, 5, 4, 60]), vec![1, 2, 3, 4]].concat());
    let simple = block(3, &[words(&[4]), vec![5, 6, 7, 8]].concat());
    seeds.push([section, interface, enhanced, simple].concat());
    // Nothing, stored: a gzip file of one block.
    let stored = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 24, 0, 0xe7, 0xff], &seeds[0][..24]].concat();
    seeds.push(stored);
    seeds
}
