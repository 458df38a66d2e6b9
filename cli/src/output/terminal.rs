//! What a terminal gets to see. Much of what is printed was written by others, and a terminal obeys
//! control characters: they could hide what is said, or say something else.

use std::io::{self, Write};

/// Shows control characters instead of sending them. Lines, tabs and colours go through.
pub(crate) struct Terminal<W: Write> {
    inner: W,
    /// The beginning of what may be a colour, or of a character of two bytes.
    held: Vec<u8>,
}

impl<W: Write> Terminal<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, held: Vec::new() }
    }

    fn write_byte(&mut self, byte: u8) -> io::Result<()> {
        match (self.held.as_slice(), byte) {
            ([], 0x1b | 0xc2) | ([0x1b], b'[') | ([0x1b, b'[', ..], b'0'..=b'9' | b';') => {
                self.held.push(byte);
                Ok(())
            }
            ([0x1b, b'[', ..], b'm') | ([0xc2], 0xa0..=0xbf) => {
                self.held.push(byte);
                self.inner.write_all(&std::mem::take(&mut self.held))
            }
            // The control characters above ASCII.
            ([0xc2], 0x80..=0x9f) => {
                self.held.clear();
                self.inner.write_all("\u{fffd}".as_bytes())
            }
            ([], b'\n' | b'\t') => self.inner.write_all(&[byte]),
            ([], 0..=0x1f | 0x7f) => self.inner.write_all(&[b'^', byte ^ 0x40]),
            ([], _) => self.inner.write_all(&[byte]),
            _ => {
                self.release()?;
                self.write_byte(byte)
            }
        }
    }

    /// Writes what turned out to be no colour.
    fn release(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        match held.split_first() {
            Some((0x1b, rest)) => {
                self.inner.write_all(b"^[")?;
                self.inner.write_all(rest)
            }
            _ => self.inner.write_all(&held),
        }
    }
}

impl<W: Write> Write for Terminal<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        buffer.iter().try_for_each(|byte| self.write_byte(*byte))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.release()?;
        self.inner.flush()
    }
}

/// A text of others that stands in a line of ours: it cannot begin another one.
pub(crate) fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_colours_stay() {
        for (written, expected) in [
            ("plain, ünïcode 語\n\tx", "plain, ünïcode 語\n\tx"),
            ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            ("\x1b[2J\x1b[H gone", "^[[2J^[[H gone"),
            ("\x1b]0;title\x07", "^[]0;title^G"),
            ("a\rb\x08\x7f", "a^Mb^H^?"),
            ("\u{9b}2J é £", "\u{fffd}2J é £"),
            ("\x1b\x1b[1m", "^[\x1b[1m"),
            ("at the end \x1b[2", "at the end ^[[2"),
        ] {
            let mut whole = Vec::new();
            let mut terminal = Terminal::new(&mut whole);
            terminal.write_all(written.as_bytes()).expect("memory takes it");
            terminal.flush().expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&whole), expected);
            let mut pieces = Terminal::new(Vec::new());
            for byte in written.as_bytes() {
                pieces.write_all(&[*byte]).expect("memory takes it");
            }
            pieces.flush().expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&pieces.inner), expected);
        }
    }
}
