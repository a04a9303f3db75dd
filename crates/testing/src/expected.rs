//! What Hugging Face transformers computes for a checkpoint: [`Expected`], a file of named [`ExpectedTensor`]s.

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use stratigraph_core::TokenWindows;

use crate::fixture;

/// Tensors that transformers computed.
pub struct Expected {
    bytes: Vec<u8>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct ExpectedTensor {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// Its values in order of the axes.
    pub values: Vec<f32>,
}

impl ExpectedTensor {
    /// The values at `index` of the first axis.
    pub fn part(&self, index: usize) -> &[f32] {
        let size = self.values.len() / self.shape[0];
        &self.values[index * size..(index + 1) * size]
    }
}

impl Expected {
    /// The tensors of a file among the fixtures.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn open(file: &str) -> Self {
        Self { bytes: std::fs::read(fixture(file)).expect("the fixture is committed") }
    }

    /// What transformers computes for a family's checkpoint.
    ///
    /// # Panics
    /// When there is no such checkpoint.
    pub fn of_family(name: &str) -> Self {
        Self::open(&format!("{name}/expected.safetensors"))
    }

    /// A tensor of f32 or i32.
    ///
    /// # Panics
    /// When there is no such tensor, or it is of another type.
    pub fn tensor(&self, name: &str) -> ExpectedTensor {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("the fixture is a safetensors file");
        let view = tensors.tensor(name).unwrap_or_else(|_| panic!("no `{name}`"));
        let words = view.data().as_chunks::<4>().0.iter();
        let values = match view.dtype() {
            Dtype::F32 => words.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::I32 => words.map(|bytes| i32::from_le_bytes(*bytes) as f32).collect(),
            other => panic!("{other:?}"),
        };
        ExpectedTensor { shape: view.shape().to_vec(), values }
    }

    /// The token ids `[batch, pos]` that everything was computed for.
    ///
    /// # Panics
    /// When the file has none.
    pub fn ids(&self, device: &Device) -> Tensor<2, Int> {
        let ExpectedTensor { shape, values } = self.tensor("ids");
        let ids: Vec<i32> = values.into_iter().map(|id| id as i32).collect();
        Tensor::from_data(TensorData::new(ids, [shape[0], shape[1]]), device)
    }

    /// The same token ids as windows.
    ///
    /// # Panics
    /// When the file has none.
    pub fn windows(&self) -> TokenWindows {
        let ExpectedTensor { shape, values } = self.tensor("ids");
        let ids: Vec<u32> = values.into_iter().map(|id| id as u32).collect();
        TokenWindows::new(&ids, shape[1]).expect("windows of two tokens or more")
    }
}
