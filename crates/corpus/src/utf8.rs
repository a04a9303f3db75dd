//! Text that is read piece by piece: [`Utf8Reader`] gives whole characters.

use std::io::Read;

use crate::{CorpusError, Result};

/// The byte order mark.
const MARK: char = '\u{feff}';

/// Reads whole characters. A byte order mark at the beginning is left out, unless it is kept.
pub(crate) struct Utf8Reader<R> {
    reader: R,
    name: String,
    /// Whether bytes that are not UTF-8 are replaced by U+FFFD.
    is_lossy: bool,
    keeps_mark: bool,
    /// The beginning of a character whose end is not read yet.
    waiting: Vec<u8>,
    /// Bytes before those that wait.
    n_read: u64,
    has_ended: bool,
}

impl<R: Read> Utf8Reader<R> {
    pub(crate) fn new(reader: R, name: &str, is_lossy: bool) -> Self {
        let name = name.to_owned();
        Self { reader, name, is_lossy, keeps_mark: false, waiting: Vec::new(), n_read: 0, has_ended: false }
    }

    /// With a byte order mark at the beginning kept: the reader gives a document's own text, and not a file.
    pub(crate) fn keeping_mark(self) -> Self {
        Self { keeps_mark: true, ..self }
    }

    /// Says that the reader is at this byte of the text.
    pub(crate) fn at(self, n_read: u64) -> Self {
        Self { n_read, ..self }
    }

    /// Whether all has been read.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The name of the text.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// About `n` more bytes of text; fewer only at its end.
    pub(crate) fn read(&mut self, n: usize) -> Result<String> {
        let n = n.max(4); // a character
        let mut bytes = std::mem::take(&mut self.waiting);
        let wanted = n + bytes.len();
        (&mut self.reader).take(n as u64).read_to_end(&mut bytes).map_err(CorpusError::io(&self.name))?;
        self.has_ended = bytes.len() < wanted;
        let drops_mark = self.n_read == 0 && !self.keeps_mark;
        let whole = self.whole_characters(&bytes)?;
        self.waiting = bytes.split_off(whole);
        self.n_read += whole as u64;
        let mut text = decoded(bytes);
        if drops_mark && text.starts_with(MARK) {
            text.drain(..MARK.len_utf8());
        }
        Ok(text)
    }

    /// The next `n` bytes, the last of which may be the beginning of a character that continues after them.
    pub(crate) fn read_whole_characters(&mut self, n: usize) -> Result<String> {
        let text = self.read(n)?;
        self.has_ended = true;
        Ok(text)
    }

    /// How many of the bytes are whole characters, or will be replaced.
    fn whole_characters(&self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        loop {
            let Err(error) = std::str::from_utf8(&bytes[at..]) else { return Ok(bytes.len()) };
            let broken = at + error.valid_up_to();
            match error.error_len() {
                None if !self.has_ended => return Ok(broken),
                _ if !self.is_lossy => {
                    return Err(CorpusError::NotUtf8 { name: self.name.clone(), offset: self.n_read + broken as u64 });
                }
                None => return Ok(bytes.len()),
                Some(length) => at = broken + length,
            }
        }
    }
}

/// Bytes as text; what is not UTF-8 is replaced.
pub(crate) fn decoded(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], n: usize, is_lossy: bool) -> Result<String> {
        let mut reader = Utf8Reader::new(bytes, "a.txt", is_lossy);
        let mut text = String::new();
        while !reader.has_ended() {
            text.push_str(&reader.read(n)?);
        }
        Ok(text)
    }

    #[test]
    fn characters_are_whole_however_the_text_is_cut() {
        let text = "aé日本𝄞\r\nz".repeat(20);
        (1..30).for_each(|n| assert_eq!(all(text.as_bytes(), n, false).unwrap(), text, "{n}"));
        assert_eq!(all(b"", 7, false).unwrap(), "");
    }

    #[test]
    fn a_byte_order_mark_is_left_out_at_the_beginning_alone() {
        let marked = "\u{feff}one \u{feff}two";
        (1..20).for_each(|n| assert_eq!(all(marked.as_bytes(), n, false).unwrap(), "one \u{feff}two", "{n}"));
    }

    #[test]
    fn bytes_that_are_no_text_are_named_or_replaced() {
        let broken = [&"é".repeat(50).into_bytes()[..], &[0xff, 0xfe], b"tail \xe6\x97"].concat();
        for n in 1..40 {
            let message = all(&broken, n, false).unwrap_err().to_string();
            assert!(message.starts_with("a.txt is not UTF-8 at byte 100:"), "{n}: {message}");
            assert_eq!(all(&broken, n, true).unwrap(), String::from_utf8_lossy(&broken), "{n}");
        }
        let cut = &"é".repeat(200).into_bytes()[..399];
        assert!(all(cut, 100, false).unwrap_err().to_string().contains("at byte 398"));
    }
}
