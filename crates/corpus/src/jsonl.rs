//! Documents in JSONL: [`JsonLines`] reads a file line by line, [`text_of`] the text of one.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use stratigraph_core::shown;

use crate::utf8::decoded;
use crate::{CorpusError, Result};

/// The longest line in bytes: a document is in memory as a whole.
const LONGEST: usize = 16 << 20;

/// How lines are read.
#[derive(Debug, Clone)]
pub(crate) struct LineOptions {
    /// The field that holds the text.
    pub(crate) field: String,
    /// Whether bytes that are not UTF-8 are replaced.
    pub(crate) is_lossy: bool,
}

/// A document of a line.
pub(crate) struct Line {
    /// Where the line begins in the file.
    pub(crate) offset: u64,
    pub(crate) text: String,
}

/// The documents of a file, one after the other. Lines of white space are none.
pub(crate) struct JsonLines<'a, R> {
    reader: BufReader<R>,
    name: &'a str,
    options: &'a LineOptions,
    offset: u64,
    line: u64,
    bytes: Vec<u8>,
}

impl<'a, R: Read> JsonLines<'a, R> {
    pub(crate) fn new(reader: R, name: &'a str, options: &'a LineOptions) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, reader), name, options, offset: 0, line: 0, bytes: Vec::new() }
    }

    /// Says that the reader is at this byte of the file.
    pub(crate) fn at_offset(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    /// Reads one line; none at the end.
    fn line(&mut self) -> Result<Option<u64>> {
        let begin = self.offset;
        self.bytes.clear();
        let most = LONGEST as u64 + 1;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.bytes);
        let read = read.map_err(CorpusError::io(self.name))?;
        self.offset += read as u64;
        self.line += 1;
        match read {
            0 => Ok(None),
            _ if read > LONGEST => {
                let longest = LONGEST >> 20;
                Err(self
                    .bad(format!("it is longer than {longest} MiB; cut such documents, or give them as text files")))
            }
            _ => Ok(Some(begin)),
        }
    }

    fn bad(&self, reason: String) -> CorpusError {
        CorpusError::BadLine { name: self.name.to_owned(), line: self.line, reason }
    }

    fn next_document(&mut self) -> Result<Option<Line>> {
        while let Some(offset) = self.line()? {
            let marked = if offset == 0 { self.bytes.strip_prefix("\u{feff}".as_bytes()) } else { None };
            let bytes = marked.unwrap_or(&self.bytes);
            let skipped = self.bytes.len() - bytes.len();
            let text: Cow<str> = match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) if self.options.is_lossy => decoded(bytes.to_vec()).into(),
                Err(error) => {
                    let offset = offset + (skipped + error.valid_up_to()) as u64;
                    return Err(CorpusError::NotUtf8 { name: self.name.to_owned(), offset });
                }
            };
            if text.trim().is_empty() {
                continue;
            }
            let field = &self.options.field;
            let found = match text_of(&text, field) {
                Err(_) if self.options.is_lossy => text_of(&without_lone_surrogates(&text), field),
                found => found,
            };
            return Ok(Some(Line { offset, text: found.map_err(|reason| self.bad(reason))? }));
        }
        Ok(None)
    }
}

impl<R: Read> Iterator for JsonLines<'_, R> {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_document().transpose()
    }
}

/// A line of JSON with U+FFFD in place of escapes of half a character, such as `\ud83d` alone.
fn without_lone_surrogates(line: &str) -> String {
    let escaped = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let (mut whole, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let (length, is_lone): (usize, bool) = match (escaped(escape), escape.get(6..).and_then(escaped)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            _ => (escape.chars().take(2).map(char::len_utf8).sum(), false),
        };
        whole.extend([before, if is_lone { "\\ufffd" } else { &escape[..length] }]);
        rest = &escape[length..];
    }
    whole + rest
}

