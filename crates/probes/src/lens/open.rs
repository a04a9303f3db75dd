//! Lenses from files of any known form: [`FittedLens::open`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::tensor::Device;
use stratigraph_core::ModelShape;

use super::tuned_files::{CONFIG, read_jacobian_lens, read_tuned_lens};
use super::{FittedLens, Lens, LensError, safetensors_file};
use crate::{ProbeError, Result};

/// How a zip begins, as `torch.save` writes it.
const ZIP: &[u8] = b"PK";

impl FittedLens {
    /// Reads a lens for a model of this shape, with its numbers on `device`:
    ///
    /// - a safetensors file that [`save`](FittedLens::save) wrote;
    /// - a checkpoint of the tuned-lens library, a directory with `config.json` and `params.pt`;
    /// - a published Jacobian lens (Anthropic's `jacobian-lens`, TransformerLens), a `.pt` file. It has no matrix before the
    ///   first layer.
    ///
    /// # Errors
    /// When it is none of them, or of a model of another shape.
    pub fn open(path: impl AsRef<Path>, shape: &ModelShape, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let lens = if path.is_dir() {
            if !path.join(CONFIG).is_file() {
                let reason = format!("it is a directory without the {CONFIG} of a tuned lens");
                return Err(LensError::NotALens { path: path.to_owned(), reason }.into());
            }
            read_tuned_lens(path, device)?
        } else {
            let cannot =
                |reason: std::io::Error| ProbeError::CannotRead { path: path.to_owned(), reason: reason.to_string() };
            let (mut file, mut bytes) = (File::open(path).map_err(cannot)?, Vec::new());
            file.by_ref().take(ZIP.len() as u64).read_to_end(&mut bytes).map_err(cannot)?;
            if bytes == ZIP {
                read_jacobian_lens(path, shape, device)?
            } else {
                file.read_to_end(&mut bytes).map_err(cannot)?;
                safetensors_file::read(path, &bytes, device)?
            }
        };
        lens.check(shape)?;
        Ok(lens)
    }
}
