//! A lens with a linear map for each residual position, [`FittedLens`], of some [`LensKind`].

use std::fmt;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use stratigraph_core::ModelShape;

use super::{Lens, LensError, LensRecord, LinearMap};
use crate::Result;

/// How a lens was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LensKind {
    /// By least squares on the last residual stream.
    Affine,
    /// By minimising the KL divergence from the model's predictions. Belrose et al., *Eliciting Latent Predictions from Transformers
    /// with the Tuned Lens* (2023).
    Tuned,
    /// As the mean Jacobian of the last residual stream.
    Jacobian,
}

impl LensKind {
    /// All of them.
    pub const ALL: [LensKind; 3] = [LensKind::Affine, LensKind::Tuned, LensKind::Jacobian];

    /// The name of its lens, with which the names of curves begin: `affine_lens`, `tuned_lens`, `jacobian_lens`.
    pub fn lens_name(self) -> &'static str {
        match self {
            LensKind::Affine => "affine_lens",
            LensKind::Tuned => "tuned_lens",
            LensKind::Jacobian => "jacobian_lens",
        }
    }
}

impl fmt::Display for LensKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LensKind::Affine => "affine",
            LensKind::Tuned => "tuned",
            LensKind::Jacobian => "jacobian",
        })
    }
}

/// A lens with a linear map for each residual position before the last; at the last one it is the model.
///
/// A position may lack a map: published Jacobian lenses have none before the first layer. The stream is left as it is there,
/// and studies give no number.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use stratigraph_probes::lens::{FittedLens, Lens, LensKind, LinearMap};
///
/// let device = Device::flex();
/// let double = LinearMap::new(Tensor::eye(4, &device) * 2.0);
/// let lens = FittedLens::new(LensKind::Affine, [None, Some(double)]); // of a model of two layers
/// let rows = Tensor::ones([1, 4], &device);
/// let sum = |position| Ok::<_, stratigraph_probes::ProbeError>(lens.stream(position, rows.clone())?.sum().into_scalar::<f32>());
/// assert_eq!([sum(0)?, sum(1)?, sum(2)?], [4.0, 8.0, 4.0]);
/// assert!(!lens.reads(0) && lens.reads(1) && lens.reads(2) && lens.stream(3, rows.clone()).is_err());
/// # Ok::<(), stratigraph_probes::ProbeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FittedLens {
    kind: LensKind,
    maps: Vec<Option<LinearMap>>,
    record: LensRecord,
}

impl FittedLens {
    /// A lens with a map for each residual position before the last, as many as the model has layers.
    ///
    /// # Panics
    /// When two maps have different widths.
    pub fn new(kind: LensKind, maps: impl IntoIterator<Item = Option<LinearMap>>) -> Self {
        let maps: Vec<_> = maps.into_iter().collect();
        let mut widths = maps.iter().flatten().map(LinearMap::d_model);
        if let Some(first) = widths.next() {
            assert!(widths.all(|width| width == first), "the maps of a lens have one width");
        }
        Self { kind, maps, record: LensRecord::default() }
    }

    /// With a record of what it was fitted on.
    pub fn with_record(self, record: LensRecord) -> Self {
        Self { record, ..self }
    }

    /// How it was fitted.
    pub fn kind(&self) -> LensKind {
        self.kind
    }

    /// What it was fitted on, if its file says so.
    pub fn record(&self) -> &LensRecord {
        &self.record
    }

    /// How many layers its model has.
    pub fn n_layers(&self) -> usize {
        self.maps.len()
    }

    /// The width of the residual stream; none where it has no map.
    pub fn d_model(&self) -> Option<usize> {
        self.maps.iter().flatten().next().map(LinearMap::d_model)
    }

    /// The map of a residual position, where there is one.
    pub fn map(&self, position: usize) -> Option<&LinearMap> {
        self.maps.get(position)?.as_ref()
    }

    /// With its numbers on a device, so that they are not moved whenever it is applied there.
    pub fn on(self, device: &Device) -> Self {
        let maps = self.maps.iter().map(|map| map.as_ref().map(|map| map.on(device))).collect();
        Self { maps, ..self }
    }
}

impl Lens for FittedLens {
    fn name(&self) -> &str {
        self.kind.lens_name()
    }

    fn stream(&self, position: usize, rows: Tensor<2>) -> Result<Tensor<2>> {
        let n_layers = self.n_layers();
        match self.maps.get(position) {
            Some(Some(map)) => map.apply(rows),
            Some(None) => Ok(rows),
            None if position == n_layers => Ok(rows),
            None => Err(LensError::OtherLens {
                lens: self.name().replace('_', " "),
                found: format!("{n_layers} layers"),
                expected: format!("a residual position {position}"),
            }
            .into()),
        }
    }

    fn reads(&self, position: usize) -> bool {
        position == self.n_layers() || self.map(position).is_some()
    }

    fn origin(&self) -> Option<String> {
        self.record.origin()
    }

    fn as_fitted(&self) -> Option<&FittedLens> {
        Some(self)
    }

    fn check(&self, shape: &ModelShape) -> Result<()> {
        let words = |n_layers: usize, d_model: usize| format!("{n_layers} layers and d_model {d_model}");
        let width = self.d_model().unwrap_or(shape.d_model);
        if (self.n_layers(), width) == (shape.n_layers, shape.d_model) {
            return Ok(());
        }
        Err(LensError::OtherLens {
            lens: self.name().replace('_', " "),
            found: words(self.n_layers(), width),
            expected: words(shape.n_layers, shape.d_model),
        }
        .into())
    }
}
