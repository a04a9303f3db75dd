//! One map of a fitted lens: [`LinearMap`].

use burn::tensor::{Device, Tensor, TensorData};

use crate::{ProbeError, Result};

/// `h W + b`, from rows of one residual stream to rows of another.
#[derive(Debug, Clone)]
pub struct LinearMap {
    /// `[d_model, d_model]`, the input first.
    weight: Tensor<2>,
    /// `[1, d_model]`
    bias: Option<Tensor<2>>,
}

impl LinearMap {
    /// The map `h W` by weights `[d_model, d_model]`, the input first.
    ///
    /// # Panics
    /// When the weights are not square.
    pub fn new(weight: Tensor<2>) -> Self {
        let [inputs, outputs] = weight.dims();
        assert_eq!(inputs, outputs, "a map of a lens is square");
        Self { weight, bias: None }
    }

    /// With a bias `[d_model]`.
    ///
    /// # Panics
    /// When it has another length than the weights.
    pub fn with_bias(self, bias: Tensor<1>) -> Self {
        assert_eq!(bias.dims()[0], self.d_model(), "a bias for each output");
        Self { bias: Some(bias.unsqueeze()), ..self }
    }

    /// From numbers in row-major order: weights `[d_model, d_model]`, the input first, and perhaps a bias `[d_model]`.
    pub(crate) fn from_values(weight: Vec<f32>, bias: Option<Vec<f32>>, device: &Device) -> Self {
        let width = weight.len().isqrt();
        let map = Self::new(Tensor::from_data(TensorData::new(weight, [width, width]), device));
        match bias {
            Some(bias) => map.with_bias(Tensor::from_data(TensorData::new(bias, [width]), device)),
            None => map,
        }
    }

    /// The width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.weight.dims()[0]
    }

    /// `W`, `[d_model, d_model]`, the input first.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.clone()
    }

    /// `b`, `[d_model]`, where there is one.
    pub fn bias(&self) -> Option<Tensor<1>> {
        self.bias.clone().map(|bias| bias.squeeze_dim(0))
    }

    /// Applies it to rows `[rows, d_model]` on any device.
    ///
    /// # Errors
    /// When the rows have another width.
    pub fn apply(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        let [n_rows, width] = rows.dims();
        if width != self.d_model() {
            let (found, expected) = (vec![n_rows, width], vec![n_rows, self.d_model()]);
            return Err(ProbeError::WrongShape { what: "the rows that a lens reads".to_owned(), found, expected });
        }
        let device = rows.device();
        let mapped = rows.matmul(self.weight.clone().to_device(&device));
        Ok(match &self.bias {
            Some(bias) => mapped + bias.clone().to_device(&device),
            None => mapped,
        })
    }

    /// With its numbers on a device.
    pub(crate) fn on(&self, device: &Device) -> Self {
        let bias = self.bias.clone().map(|bias| bias.to_device(device));
        Self { weight: self.weight.clone().to_device(device), bias }
    }

    /// Its numbers in row-major order, the weights with the input first.
    pub(crate) fn values(&self) -> MapValues {
        let floats = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>().expect("any float");
        MapValues { weight: floats(self.weight.clone()), bias: self.bias.clone().map(floats) }
    }
}

/// The numbers of a map.
pub(crate) struct MapValues {
    /// `[d_model, d_model]`, the input first.
    pub(crate) weight: Vec<f32>,
    /// `[d_model]`
    pub(crate) bias: Option<Vec<f32>>,
}

/// A square matrix with rows and columns exchanged.
pub(crate) fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width * width).map(|at| values[at % width * width + at / width]).collect()
}
