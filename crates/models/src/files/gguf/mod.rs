//! A model in the GGUF format, in one file or split into several: [`GgufFile`], its metadata and its tensors.

mod part;
mod raw;
mod split;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rlx_gguf::{GgufTensor, MetaValue};
use serde_json::{Map, Value};
use stratigraph_core::shown;

use self::part::Part;
use self::split::PartName;
use super::TensorFiles;
use crate::guarded::guarded;
use crate::{ModelError, Result};

pub(crate) use self::raw::{RawEntry, RawHeader, RawTensor};
pub(crate) use self::split::from_pattern;

/// A GGUF file, or all files of one that was split.
pub(crate) struct GgufFile {
    /// The first one has the metadata.
    parts: Vec<Part>,
    /// Which part holds a tensor.
    part_of: BTreeMap<String, usize>,
}

impl GgufFile {
    /// Whether the file at `path` begins as a GGUF file does.
    pub(crate) fn is_gguf(path: &Path) -> Result<bool> {
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(4).read_to_end(&mut start)).map_err(ModelError::io(path))?;
        Ok(start == b"GGUF")
    }

    /// Opens a file, and where it is a part of a split model all parts of it, which lie in its folder.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let part = Part::open(path)?;
        let parts = match part.count()? {
            0 | 1 => vec![part],
            count => all_parts(part, count)?,
        };
        let mut file = Self { parts, part_of: BTreeMap::new() };
        file.index_tensors()?;
        Ok(file)
    }

    /// Finds the part of each tensor; no two parts may have one of the same name, and none may be missing.
    fn index_tensors(&mut self) -> Result<()> {
        for (index, part) in self.parts.iter().enumerate() {
            for name in part.header.tensors.keys() {
                if let Some(other) = self.part_of.insert(name.clone(), index) {
                    let other = self.parts[other].path().display();
                    let reason = format!("its tensor `{}` is in {other} too", shown(name));
                    return Err(ModelError::malformed(part.path(), reason));
                }
            }
        }
        let (found, declared) = (self.part_of.len() as u64, self.parts[0].number("split.tensors.count"));
        match declared.filter(|declared| self.parts.len() > 1 && *declared != found) {
            Some(declared) => {
                let reason = format!("it says that all parts have {declared} tensors, but they have {found}");
                Err(ModelError::malformed(self.path(), reason))
            }
            None => Ok(()),
        }
    }

    /// The file that has the metadata.
    pub(crate) fn path(&self) -> &Path {
        self.parts[0].path()
    }

    fn value(&self, key: &str) -> Option<&MetaValue> {
        self.parts[0].header.metadata.get(key)
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(MetaValue::as_str)
    }

    /// A list of texts of the metadata.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<&str>> {
        self.value(key)?.as_array()?.iter().map(MetaValue::as_str).collect()
    }

    /// A list of numbers of the metadata.
    pub(crate) fn numbers(&self, key: &str) -> Option<Vec<u32>> {
        self.value(key)?.as_array()?.iter().map(MetaValue::as_u32).collect()
    }

    /// A whole number of the metadata.
    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.value(key).and_then(MetaValue::as_u32)
    }

    /// A list of floating-point numbers of the metadata.
    pub(crate) fn floats(&self, key: &str) -> Option<Vec<f32>> {
        let float = |value: &MetaValue| match value {
            MetaValue::F32(value) => Some(*value),
            _ => None,
        };
        self.value(key)?.as_array()?.iter().map(float).collect()
    }

    /// A switch of the metadata.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            MetaValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The same tensors with the metadata of another header, which is given as its bytes.
    pub(crate) fn with_metadata_of(mut self, header: &[u8]) -> Result<Self> {
        let read = guarded(|| rlx_gguf::GgufFile::header_from_bytes(header));
        let read = read.map_err(|panic| ModelError::malformed(self.path(), panic))?;
        self.parts[0].header.metadata =
            read.map_err(|e| ModelError::malformed(self.path(), format!("{e:#}")))?.metadata;
        Ok(self)
    }

    /// The metadata under `prefix.`, without the prefix.
    pub(crate) fn keys_of(&self, prefix: &str) -> Map<String, Value> {
        let under = |key: &str| key.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        let metadata = &self.parts[0].header.metadata;
        metadata.iter().filter_map(|(key, value)| Some((under(key)?, to_json(value)))).collect()
    }

    /// A tensor and its part.
    fn tensor(&self, name: &str) -> Option<(&Part, &GgufTensor)> {
        let part = &self.parts[*self.part_of.get(name)?];
        Some((part, part.header.tensors.get(name)?))
    }
}

