//! What a hook shows: [`Activation`], a tensor of three or four axes.

use burn::tensor::{Device, Tensor};

use crate::{CoreError, Hook, HookPoint, Result};

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

    /// Joined with the activation of the positions that follow. Scores and patterns have the keys up to the last position then;
    /// those after a query are minus infinity and 0.
    ///
    /// # Errors
    /// [`CoreError::OtherRank`] when one has an axis of heads and the other has none; `point` says where both are from.
    pub(crate) fn followed_by(self, new: Activation, point: HookPoint) -> Result<Self> {
        match (self, new) {
            (Activation::Wide(old), new) => Ok(Tensor::cat(vec![old, new.wide(point)?], 1).into()),
            (Activation::Heads(old), new) if !point.hook.is_square() => {
                Ok(Tensor::cat(vec![old, new.heads(point)?], 1).into())
            }
            (Activation::Heads(old), new) => {
                let new = new.heads(point)?;
                let ([batch, n_heads, queries, old_keys], [_, _, _, keys]) = (old.dims(), new.dims());
                let unseen = if point.hook == Hook::AttnScores { f32::NEG_INFINITY } else { 0.0 };
                let later =
                    Tensor::full([batch, n_heads, queries, keys.saturating_sub(old_keys)], unseen, &old.device());
                Ok(Tensor::cat(vec![Tensor::cat(vec![old, later], 3), new], 2).into())
            }
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
