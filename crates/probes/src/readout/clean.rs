//! What residual streams are compared with: [`Clean`].

use burn::tensor::Tensor;
use stratigraph_core::ResidualModel;

/// The clean side of a comparison.
#[derive(Clone)]
#[non_exhaustive]
pub enum Clean<'a> {
    /// One of the residual streams, by its index: that of the unchanged model among those of changed ones.
    Stream(usize),
    /// A residual stream `[batch, pos, d_model]` of the unchanged model on the same windows, which is not among those that are
    /// scored.
    Unscored(Tensor<3>),
    /// A residual stream of another model with the same vocabulary: the original of a pruned, quantised or fine-tuned one.
    /// The width of its residual stream and its device may differ.
    Other {
        /// The model.
        model: &'a dyn ResidualModel,
        /// Its last residual stream on the same windows, `[batch, pos, d_model of that model]`.
        resid: Tensor<3>,
    },
}

impl<'a> Clean<'a> {
    /// The last residual stream of another model on the same windows, `[batch, pos, d_model of that model]`.
    pub fn other(model: &'a dyn ResidualModel, resid: Tensor<3>) -> Self {
        Clean::Other { model, resid }
    }
}

impl From<usize> for Clean<'_> {
    fn from(stream: usize) -> Self {
        Clean::Stream(stream)
    }
}
