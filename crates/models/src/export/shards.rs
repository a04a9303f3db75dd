//! Tensors copied byte by byte from safetensors files to others: [`Shards`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use serde_json::json;

use super::ExportSizes;
use super::blocks::Copied;
use crate::Result;
use crate::files::{ShardedSafetensors, StoredTensor, TensorFiles};
use crate::write::{NewTensor, PendingDirectory, put_json, put_safetensors};

/// Bytes of a file, unless a user wants others; transformers has the same.
pub(super) const USUAL_BYTES: u64 = 5_000_000_000;

/// Opened safetensors files.
pub(super) struct Shards(ShardedSafetensors);

/// A tensor to write.
struct Placed<'a> {
    to: &'a str,
    stored: StoredTensor<'a>,
}

impl Shards {
    /// Opens the files of the checkpoint at `path`.
    pub(super) fn open(files: Vec<PathBuf>, path: &Path) -> Result<Self> {
        ShardedSafetensors::of(files.into_iter(), path).map(Self)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// The bytes that are there, and those that are written.
    pub(super) fn sizes(&self, copies: &[Copied]) -> Result<ExportSizes> {
        let size = |name: &str| Ok(self.0.tensor(name)?.bytes.len() as u64);
        let source = self.names().iter().map(|name| size(name)).sum::<Result<u64>>()?;
        ExportSizes::new(source, copies, size)
    }

    /// The types of the tensors as PyTorch names them, each once.
    pub(super) fn dtypes(&self) -> Vec<String> {
        let names = self.names();
        let stored = names.iter().filter_map(|name| self.0.tensor(name).ok());
        let name = |stored: StoredTensor| match stored.dtype {
            Dtype::F64 => "float64".to_owned(),
            Dtype::F32 => "float32".to_owned(),
            Dtype::F16 => "float16".to_owned(),
            Dtype::BF16 => "bfloat16".to_owned(),
            other => format!("{other:?}"),
        };
        stored.map(name).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes `model.safetensors`, or shards of at most `max_bytes` with their index.
    pub(super) fn write(&self, copies: &[Copied], max_bytes: u64, dir: &PendingDirectory) -> Result<()> {
        let mut tensors = Vec::with_capacity(copies.len());
        for copied in copies {
            tensors.push(Placed { to: &copied.to, stored: self.0.tensor(&copied.from)? });
        }
        tensors.sort_by_key(|tensor| tensor.to);
        let parts = parts(&tensors, max_bytes);
        let n_parts = parts.len();
        let mut weight_map = BTreeMap::new();
        for (index, part) in parts.into_iter().enumerate() {
            let name = match n_parts {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{n_parts:05}.safetensors", index + 1),
            };
            write_part(part, dir, &name)?;
            weight_map.extend(part.iter().map(|tensor| (tensor.to, name.clone())));
        }
        if n_parts == 1 {
            return Ok(());
        }
        let total: usize = tensors.iter().map(|tensor| tensor.stored.bytes.len()).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        dir.file("model.safetensors.index.json", |file| put_json(file, &index))
    }
}

/// Tensors in order, cut so that each part has at most `max_bytes`, or one tensor.
fn parts<'a, 'b>(tensors: &'a [Placed<'b>], max_bytes: u64) -> Vec<&'a [Placed<'b>]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        let bytes = tensor.stored.bytes.len() as u64;
        if size > 0 && size + bytes > max_bytes {
            parts.push(&tensors[start..index]);
            (start, size) = (index, 0);
        }
        size += bytes;
    }
    parts.push(&tensors[start..]);
    parts
}

fn write_part(part: &[Placed], dir: &PendingDirectory, name: &str) -> Result<()> {
    let tensors = part.iter().map(|Placed { to, stored }| NewTensor {
        name: to,
        dtype: stored.dtype,
        shape: stored.shape,
        size: stored.bytes.len(),
        data: &stored.bytes,
    });
    let tensors = tensors.collect();
    dir.file(name, |file| put_safetensors(file, tensors, |file, bytes| bytes.copy(|piece| file.put(piece))))
}