impl Part {
    /// A whole number of the metadata.
    fn number(&self, key: &str) -> Option<u64> {
        self.header.metadata.get(key).and_then(|value| to_json(value).as_u64())
    }

    /// How many files the model is split into.
    fn count(&self) -> Result<usize> {
        const KEY: &str = "split.count";
        match (self.header.metadata.get(KEY), self.number(KEY)) {
            (None, _) => Ok(1),
            (_, Some(count)) if count <= u16::MAX.into() => Ok(count as usize),
            _ => Err(ModelError::malformed(self.path(), format!("`{KEY}` is not a number of files"))),
        }
    }
}

/// All parts of a model, in order, one of which is open already.
fn all_parts(open: Part, count: usize) -> Result<Vec<Part>> {
    let path = open.path().to_owned();
    let split = |reason: String| ModelError::not_a_model(&path, reason);
    let nth = open.number("split.no").map_or(0, |nth| nth.saturating_add(1));
    let name = PartName::parse(&path).filter(|name| name.count == count).ok_or_else(|| {
        split(format!(
            "it is part {nth} of {count} of a split model, whose other parts are found by its name, which has to end in \
             -{nth:05}-of-{count:05}.gguf"
        ))
    })?;
    let mut open = Some(open);
    let part = |number: usize| {
        let part = match open.take_if(|_| number == name.number) {
            Some(open) => open,
            None => {
                let file = name.path(number);
                if !file.is_file() {
                    let file = file.display();
                    return Err(split(format!("part {number} of {count} is missing: {file} is not there")));
                }
                Part::open(&file)?
            }
        };
        let (found, of) = (part.number("split.no"), part.count()?);
        if (found, of) != (Some(number as u64 - 1), count) {
            let reason = format!("by its name it is part {number} of {count}, but its header says otherwise");
            return Err(ModelError::malformed(part.path(), reason));
        }
        Ok(part)
    };
    (1..=count).map(part).collect()
}

impl TensorFiles for GgufFile {
    fn files(&self) -> Vec<PathBuf> {
        self.parts.iter().map(|part| part.path().to_owned()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.part_of.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        // GGUF names the contiguous axis first.
        self.tensor(name).map(|(_, tensor)| tensor.shape.iter().rev().copied().collect())
    }

    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        let (part, tensor) = self.tensor(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        part.read(tensor, elements)
    }
}

/// Metadata as JSON, so that one reader serves every kind of configuration.
fn to_json(value: &MetaValue) -> Value {
    match value {
        MetaValue::U8(v) => (*v).into(),
        MetaValue::I8(v) => (*v).into(),
        MetaValue::U16(v) => (*v).into(),
        MetaValue::I16(v) => (*v).into(),
        MetaValue::U32(v) => (*v).into(),
        MetaValue::I32(v) => (*v).into(),
        MetaValue::U64(v) => (*v).into(),
        MetaValue::I64(v) => (*v).into(),
        MetaValue::F32(v) => float(f64::from(*v)),
        MetaValue::F64(v) => float(*v),
        MetaValue::Bool(v) => (*v).into(),
        MetaValue::String(v) => v.as_str().into(),
        MetaValue::Array(values) => values.iter().map(to_json).collect(),
    }
}

/// JSON has no NaN and no infinity; as texts they are refused where a number is asked for.
fn float(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}