/// The text of a document; that of `null` is empty.
pub(crate) fn text_of(line: &str, field: &str) -> Result<String, String> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = Field(field).deserialize(&mut deserializer).and_then(|found| deserializer.end().map(|()| found));
    match found.map_err(|error| error.to_string())? {
        Found { text: Some(text), .. } => Ok(text.unwrap_or_default()),
        Found { others, .. } => Err(format!("it has no field `{field}`, but {}", listed(&others))),
    }
}

/// Names in a sentence.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => "is empty".to_owned(),
        names => {
            let names: Vec<_> = names.iter().map(|name| shown(name).to_string()).collect();
            format!("`{}`; name the one that holds the text", names.join("`, `"))
        }
    }
}

/// Reads one field of an object, and skips the others.
struct Field<'a>(&'a str);

struct Found {
    text: Option<Option<String>>,
    others: Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object whose field `{}` is the text of a document", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found { text: None, others: Vec::new() };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                found.text = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                found.others.push(key.into_owned());
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], is_lossy: bool) -> Result<Vec<String>> {
        let options = LineOptions { field: "text".to_owned(), is_lossy };
        JsonLines::new(bytes, "a.jsonl", &options).map(|line| line.map(|line| line.text)).collect()
    }

    #[test]
    fn lines_are_documents_whatever_ends_them() {
        let file = "\u{feff}{\"text\": \"one\\r\\n\", \"n\": [1, {}]}\r\n\r\n{\"id\":2,\"text\":\"zwei \u{e9}\"}\n{\"text\":\"\"}\n{\"text\":null}";
        assert_eq!(read(file.as_bytes(), false).unwrap(), ["one\r\n", "zwei é", "", ""]);
        assert!(read(b"", false).unwrap().is_empty());
        let options = LineOptions { field: "text".to_owned(), is_lossy: false };
        let offsets: Vec<_> = JsonLines::new(file.as_bytes(), "a", &options).map(|line| line.unwrap().offset).collect();
        assert_eq!(offsets[..2], [0, file.find("{\"id\"").unwrap() as u64]);
    }

    #[test]
    fn a_line_of_a_megabyte_is_a_document_and_one_without_end_is_not() {
        let long = "word ".repeat(200_000);
        assert_eq!(read(format!("{{\"text\": \"{long}\"}}\n").as_bytes(), false).unwrap(), [long]);
        let endless = vec![b' '; LONGEST + 10];
        assert!(read(&endless, false).unwrap_err().to_string().contains("longer than 16 MiB"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let message = |bytes: &[u8]| read(bytes, false).unwrap_err().to_string();
        let cases = [
            (
                &b"{\"text\": \"a\"}\n{\"body\": \"b\", \"id\": 1}"[..],
                "a.jsonl, line 2: it has no field `text`, but `body`, `id`",
            ),
            (b"{}", "line 1: it has no field `text`, but is empty"),
            (b"[1]", "an object whose field `text`"),
            (b"{\"text\": 3}", "invalid type: integer"),
            (b"{\"text\": \"a\"} x", "trailing characters"),
            (b"{\"text\": \"ok\"}\n{\"text\": \"\xff\"}", "a.jsonl is not UTF-8 at byte 25"),
        ];
        for (bytes, part) in cases {
            assert!(message(bytes).contains(part), "{}", message(bytes));
        }
        assert_eq!(read(b"{\"text\": \"a\xffb\"}", true).unwrap(), ["a\u{fffd}b"]);
    }

    #[test]
    fn half_a_character_is_named_or_replaced() {
        let line = br#"{"text": "a\\ud83d \ud83d\ude00 \ud83d\n\ude00 \\\udc00 \ud83d\ud83d\ude00"}"#;
        assert!(read(line, false).unwrap_err().to_string().contains("a.jsonl, line 1: "));
        let replaced = "a\\ud83d \u{1f600} \u{fffd}\n\u{fffd} \\\u{fffd} \u{fffd}\u{1f600}";
        assert_eq!(read(line, true).unwrap(), [replaced]);
        assert!(read(br#"{"text": "\ud83d}"#, true).is_err(), "it has no end");
    }
}
