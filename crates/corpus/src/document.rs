//! The documents of a corpus, one after the other or by their places: [`Document`].

use std::borrow::Cow;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::jsonl::JsonLines;
#[cfg(feature = "parquet")]
use crate::parquet::{RowPlace, Rows};
use crate::source::Source;
use crate::stream::{Chunks, encode_chunks};
use crate::utf8::Utf8Reader;
use crate::{Corpus, CorpusError, DocumentFormat, Result, TextEncoder};

/// A document that is not empty.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Counted through the corpus from 0.
    pub(crate) number: usize,
    /// Which file it is in.
    pub(crate) source: usize,
    pub(crate) place: Place,
    /// Its text, where that has been read; a text file is read as far as needed.
    pub(crate) text: Option<String>,
}

/// Where a document is in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// It is the file.
    File,
    /// In the line that begins at this byte.
    Line(u64),
    #[cfg(feature = "parquet")]
    Row(RowPlace),
}

impl Document {
    /// The same without its text.
    pub(crate) fn without_text(self) -> Self {
        Self { text: None, ..self }
    }
}

/// A part of a document with the range of its bytes that count; the others make the tokens at its ends those of the whole.
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) counted: Range<usize>,
}

/// What is given each document that is not empty; it returns whether it wants more.
pub(crate) type Visit<'a> = dyn FnMut(Document) -> Result<bool> + 'a;

