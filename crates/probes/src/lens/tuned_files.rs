//! Lenses of other programs: checkpoints of the tuned-lens library, and published Jacobian lenses.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use stratigraph_core::ModelShape;

use super::linear_map::transposed;
use super::safetensors_file::{cannot_write, write_whole};
use super::torch_file::{TorchFile, TorchTensor, not_a_lens, write_state_dict};
use super::{FittedLens, LensKind, LensRecord, LinearMap};
use crate::Result;

/// The files of a checkpoint of the tuned-lens library.
pub(super) const CONFIG: &str = "config.json";
const PARAMS: &str = "params.pt";

/// The `config.json` of a checkpoint of the tuned-lens library.
#[derive(Debug, Serialize, Deserialize)]
struct TunedLensConfig {
    base_model_name_or_path: String,
    d_model: usize,
    num_hidden_layers: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    base_model_revision: Option<String>,
    #[serde(default)]
    unembed_hash: Option<String>,
    #[serde(default = "linear")]
    lens_type: String,
}

fn yes() -> bool {
    true
}

fn linear() -> String {
    "linear_tuned_lens".to_owned()
}

impl FittedLens {
    /// Writes it as a checkpoint of the tuned-lens library: a directory with `config.json` and `params.pt`. The library's
    /// maps are added to the stream, so the weights of each are `W` minus the identity, with the output first.
    ///
    /// The checkpoint has no hash of the model and no record of the corpus. Each file is either complete or absent; `config.json` is
    /// written last.
    ///
    /// # Errors
    /// When a residual position has no map, or a file cannot be written.
    pub fn save_tuned_lens(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let mut tensors = Vec::new();
        for layer in 0..self.n_layers() {
            let missing =
                || not_a_lens(dir, format!("the lens has no map before layer {layer}, and tuned-lens needs it"));
            let map = self.map(layer).ok_or_else(missing)?;
            let (values, width) = (map.values(), map.d_model());
            let mut weight = transposed(&values.weight, width);
            (0..width).for_each(|unit| weight[unit * width + unit] -= 1.0);
            let bias = values.bias.unwrap_or_else(|| vec![0.0; width]);
            tensors.push(TorchTensor { name: format!("{layer}.weight"), shape: vec![width, width], values: weight });
            tensors.push(TorchTensor { name: format!("{layer}.bias"), shape: vec![width], values: bias });
        }
        let config = TunedLensConfig {
            base_model_name_or_path: self.record().model.clone(),
            d_model: self.d_model().unwrap_or(0),
            num_hidden_layers: self.n_layers(),
            bias: true,
            base_model_revision: None,
            unembed_hash: None,
            lens_type: linear(),
        };
        fs::create_dir_all(dir).map_err(cannot_write(dir))?;
        let json = serde_json::to_vec_pretty(&config).expect("a configuration is plain data");
        write_state_dict(&dir.join(PARAMS), &tensors)?;
        write_whole(&dir.join(CONFIG), |partial| fs::write(partial, json))
    }
}

/// Reads a checkpoint of the tuned-lens library.
pub(super) fn read_tuned_lens(dir: &Path, device: &Device) -> Result<FittedLens> {
    let path = dir.join(CONFIG);
    let json = fs::read(&path).map_err(|reason| not_a_lens(&path, reason))?;
    let config: TunedLensConfig = serde_json::from_slice(&json).map_err(|reason| not_a_lens(&path, reason))?;
    if config.lens_type != linear() {
        return Err(not_a_lens(&path, format!("its lens_type is {}, not {}", config.lens_type, linear())));
    }
    let file = TorchFile::open(&dir.join(PARAMS))?;
    let mut maps = Vec::new();
    for layer in 0..config.num_hidden_layers {
        let weight = file.matrix(&format!("{layer}.weight"))?;
        let width = weight.width;
        if width != config.d_model {
            return Err(not_a_lens(
                dir,
                format!("`{layer}.weight` is {width} wide, and d_model is {}", config.d_model),
            ));
        }
        let mut values = transposed(&weight.values, width);
        (0..width).for_each(|unit| values[unit * width + unit] += 1.0);
        let bias = config.bias.then(|| file.vector(&format!("{layer}.bias"), width)).transpose()?;
        maps.push(Some(LinearMap::from_values(values, bias, device)));
    }
    let record = LensRecord { model: config.base_model_name_or_path, ..LensRecord::default() };
    Ok(FittedLens::new(LensKind::Tuned, maps).with_record(record))
}

/// The plain values of a published Jacobian lens.
#[derive(Deserialize)]
struct JacobianValues {
    d_model: usize,
    #[serde(default)]
    n_prompts: usize,
}

/// Reads a published Jacobian lens: a file of `torch.save` with `J`, a dictionary from layers to matrices
/// `[d_model, d_model]`, the output first. The matrix of a layer reads the stream after it.
pub(super) fn read_jacobian_lens(path: &Path, shape: &ModelShape, device: &Device) -> Result<FittedLens> {
    let file = TorchFile::open(path)?;
    let layers: Option<Vec<usize>> =
        file.names().filter_map(|name| name.strip_prefix("J.")).map(|layer| layer.parse().ok()).collect();
    let layers = layers.filter(|layers| !layers.is_empty());
    let layers = layers.ok_or_else(|| not_a_lens(path, "it has no `J`, a matrix for each layer"))?;
    let values: JacobianValues = file.values()?;
    let mut maps = vec![None; shape.n_layers];
    for layer in layers {
        let matrix = file.matrix(&format!("J.{layer}"))?;
        if matrix.width != values.d_model {
            let reason =
                format!("the matrix of layer {layer} is {} wide, and d_model is {}", matrix.width, values.d_model);
            return Err(not_a_lens(path, reason));
        }
        let Some(map) = maps.get_mut(layer + 1) else {
            let n_layers = shape.n_layers;
            let reason = format!("it has a matrix after layer {layer}, and the model has {n_layers} layers");
            return Err(not_a_lens(path, reason));
        };
        *map = Some(LinearMap::from_values(transposed(&matrix.values, matrix.width), None, device));
    }
    let record = LensRecord { n_sequences: values.n_prompts, ..LensRecord::default() };
    Ok(FittedLens::new(LensKind::Jacobian, maps).with_record(record))
}
