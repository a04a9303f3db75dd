//! The header of a GGUF file as its bytes, so that a copy has every value in its own form: [`RawHeader`].

use std::path::Path;

use stratigraph_core::shown;

use super::GgufFile;
use crate::files::StoredBytes;
use crate::{ModelError, Result};

/// Arrays in arrays, of which no known file has any.
const DEEPEST: usize = 4;
/// The oldest version whose lengths have eight bytes.
const OLDEST: u32 = 2;

/// The metadata and the tensors of a model, in the order of its file.
pub(crate) struct RawHeader<'a> {
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) entries: Vec<RawEntry>,
    pub(crate) tensors: Vec<RawTensor<'a>>,
}

/// A key of the metadata with its value.
pub(crate) struct RawEntry {
    pub(crate) key: String,
    /// The number of its type and the value itself.
    pub(crate) value: Vec<u8>,
}

/// A tensor.
pub(crate) struct RawTensor<'a> {
    pub(crate) name: String,
    /// The number of axes, their lengths, and the number of its type.
    pub(crate) form: Vec<u8>,
    /// The name of its type.
    pub(crate) dtype: String,
    pub(crate) bytes: StoredBytes<'a>,
}

impl GgufFile {
    /// The header, in the order of the file; of a split model that of its first part with the tensors of all parts.
    ///
    /// # Errors
    /// When it is of version 1.
    pub(crate) fn raw_header(&self) -> Result<RawHeader<'_>> {
        let first = &self.parts[0];
        let (version, alignment) = (first.header.version, first.header.alignment);
        if version < OLDEST {
            let reason = format!("it is of version {version} of GGUF, which only old programs write; convert it again");
            return Err(ModelError::malformed(first.path(), reason));
        }
        let mut raw = RawHeader { version, alignment, entries: Vec::new(), tensors: Vec::new() };
        for (nth, part) in self.parts.iter().enumerate() {
            let data = part.file.whole()?;
            let cut = || ModelError::malformed(part.path(), "its header ends early");
            let (entries, forms) = Cursor { rest: &data }.header().ok_or_else(cut)?;
            if nth == 0 {
                raw.entries = entries;
            }
            for Form { name, form } in forms {
                let tensor = part.header.tensors.get(&name).ok_or_else(cut)?;
                let bytes = StoredBytes { file: &part.file, range: part.range(tensor)? };
                raw.tensors.push(RawTensor { name, form, dtype: tensor.dtype.to_string(), bytes });
            }
        }
        Ok(raw)
    }
}

impl RawEntry {
    /// Replaces a number by one of the same type.
    pub(crate) fn set_number(&mut self, number: usize, path: &Path) -> Result<()> {
        let wrong = || ModelError::malformed(path, format!("`{}` is not a number for {number}", shown(&self.key)));
        let width = match self.value.first_chunk().map(|kind| u32::from_le_bytes(*kind)) {
            Some(kind @ (0..=5 | 10 | 11)) => width(kind).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let bytes = (number as u64).to_le_bytes();
        let (kept, lost) = bytes.split_at(width);
        if lost.iter().any(|byte| *byte != 0) {
            return Err(wrong());
        }
        self.value.truncate(4);
        self.value.extend_from_slice(kept);
        Ok(())
    }

    /// How many values an array has; none for another value.
    pub(crate) fn array_len(&self) -> Option<usize> {
        let mut cursor = Cursor { rest: &self.value };
        (cursor.u32()? == ARRAY).then_some(())?;
        cursor.u32()?;
        cursor.length()
    }

    /// Keeps these values of an array, in this order.
    pub(crate) fn pick(&mut self, chosen: &[usize], path: &Path) -> Result<()> {
        let picked = self.picked(chosen);
        let wrong = || ModelError::malformed(path, format!("`{}` has no value for each layer", shown(&self.key)));
        self.value = picked.ok_or_else(wrong)?;
        Ok(())
    }

    fn picked(&self, chosen: &[usize]) -> Option<Vec<u8>> {
        let mut cursor = Cursor { rest: self.value.get(4..)? };
        let (kind, len) = (cursor.u32()?, cursor.length()?);
        let values: Vec<&[u8]> = (0..len).map(|_| cursor.value(kind, 1)).collect::<Option<_>>()?;
        let mut picked = self.value[..8].to_vec();
        picked.extend((chosen.len() as u64).to_le_bytes());
        for index in chosen {
            picked.extend_from_slice(values.get(*index)?);
        }
        Some(picked)
    }
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a value of a type; none for texts, arrays and types that do not exist.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A tensor's name and what follows it, up to its place.
struct Form {
    name: String,
    form: Vec<u8>,
}

/// What is left of a header.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn length(&mut self) -> Option<usize> {
        u64::from_le_bytes(*self.take(8)?.first_chunk()?).try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        let n = self.length()?;
        String::from_utf8(self.take(n)?.to_vec()).ok()
    }

