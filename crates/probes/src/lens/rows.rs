//! What a lens is, [`Lens`], what it is given, [`LensRows`], and a stream that is read by one, [`ReadStream`].

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ModelShape, ResidualModel};

use super::FittedLens;
use crate::Result;

/// Rows of the residual stream at a residual position.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LensRows {
    /// The residual position: 0 is before the first layer, the number of layers after the last one.
    pub position: usize,
    /// The rows, `[rows, d_model]`.
    pub resid: Tensor<2>,
    /// The last residual stream of the unchanged model at the same rows, `[rows, d_model]`, where it is known.
    pub last: Option<Tensor<2>>,
}

impl LensRows {
    /// Rows `[rows, d_model]` at a residual position.
    pub fn new(position: usize, resid: Tensor<2>) -> Self {
        Self { position, resid, last: None }
    }

    /// With the last residual stream of the unchanged model at the same rows, `[rows, d_model]`.
    pub fn with_last(self, last: Tensor<2>) -> Self {
        Self { last: Some(last), ..self }
    }
}

/// Maps the residual stream at a residual position to the last residual stream.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use stratigraph_core::ModelShape;
/// use stratigraph_probes::Result;
/// use stratigraph_probes::lens::Lens;
///
/// /// The logit lens of half the residual stream.
/// struct Half;
///
/// impl Lens for Half {
///     fn name(&self) -> &str {
///         "half_lens"
///     }
///
///     fn stream(&self, _position: usize, rows: Tensor<2>) -> Result<Tensor<2>> {
///         Ok(rows * 0.5)
///     }
/// }
///
/// let rows = Tensor::ones([1, 4], &Device::flex());
/// assert_eq!(Half.stream(3, rows)?.sum().into_scalar::<f32>(), 2.0);
/// # Ok::<(), stratigraph_probes::ProbeError>(())
/// ```
pub trait Lens: Send + Sync {
    /// Its name, with which the names of its curves begin: `affine_lens` of `affine_lens_kl`.
    fn name(&self) -> &str;

    /// Rows `[rows, d_model]` at a residual position as rows of the last residual stream, `[rows, d_model]`.
    ///
    /// # Errors
    /// When the lens does not have the position, or the rows have another width.
    fn stream(&self, position: usize, rows: Tensor<2>) -> Result<Tensor<2>>;

    /// What the unembedding reads, `[rows, d_model]`; by default the final norm of [`stream`](Lens::stream).
    ///
    /// # Errors
    /// As [`stream`](Lens::stream), and when the model fails or lacks what the lens needs.
    fn normed(&self, model: &dyn ResidualModel, rows: LensRows) -> Result<Tensor<2>> {
        Ok(model.final_norm(self.stream(rows.position, rows.resid)?)?)
    }

    /// Whether it has a map of its own at a residual position. By default it has one everywhere.
    fn reads(&self, _position: usize) -> bool {
        true
    }

    /// Where it comes from, in words, for the definition of its curves: `fitted on 64 windows of ...`. By default nothing.
    fn origin(&self) -> Option<String> {
        None
    }

    /// The same as numbers that another process can read, where it is fitted. By default it is not.
    fn as_fitted(&self) -> Option<&FittedLens> {
        None
    }

    /// Refuses a model that it is not made for. By default it accepts every model.
    ///
    /// # Errors
    /// [`LensError::OtherLens`](crate::lens::LensError::OtherLens).
    fn check(&self, _shape: &ModelShape) -> Result<()> {
        Ok(())
    }
}

/// A lens at a residual position.
#[derive(Clone)]
pub struct LensReading {
    lens: Arc<dyn Lens>,
    position: usize,
}

impl LensReading {
    /// A lens at a residual position.
    pub fn new(lens: Arc<dyn Lens>, position: usize) -> Self {
        Self { lens, position }
    }

    /// The lens.
    pub fn lens(&self) -> &dyn Lens {
        &*self.lens
    }

    /// The residual position.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl PartialEq for LensReading {
    /// Whether it is the same lens (not only one with equal numbers) at the same position.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lens, &other.lens) && self.position == other.position
    }
}

impl fmt::Debug for LensReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at residual position {}", self.lens.name(), self.position)
    }
}

/// A residual stream that a [`Readout`](crate::readout::Readout) reads, by a lens or as the model reads its last one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadStream {
    /// The residual stream, `[batch, pos, d_model]`.
    pub resid: Tensor<3>,
    /// The lens; without one the final norm and the unembedding read it as it is.
    pub reading: Option<LensReading>,
}

impl ReadStream {
    /// A residual stream `[batch, pos, d_model]`, read by a lens or not.
    pub fn new(resid: Tensor<3>, reading: Option<LensReading>) -> Self {
        Self { resid, reading }
    }
}

impl From<Tensor<3>> for ReadStream {
    fn from(resid: Tensor<3>) -> Self {
        Self::new(resid, None)
    }
}
