//! JSON as Python's `json.dumps` writes it: [`to_json`].

use std::io::{self, Write};

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The filter `tojson` of transformers, with its arguments. Nothing is escaped for HTML.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let failed = |reason: String| Error::new(ErrorKind::BadSerialization, reason);
    let layout = Layout::read(&options)?;
    let is_sorted = options.get::<Option<bool>>("sort_keys")? == Some(true);
    options.assert_all_used()?;
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, layout);
    let written = if is_sorted {
        serde_json::to_value(value).and_then(|mut value| {
            value.sort_all_objects();
            value.serialize(&mut serializer)
        })
    } else {
        value.serialize(&mut serializer)
    };
    written.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(out).map_err(|error| failed(error.to_string()))
}

/// How JSON is written.
struct Layout {
    /// Between entries, and between a key and its value.
    separators: [String; 2],
    /// Spaces for each level, where every entry has a line.
    indent: Option<u8>,
    /// Whether characters that are not ASCII are escaped.
    ensure_ascii: bool,
    level: usize,
    /// Whether the list or object has no entry yet.
    is_empty: bool,
}

impl Layout {
    fn read(options: &Kwargs) -> Result<Self, Error> {
        let indent: Option<u8> = options.get("indent")?;
        let comma = if indent.is_some() { "," } else { ", " };
        let separators: [String; 2] = match options.get::<Option<Vec<String>>>("separators")? {
            Some(given) => given
                .try_into()
                .map_err(|_| Error::new(ErrorKind::InvalidOperation, "the separators of tojson are two texts"))?,
            None => [comma, ": "].map(str::to_owned),
        };
        let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")? == Some(true);
        Ok(Self { separators, indent, ensure_ascii, level: 0, is_empty: true })
    }

    fn open<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        (self.level, self.is_empty) = (self.level + 1, true);
        out.write_all(bracket)
    }

    fn entry<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.is_empty = false;
        if !first {
            out.write_all(self.separators[0].as_bytes())?;
        }
        self.new_line(out)
    }

    fn close<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level -= 1;
        if !self.is_empty {
            self.new_line(out)?;
        }
        self.is_empty = false; // it is an entry of what it is in
        out.write_all(bracket)
    }

    fn new_line<W: Write + ?Sized>(&self, out: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(out, "\n{}", " ".repeat(usize::from(indent) * self.level)),
            None => Ok(()),
        }
    }
}

impl Formatter for Layout {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.entry(out, first)
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.entry(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.separators[1].as_bytes())
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ensure_ascii {
            return out.write_all(fragment.as_bytes());
        }
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ b' '..=b'~') => out.write_all(&[byte])?,
                _ => write!(out, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}
