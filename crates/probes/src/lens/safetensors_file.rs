//! Lenses in safetensors files: [`FittedLens::save`], and reading them back.
//!
//! The tensors are `weight.L`, `[d_model, d_model]` with the input first, and `bias.L`, `[d_model]`, of each residual position
//! `L` that has a map. The metadata of the header has the rest as JSON under `stratigraph_lens`.

use std::fs;
use std::io;
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use stratigraph_core::ModelShape;

use super::header::{FORMAT, Header, KEY};
use super::{FittedLens, Lens, LensError, LinearMap};
use crate::{ProbeError, Result};

impl FittedLens {
    /// Writes it to a safetensors file, in f32; the header's metadata has its kind and record as JSON under
    /// `stratigraph_lens`. The file is either complete or absent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), |partial| fs::write(partial, self.to_safetensors()))
    }

    /// The content of the file that [`save`](FittedLens::save) writes.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let header =
            Header { format: FORMAT, kind: self.kind(), n_layers: self.n_layers(), record: self.record().clone() };
        let json = serde_json::to_string(&header).expect("a header is plain data");
        let tensors: Vec<_> = (0..self.n_layers()).flat_map(|position| self.stored(position)).collect();
        let views = tensors.iter().map(|Stored { name, shape, bytes }| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes were made for the shape");
            (name.as_str(), view)
        });
        let metadata = [(KEY.to_owned(), json)].into();
        safetensors::serialize(views, Some(metadata)).expect("names and metadata are plain text")
    }

    /// A lens from the content of a file that [`save`](FittedLens::save) wrote, for a model of this shape, with its numbers on
    /// `device`; errors name `path`.
    ///
    /// # Errors
    /// When it is none, or of a model of another shape.
    pub fn from_safetensors(content: &[u8], path: &Path, shape: &ModelShape, device: &Device) -> Result<Self> {
        let lens = read(path, content, device)?;
        lens.check(shape)?;
        Ok(lens)
    }

    fn stored(&self, position: usize) -> Vec<Stored> {
        let Some(map) = self.map(position) else { return Vec::new() };
        let (values, width) = (map.values(), map.d_model());
        let weight = Stored::new(format!("weight.{position}"), vec![width, width], &values.weight);
        let bias = values.bias.map(|bias| Stored::new(format!("bias.{position}"), vec![width], &bias));
        std::iter::once(weight).chain(bias).collect()
    }
}

/// A tensor as it is stored.
struct Stored {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(name: String, shape: Vec<usize>, values: &[f32]) -> Self {
        Self { name, shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }
}

/// Writes a file that is either complete or absent: `write` is given another path, and the file is renamed at the end.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = write(&partial).and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| drop(fs::remove_file(&partial))).map_err(cannot_write(path))
}

/// Makes an error of what kept `path` from being written.
pub(super) fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> ProbeError {
    move |reason| LensError::CannotWrite { path: path.to_owned(), reason: reason.to_string() }.into()
}

/// Reads what [`FittedLens::save`] wrote.
pub(super) fn read(path: &Path, bytes: &[u8], device: &Device) -> Result<FittedLens> {
    let not_a_lens = |reason: String| ProbeError::from(LensError::NotALens { path: path.to_owned(), reason });
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|reason| not_a_lens(reason.to_string()))?;
    let json = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
    let json =
        json.ok_or_else(|| not_a_lens(format!("its header has no `{KEY}`; `stratigraph lens fit` writes it")))?;
    let header: Header = serde_json::from_str(json).map_err(|reason| not_a_lens(reason.to_string()))?;
    if header.format != FORMAT {
        return Err(not_a_lens(format!("it has format {}, and this version reads format {FORMAT}", header.format)));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|reason| not_a_lens(reason.to_string()))?;
    let known = |name: &str| {
        let position = name.strip_prefix("weight.").or_else(|| name.strip_prefix("bias."));
        position.and_then(|position| position.parse::<usize>().ok()).is_some_and(|it| it < header.n_layers)
    };
    if let Some(name) = file.names().into_iter().find(|name| !known(name)) {
        return Err(not_a_lens(format!(
            "its tensor `{name}` is of no residual position of {} layers",
            header.n_layers
        )));
    }
    let mut maps = Vec::new();
    for position in 0..header.n_layers {
        maps.push(map(&file, position, device).map_err(not_a_lens)?);
    }
    let widths: Vec<_> = maps.iter().flatten().map(LinearMap::d_model).collect();
    if widths.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(not_a_lens("its maps have different widths".to_owned()));
    }
    Ok(FittedLens::new(header.kind, maps).with_record(header.record))
}

/// The map of a residual position, or what is wrong with it.
fn map(file: &SafeTensors, position: usize, device: &Device) -> Result<Option<LinearMap>, String> {
    let Ok(weight) = file.tensor(&format!("weight.{position}")) else { return Ok(None) };
    let width = weight.shape().first().copied().unwrap_or(0);
    let weight = floats(&weight, &[width, width]).map_err(|reason| format!("`weight.{position}` {reason}"))?;
    let bias = file.tensor(&format!("bias.{position}")).ok().map(|bias| floats(&bias, &[width])).transpose();
    let bias = bias.map_err(|reason| format!("`bias.{position}` {reason}"))?;
    Ok(Some(LinearMap::from_values(weight, bias, device)))
}

/// The numbers of a tensor of this shape.
fn floats(view: &TensorView, shape: &[usize]) -> Result<Vec<f32>, String> {
    if view.dtype() != Dtype::F32 || view.shape() != shape || shape.contains(&0) {
        return Err(format!("is {:?} of shape {:?}, not F32 of shape {shape:?}", view.dtype(), view.shape()));
    }
    let (numbers, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!("has a number that is not finite, {} at {index}", values[index])),
        None => Ok(values),
    }
}
