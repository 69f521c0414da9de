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

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer that says it holds `len` bytes: a frame of 64 KiB blocks, each `block` as it is stored, and what follows the frame.
    fn buffer(len: i64, blocks: usize, block: &[u8], tail: &[u8]) -> Vec<u8> {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0x40, 0x40, 0]);
        for _ in 0..blocks {
            bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(tail);
        bytes
    }

    /// A frame can hold what its blocks can; a buffer whose frame can hold a block more than it says is a lie.
    #[test]
    fn blocks_bound_what_a_buffer_decompresses_to() {
        const BLOCK: usize = 64 << 10;
        let len = |says: usize, blocks| decoded_len(&buffer(says as i64, blocks, b"any", b""));
        assert_eq!(len(10, 1), Some(BLOCK));
        assert_eq!(len(3 * BLOCK, 3), Some(3 * BLOCK));
        assert_eq!(len(2 * BLOCK + 1, 3), Some(3 * BLOCK));
        assert_eq!(len(10, 1_000), None, "65 MB that say they are 10 bytes");
        assert_eq!(len(1 << 40, 1), Some(1 << 40), "refused for what it says");
    }

    /// Anything that is not one whole frame is refused.
    #[test]
    fn only_whole_frames() {
        let good = buffer(10, 1, b"any", b"");
        assert!(decoded_len(&good).is_some());
        for len in 8..good.len() {
            assert_eq!(decoded_len(&good[..len]), None, "{len}");
        }
        assert_eq!(decoded_len(&buffer(10, 1, b"any", &MAGIC)), None, "a second frame");
        assert_eq!(decoded_len(&buffer(-2, 1, b"any", b"")), None);
        assert_eq!(decoded_len(b"short"), None);
        assert_eq!(decoded_len(&[&(-1_i64).to_le_bytes()[..], b"as it is"].concat()), Some(8));
    }
}
