//! What a hook shows: [`Activation`], a tensor of three or four axes.

use burn::tensor::{Device, Tensor};

use crate::{CoreError, HookPoint, Result};

/// An activation at a hook point.
#[derive(Debug, Clone)]
pub enum Activation {
    /// `[batch, pos, width]`: residual streams, what sublayers write, MLP activations.
    Wide(Tensor<3>),
    /// `[batch, pos, heads, d_head]` for queries, keys, values and `z`; `[batch, n_heads, query, key]` for scores and
    /// patterns.
    Heads(Tensor<4>),
}

impl Activation {
    /// The length of each axis.
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Activation::Wide(x) => x.dims().to_vec(),
            Activation::Heads(x) => x.dims().to_vec(),
        }
    }

    /// Where the tensor is.
    pub fn device(&self) -> Device {
        match self {
            Activation::Wide(x) => x.device(),
            Activation::Heads(x) => x.device(),
        }
    }

    /// The tensor `[batch, pos, width]`.
    ///
    /// # Errors
    /// [`CoreError::OtherRank`] when the activation has an axis of heads; `point` says where it is from.
    pub fn wide(self, point: HookPoint) -> Result<Tensor<3>> {
        match self {
            Activation::Wide(x) => Ok(x),
            Activation::Heads(x) => Err(CoreError::OtherRank { point, expected: 3, found: x.dims().to_vec() }),
        }
    }

    /// The tensor with an axis of heads.
    ///
    /// # Errors
    /// [`CoreError::OtherRank`] when the activation has none.
    pub fn heads(self, point: HookPoint) -> Result<Tensor<4>> {
        match self {
            Activation::Heads(x) => Ok(x),
            Activation::Wide(x) => Err(CoreError::OtherRank { point, expected: 4, found: x.dims().to_vec() }),
        }
    }

    /// The values in order of the axes, as f32.
    pub fn to_vec(&self) -> Vec<f32> {
        let values = match self {
            Activation::Wide(x) => x.clone().try_into_vec_as(),
            Activation::Heads(x) => x.clone().try_into_vec_as(),
        };
        values.expect("an activation has floats")
    }

    /// On another device; the same where it is there already.
    pub fn to_device(&self, device: &Device) -> Self {
        match self {
            Activation::Wide(x) => Activation::Wide(x.clone().to_device(device)),
            Activation::Heads(x) => Activation::Heads(x.clone().to_device(device)),
        }
    }

    /// Windows `range` of the batch.
    pub fn windows(&self, range: std::ops::Range<usize>) -> Self {
        match self {
            Activation::Wide(x) => Activation::Wide(x.clone().slice([range])),
            Activation::Heads(x) => Activation::Heads(x.clone().slice([range])),
        }
    }
}

impl From<Tensor<3>> for Activation {
    fn from(x: Tensor<3>) -> Self {
        Activation::Wide(x)
    }
}

impl From<Tensor<4>> for Activation {
    fn from(x: Tensor<4>) -> Self {
        Activation::Heads(x)
    }
}
