//! Lenses without a fit: [`LogitLens`] and [`FixedScaleLens`].

use burn::tensor::Tensor;
use stratigraph_core::{CoreError, ResidualModel};

use super::{Lens, LensError, LensRows};
use crate::Result;

/// The logit lens: the residual stream is read as if it were the last one, normed by its own statistics.
///
/// nostalgebraist, *interpreting GPT: the logit lens* (2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogitLens;

impl Lens for LogitLens {
    fn name(&self) -> &str {
        "lens"
    }

    fn stream(&self, _position: usize, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows)
    }
}

/// The logit lens with one norm scale at every depth: the final norm divides each row by the scale of the last residual
/// stream of the unchanged model at that row.
///
/// The first versions of *The Remarkable Robustness of LLMs* did this, by TransformerLens's `accumulated_resid` before
/// [TransformerLens #1076](https://github.com/TransformerLensOrg/TransformerLens/issues/1076) was fixed. Early
/// streams, which are short, then give nearly uniform predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FixedScaleLens;

impl Lens for FixedScaleLens {
    fn name(&self) -> &str {
        "fixed_scale_lens"
    }

    fn stream(&self, _position: usize, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows)
    }

    /// The model has to give its weights, and the rows [`last`](LensRows::last).
    fn normed(&self, model: &dyn ResidualModel, LensRows { resid, last, .. }: LensRows) -> Result<Tensor<2>> {
        let weights = model.weights().ok_or(CoreError::WeightsMissing)?;
        let last = last.ok_or(LensError::LastStreamMissing)?;
        // The norm of nothing is its bias; the rest grows with the inverse of the scale.
        let bias = model.final_norm(resid.clone().narrow(0, 0, 1).zeros_like())?;
        let scales = weights.final_norm_scale(resid.clone())? / weights.final_norm_scale(last)?;
        Ok((model.final_norm(resid)? - bias.clone()) * scales + bias)
    }
}
