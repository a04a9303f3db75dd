//! Tensors copied byte by byte from safetensors files to others: [`Shards`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::json;

use crate::files::MappedFile;
use crate::{ModelError, Result};

/// Bytes of a file, unless a user wants others; transformers has the same.
pub(super) const USUAL_BYTES: u64 = 5_000_000_000;

/// A tensor that is written under a name that may be another one.
pub(super) struct Copied {
    pub(super) from: String,
    pub(super) to: String,
}

/// Opened safetensors files.
pub(super) struct Shards {
    files: Vec<(PathBuf, Mmap)>,
    /// Which file has a tensor.
    file_of: BTreeMap<String, usize>,
}

impl Shards {
    pub(super) fn open(paths: &[&PathBuf]) -> Result<Self> {
        let mut files = Vec::new();
        let mut file_of = BTreeMap::new();
        for path in paths {
            let map = MappedFile::open(path)?.whole()?;
            let tensors = SafeTensors::deserialize(&map).map_err(|e| ModelError::malformed(path, e))?;
            file_of.extend(tensors.names().into_iter().map(|name| (name.to_owned(), files.len())));
            files.push(((*path).clone(), map));
        }
        Ok(Self { files, file_of })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.file_of.keys().cloned().collect()
    }

    /// Writes `model.safetensors`, or shards of at most `max_bytes` with their index.
    pub(super) fn write(&self, copies: &[Copied], max_bytes: u64, dir: &Path) -> Result<()> {
        let mut opened = Vec::new();
        for (path, map) in &self.files {
            opened.push(SafeTensors::deserialize(map).map_err(|e| ModelError::malformed(path, e))?);
        }
        let mut tensors = Vec::new();
        for Copied { from, to } in copies {
            let missing = |_| ModelError::MissingTensor { name: from.clone() };
            tensors.push((to.as_str(), opened[self.file_of[from]].tensor(from).map_err(missing)?));
        }
        tensors.sort_by_key(|(name, _)| *name);
        let parts = parts(&tensors, max_bytes);
        let n_parts = parts.len();
        let mut weight_map = BTreeMap::new();
        for (index, part) in parts.into_iter().enumerate() {
            let name = match n_parts {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{n_parts:05}.safetensors", index + 1),
            };
            write_part(part, &dir.join(&name))?;
            weight_map.extend(part.iter().map(|(tensor, _)| ((*tensor).to_owned(), name.clone())));
        }
        if n_parts == 1 {
            return Ok(());
        }
        let total: usize = tensors.iter().map(|(_, view)| view.data().len()).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        let path = dir.join("model.safetensors.index.json");
        let text = serde_json::to_vec_pretty(&index).expect("a map of plain values");
        fs::write(&path, text).map_err(ModelError::write(&path))
    }
}

/// Tensors in order, cut so that each part has at most `max_bytes`, or one tensor.
fn parts<'a, 'b>(tensors: &'a [(&'b str, TensorView<'b>)], max_bytes: u64) -> Vec<&'a [(&'b str, TensorView<'b>)]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, (_, view)) in tensors.iter().enumerate() {
        let bytes = view.data().len() as u64;
        if size > 0 && size + bytes > max_bytes {
            parts.push(&tensors[start..index]);
            (start, size) = (index, 0);
        }
        size += bytes;
    }
    parts.push(&tensors[start..]);
    parts
}

/// Writes a file beside its place and moves it there, so that it is never half written.
fn write_part(part: &[(&str, TensorView)], path: &Path) -> Result<()> {
    let partial = path.with_extension("partial");
    let metadata = [("format".to_owned(), "pt".to_owned())].into(); // transformers refuses a file without it
    let tensors = part.iter().map(|(name, view)| (*name, view));
    let written = safetensors::serialize_to_file(tensors, Some(metadata), &partial);
    let written = written.map_err(std::io::Error::other).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&partial); // the first error is the useful one
        ModelError::write(path)(error)
    })
}