    /// The bytes of a value of a type; `depth` counts the arrays around it.
    fn value(&mut self, kind: u32, depth: usize) -> Option<&'a [u8]> {
        let start = self.rest;
        match (kind, width(kind)) {
            (_, Some(width)) => {
                self.take(width)?;
            }
            (STRING, _) => {
                let n = self.length()?;
                self.take(n)?;
            }
            (ARRAY, _) if depth < DEEPEST => {
                let (kind, n) = (self.u32()?, self.length()?);
                for _ in 0..n {
                    self.value(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(&start[..start.len() - self.rest.len()])
    }

    fn header(mut self) -> Option<(Vec<RawEntry>, Vec<Form>)> {
        self.take(8)?; // the format and its version
        let (n_tensors, n_entries) = (self.length()?, self.length()?);
        let (mut entries, mut forms) = (Vec::new(), Vec::new());
        for _ in 0..n_entries {
            let (key, kind) = (self.text()?, self.u32()?);
            let value = [&kind.to_le_bytes()[..], self.value(kind, 0)?].concat();
            entries.push(RawEntry { key, value });
        }
        for _ in 0..n_tensors {
            let name = self.text()?;
            let n_axes = u32::from_le_bytes(*self.rest.first_chunk()?) as usize;
            let form = self.take(4usize.checked_add(n_axes.checked_mul(8)?)?.checked_add(4)?)?.to_vec();
            self.length()?; // where it is in the file that is read
            forms.push(Form { name, form });
        }
        Some((entries, forms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u32, value: &[u8]) -> RawEntry {
        RawEntry { key: "k".into(), value: [&kind.to_le_bytes()[..], value].concat() }
    }

    #[test]
    fn a_number_keeps_its_type() {
        let path = Path::new("f");
        for (kind, before, after) in
            [(4, &30u32.to_le_bytes()[..], &26u32.to_le_bytes()[..]), (10, &30u64.to_le_bytes(), &26u64.to_le_bytes())]
        {
            let mut number = entry(kind, before);
            number.set_number(26, path).unwrap();
            assert_eq!(number.value, entry(kind, after).value);
        }
        assert!(entry(0, &[3]).set_number(256, path).is_err(), "it does not fit");
        assert!(entry(8, &[0; 8]).set_number(1, path).is_err(), "it is a text");
        assert!(entry(6, &[0; 4]).set_number(1, path).is_err(), "it is not whole");
    }

    #[test]
    fn values_of_an_array_are_picked_in_any_order() {
        let path = Path::new("f");
        let array = |kind: u32, n: u64, values: &[u8]| {
            entry(ARRAY, &[&kind.to_le_bytes()[..], &n.to_le_bytes(), values].concat())
        };
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let mut flags = array(7, 3, &[0, 1, 1]);
        assert_eq!(flags.array_len(), Some(3));
        flags.pick(&[2, 0, 0, 1], path).unwrap();
        assert_eq!(flags.value, array(7, 4, &[1, 0, 0, 1]).value);
        let mut texts = array(STRING, 2, &[text("ab"), text("c")].concat());
        texts.pick(&[1, 1], path).unwrap();
        assert_eq!(texts.value, array(STRING, 2, &[text("c"), text("c")].concat()).value);
        assert!(array(7, 1, &[0]).pick(&[1], path).is_err());
        assert_eq!(entry(4, &[0; 4]).array_len(), None);
    }
}