impl Corpus {
    /// Calls `visit` with each document that is not empty, until it returns false.
    pub(crate) fn each_document(&self, visit: &mut Visit) -> Result<()> {
        if let Some((source, reason)) = self.sources.iter().find_map(|source| Some((source, source.doubt?))) {
            return Err(CorpusError::UnknownFormat { name: source.name.clone(), reason });
        }
        let mut number = 0;
        for (source, it) in self.sources.iter().enumerate() {
            let mut give = |place: Place, text: Option<String>| -> Result<bool> {
                if text.as_ref().is_some_and(String::is_empty) {
                    return Ok(true);
                }
                number += 1;
                visit(Document { number: number - 1, source, place, text })
            };
            let goes_on = match it.format {
                DocumentFormat::Text => give(Place::File, None)?,
                DocumentFormat::JsonLines => self.each_line(it, &mut give)?,
                DocumentFormat::Parquet => self.each_row(it, &mut give)?,
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    fn each_line(&self, source: &Source, give: &mut dyn FnMut(Place, Option<String>) -> Result<bool>) -> Result<bool> {
        for line in JsonLines::new(source.open()?, &source.name, &self.options) {
            let line = line?;
            if !give(Place::Line(line.offset), Some(line.text))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[cfg(feature = "parquet")]
    fn each_row(&self, source: &Source, give: &mut dyn FnMut(Place, Option<String>) -> Result<bool>) -> Result<bool> {
        let rows = Rows::new(source.as_file()?, &source.name, &self.options)?;
        let mut goes_on = true;
        for group in 0..rows.n_groups() {
            rows.each(group, |row, text| {
                goes_on = give(Place::Row(RowPlace { group, row }), Some(text))?;
                Ok(goes_on)
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(goes_on)
    }

    #[cfg(not(feature = "parquet"))]
    fn each_row(&self, source: &Source, _give: &mut dyn FnMut(Place, Option<String>) -> Result<bool>) -> Result<bool> {
        Err(CorpusError::ParquetNotBuilt { name: source.name.clone() })
    }

    /// The bytes of a document's text, about.
    pub(crate) fn n_bytes(&self, document: &Document) -> Result<u64> {
        match &document.text {
            Some(text) => Ok(text.len() as u64),
            None => self.sources[document.source].n_bytes(),
        }
    }

    /// The first `at_most` token ids of a document.
    pub(crate) fn ids(&self, encoder: &dyn TextEncoder, document: &Document, at_most: usize) -> Result<Vec<u32>> {
        let (source, is_lossy, chunks) = (&self.sources[document.source], self.options.is_lossy, Chunks::default());
        match self.text(document)? {
            Some(text) => {
                let mut reader = Utf8Reader::new(text.as_bytes(), &source.name, false).keeping_mark();
                encode_chunks(encoder, &mut reader, at_most, chunks)
            }
            None => {
                let mut reader = Utf8Reader::new(source.open()?, &source.name, is_lossy);
                encode_chunks(encoder, &mut reader, at_most, chunks)
            }
        }
    }

    /// The text of a document; none of a text file, which may be larger than memory.
    fn text<'d>(&self, document: &'d Document) -> Result<Option<Cow<'d, str>>> {
        let source = &self.sources[document.source];
        match document.place {
            Place::File => Ok(None),
            _ if document.text.is_some() => Ok(document.text.as_deref().map(Cow::from)),
            Place::Line(offset) => {
                let mut reader = source.open()?;
                reader.seek(SeekFrom::Start(offset)).map_err(CorpusError::io(&source.name))?;
                let line = JsonLines::new(reader, &source.name, &self.options).at_offset(offset).next();
                Ok(Some(line.transpose()?.map_or_else(String::new, |line| line.text).into()))
            }
            #[cfg(feature = "parquet")]
            Place::Row(place) => {
                let rows = Rows::new(source.as_file()?, &source.name, &self.options)?;
                let mut found = String::new();
                rows.each(place.group, |row, text| {
                    if row == place.row {
                        found = text;
                    }
                    Ok(row < place.row)
                })?;
                Ok(Some(found.into()))
            }
        }
    }

    /// The bytes `range` of a document of `n_bytes`, with some before and after them.
    pub(crate) fn piece(&self, document: &Document, range: Range<u64>, n_bytes: u64) -> Result<Piece> {
        /// Bytes before and after.
        const AROUND: u64 = 512;
        let (from, to) = (range.start.saturating_sub(AROUND), (range.end + AROUND).min(n_bytes));
        if let Some(text) = self.text(document)? {
            let at = |byte: u64| text.floor_char_boundary(byte as usize);
            let begin = at(from);
            let counted = at(range.start) - begin..at(range.end) - begin;
            return Ok(Piece { counted, text: text[begin..at(to)].to_owned() });
        }
        let source = &self.sources[document.source];
        let mut reader = source.open()?;
        reader.seek(SeekFrom::Start(from)).map_err(CorpusError::io(&source.name))?;
        let mut bytes = Vec::new();
        reader.take(to - from).read_to_end(&mut bytes).map_err(CorpusError::io(&source.name))?;
        // The range may begin or end within a character.
        let first = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80 && from > 0).count();
        let until = |byte: u64| {
            let bytes = &bytes[first..bytes.len().min((byte - from) as usize)];
            let mut reader = Utf8Reader::new(bytes, &source.name, self.options.is_lossy).at(from + first as u64);
            match byte < n_bytes {
                true => reader.read_whole_characters(bytes.len()),
                false => reader.read(bytes.len() + 1),
            }
        };
        // A mark that is left out and bytes that are replaced make the text of another length than its bytes.
        Ok(Piece { counted: until(range.start)?.len()..until(range.end)?.len(), text: until(to)? })
    }

    /// The beginning of the documents, about `n_bytes` at most, with an empty line between two, cut at the end of a line.
    ///
    /// # Errors
    /// When a document cannot be read.
    pub fn beginning(&self, n_bytes: usize) -> Result<String> {
        let (mut text, mut is_cut) = (String::new(), false);
        self.each_document(&mut |document| {
            if document.number > 0 {
                text.push_str("\n\n");
            }
            let left = n_bytes.saturating_sub(text.len());
            let source = &self.sources[document.source];
            match &document.text {
                Some(whole) => {
                    is_cut = whole.len() > left;
                    text.push_str(&whole[..whole.floor_char_boundary(left)]);
                }
                None => {
                    let mut reader = Utf8Reader::new(source.open()?, &source.name, self.options.is_lossy);
                    text.push_str(&reader.read(left)?);
                    is_cut = !reader.has_ended();
                }
            }
            is_cut |= text.len() >= n_bytes;
            Ok(!is_cut)
        })?;
        if is_cut {
            text.truncate(text.rfind('\n').map_or(text.len(), |at| at + 1));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn pieces_of_a_text_are_all_of_it_one_after_the_other() {
        let marked = "\u{feff}one línea 日本𝄞 ".repeat(300).into_bytes();
        let broken = b"one \xff two \xe6\x97 \xc3\xa9 \x80\x80\x80\x80\x80 \xf0\x9d\x84 ".repeat(300);
        for (bytes, is_lossy) in [(marked.clone(), false), (marked, true), (broken, true)] {
            let n_bytes = bytes.len() as u64;
            let expected = Utf8Reader::new(&bytes[..], "a", is_lossy).read(bytes.len() + 1).unwrap();
            let corpus = Corpus::from_reader("a", DocumentFormat::Text, Cursor::new(bytes)).unwrap();
            let corpus = if is_lossy { corpus.lossy() } else { corpus };
            let document = Document { number: 0, source: 0, place: Place::File, text: None };
            for step in [601, 700, 1024] {
                let counted = |begin: u64| {
                    let range = begin..(begin + step).min(n_bytes);
                    let Piece { text, counted } = corpus.piece(&document, range, n_bytes).unwrap();
                    text[counted].to_owned()
                };
                let pieces: String = (0..n_bytes).step_by(step as usize).map(counted).collect();
                assert!(pieces == expected, "{is_lossy} {step}");
            }
        }
    }
}
