//! Passing over a list or map, 64 bytes at a time: one bit for each byte says what it is.
//! `wide` gives the machine's vector instructions (SSE2, NEON, or plain code) behind a safe API.

use wide::u8x16;

const BLOCK: usize = 64;

/// Where a list or map ends that begins at `start`; `None` if it does not.
pub(crate) fn end_of_nested(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_u32;
    let mut strings = Strings::default();
    let mut at = start;
    while at < bytes.len() {
        let block = block_at(bytes, at);
        let quotes_and_escapes = [equal(&block, b'"'), equal(&block, b'\\')];
        let outside = !strings.inside(quotes_and_escapes);
        // Braces and brackets differ from each other by this bit alone.
        let folded = block.map(|part| part | u8x16::splat(0x20));
        let opens = equal(&folded, b'{') & outside;
        let mut closes = equal(&folded, b'}') & outside;
        if depth > closes.count_ones() {
            depth = depth + opens.count_ones() - closes.count_ones();
        } else {
            // The end may be in this block: look at one closing brace after the other.
            let mut seen = 0;
            while closes != 0 {
                let position = closes.trailing_zeros();
                seen += 1;
                let opened = (opens & ((1 << position) - 1)).count_ones();
                if depth + opened == seen {
                    return Some(at + position as usize + 1);
                }
                closes &= closes - 1;
            }
            depth = depth + opens.count_ones() - seen;
        }
        at += BLOCK;
    }
    None
}

/// What the blocks so far leave behind for the next.
#[derive(Default)]
struct Strings {
    /// All bits set while a string goes on.
    open: u64,
    /// The lowest bit set when the next byte is escaped.
    escaped: u64,
}

impl Strings {
    /// The bytes of a block that are inside of strings, opening quotes included.
    fn inside(&mut self, [quotes, backslashes]: [u64; 2]) -> u64 {
        let quotes = quotes & !self.escaped_bytes(backslashes);
        // Each bit becomes the parity of the quotes up to it.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.open;
        self.open = if inside >> (BLOCK - 1) == 1 { u64::MAX } else { 0 };
        inside
    }

    fn escaped_bytes(&mut self, backslashes: u64) -> u64 {
        let mut escaped = self.escaped;
        let mut left = backslashes & !escaped;
        self.escaped = 0;
        while left != 0 {
            let position = left.trailing_zeros();
            if position == 63 {
                self.escaped = 1;
                break;
            }
            escaped |= 2 << position;
            left &= !(3 << position);
        }
        escaped
    }
}

/// The block that starts at `at`; past the end of the text stands nothing that counts.
fn block_at(bytes: &[u8], at: usize) -> [u8x16; 4] {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut padded = [b' '; BLOCK];
    let block = rest.first_chunk::<BLOCK>().unwrap_or_else(|| {
        padded[..rest.len()].copy_from_slice(rest);
        &padded
    });
    let (parts, _) = block.as_chunks::<16>();
    std::array::from_fn(|part| u8x16::new(parts[part]))
}

/// A bit for each byte of the block that equals `byte`.
fn equal(block: &[u8x16; 4], byte: u8) -> u64 {
    let wanted = u8x16::splat(byte);
    block
        .iter()
        .rev()
        .fold(0, |bits, part| bits << 16 | u64::from(part.simd_eq(wanted).to_bitmask()))
}
