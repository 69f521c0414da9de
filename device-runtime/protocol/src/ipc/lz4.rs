//! How much a compressed Arrow buffer can grow to, from its block headers: the decoder itself would go on until memory ends.

/// "What follows is not compressed", in the place of the length.
const UNCOMPRESSED: i64 = -1;
/// First bytes of an LZ4 frame.
const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Set in a block's size: its bytes are not compressed.
const STORED: u32 = 1 << 31;

/// Most bytes that a buffer of a compressed message (8 bytes of length, then one LZ4 frame) decompresses to.
///
/// `None` if it is not such a buffer, or holds more than it says. An upper bound: a frame's last block may be short.
pub(super) fn decoded_len(buffer: &[u8]) -> Option<usize> {
    let (len, frame) = buffer.split_first_chunk::<8>()?;
    match i64::from_le_bytes(*len) {
        UNCOMPRESSED => Some(frame.len()),
        0 => Some(0),
        len => {
            let len = usize::try_from(len).ok()?;
            let (most, block_max) = frame_len_max(frame)?;
            (most <= len.checked_add(block_max)?).then_some(most.max(len))
        }
    }
}

/// Most bytes the blocks of a frame hold, and most that one of them does (LZ4 frame format 1.6.2, "Frame Descriptor", "Data Blocks").
fn frame_len_max(frame: &[u8]) -> Option<(usize, usize)> {
    let (&[flags, blocks], rest) = frame.strip_prefix(&MAGIC)?.split_first_chunk::<2>()?;
    let block_max = match blocks >> 4 & 0b111 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return None,
    };
    let block_checksum = if flags & 0b1_0000 != 0 { 4 } else { 0 };
    let content_size = if flags & 0b1000 != 0 { 8 } else { 0 };
    let content_checksum = if flags & 0b100 != 0 { 4 } else { 0 };
    if flags & 1 != 0 {
        return None; // a dictionary that nobody has
    }
    let mut rest = rest.get(content_size + 1..)?; // the header's checksum is one byte
    let mut most = 0_usize;
    loop {
        let (size, tail) = rest.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            // Nothing may follow: a second frame would be decoded too.
            return (tail.len() == content_checksum).then_some((most, block_max));
        }
        let stored = (size & !STORED) as usize;
        most = most.checked_add(if size & STORED != 0 { stored } else { block_max })?;
        rest = tail.get(stored.checked_add(block_checksum)?..)?;
    }
}
