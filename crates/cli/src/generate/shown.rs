//! Generated text on a terminal or in a pipe: [`Writer`], [`printable`].

use std::borrow::Cow;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// A text whose control characters, except new lines and tabs, are escaped, so that a model cannot control the terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out.into()
}

/// Writes text to standard output as it comes.
pub struct Writer {
    failed: Option<io::Error>,
}

impl Writer {
    /// A writer to standard output.
    pub fn new() -> Self {
        Self { failed: None }
    }

    /// Writes a part; whether more can be written.
    pub fn text(&mut self, text: &str) -> bool {
        let mut out = io::stdout().lock();
        let written = write!(out, "{}", printable(text)).and_then(|()| out.flush());
        self.failed = written.err();
        self.failed.is_none()
    }

    /// Ends the line.
    ///
    /// # Errors
    /// When a part could not be written for another reason than a closed pipe.
    pub fn end(mut self) -> Result<()> {
        if self.failed.is_none() {
            self.text("\n");
        }
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_a_terminal() {
        assert_eq!(printable("one\n\ttwo é"), "one\n\ttwo é");
        assert_eq!(printable("\u{1b}[31mred\r"), "\\u{1b}[31mred\\r");
    }
}
