//! What the heads of a layer write, before a norm after attention: [`HeadWrites`], and how well they account for what attention
//! writes, [`Misfit`].

use burn::tensor::Tensor;
use stratigraph_core::{ModelWeights, Result as CoreResult};

use crate::readout::begun;
use crate::{ProbeError, Result};

/// The most that may be missing from the heads, as a fraction of the length of what attention writes.
pub(super) const MOST_MISSING: f64 = 0.02;

/// What the heads of a layer write, and their numbers along the directions of the next tokens.
pub(super) struct HeadWrites {
    /// Their sum, with the bias, `[rows, d_model]`.
    sum: Tensor<2>,
    /// `[rows, n_heads]`
    heads: Tensor<2>,
    /// `[rows, 1]`
    bias: Option<Tensor<2>>,
}

/// The numbers of the heads in the residual stream.
pub(super) struct HeadNumbers {
    /// `[rows, n_heads]`
    pub(super) heads: Tensor<2>,
    /// `[rows, 1]`
    pub(super) bias: Option<Tensor<2>>,
    /// The squared length of what attention writes, and of what is missing from it, `[rows, 2]`.
    pub(super) misfit: Tensor<2>,
}

impl HeadWrites {
    /// From `z` `[rows, n_heads * d_head]` and the directions `[rows, d_model]`.
    pub(super) fn new(
        weights: &dyn ModelWeights,
        layer: usize,
        z: Tensor<2>,
        directions: &Tensor<2>,
    ) -> CoreResult<Self> {
        let w_o = weights.w_o(layer)?;
        let ([n_rows, width], [n_heads, d_head, d_model]) = (z.dims(), w_o.dims());
        let w_o = w_o.reshape([n_heads * d_head, d_model]);
        let b_o = weights.b_o(layer)?.map(|bias| bias.reshape([1, d_model]));
        let sum = z.clone().matmul(w_o.clone());
        let sum = match &b_o {
            Some(bias) => sum + bias.clone(),
            None => sum,
        };
        let along = z * directions.clone().matmul(w_o.transpose()); // [rows, width]
        let heads = along.reshape([n_rows * n_heads, width / n_heads]).sum_dim(1).reshape([n_rows, n_heads]);
        let bias = b_o.map(|bias| begun(directions.clone().matmul(bias.transpose())));
        Ok(Self { sum: begun(sum), heads: begun(heads), bias })
    }

    /// Their numbers, given what attention writes, `[rows, d_model]`. A norm after attention divides each row by a number,
    /// which is found from its length along the heads' sum; without such a norm it is 1.
    pub(super) fn scaled_to(self, out: &Tensor<2>) -> HeadNumbers {
        /// A row of zeros is left as it is.
        const LEAST: f32 = 1e-30;
        let Self { sum, heads, bias } = self;
        let along = begun((sum.clone() * out.clone()).sum_dim(1));
        let square = begun(sum.clone().square().sum_dim(1)).clamp_min(LEAST);
        let factor = begun(along / square);
        let missing = begun((out.clone() - sum * factor.clone()).square().sum_dim(1));
        let length = begun(out.clone().square().sum_dim(1));
        HeadNumbers {
            heads: heads * factor.clone(),
            bias: bias.map(|bias| bias * factor),
            misfit: Tensor::cat(vec![length, missing], 1),
        }
    }
}

/// The squared lengths of what the attention of a layer writes, and of what is missing from it, over all rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Misfit {
    pub(super) length: f64,
    pub(super) missing: f64,
}

impl Misfit {
    /// Refuses weights that do not give what attention of `layer` writes.
    pub(super) fn check(self, layer: usize) -> Result<()> {
        let missing = (self.missing / self.length.max(f64::MIN_POSITIVE)).sqrt();
        if missing <= MOST_MISSING { Ok(()) } else { Err(ProbeError::HeadsDoNotAddUp { layer, missing }) }
    }
}
