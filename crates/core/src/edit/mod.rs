//! A change of an activation while a model runs: [`Edit`], of an [`EditKind`], at some [`Positions`] and [`Units`].

mod apply;
mod check;
mod custom;
mod data;
mod hidden;
mod indices;
mod mean;
mod pairs;
mod parts;
mod selection;
mod tap;
mod text;
mod values;

use std::ops::RangeInclusive;

pub use custom::{EditContext, EditFunction};
pub use data::EditData;
pub use mean::MeanOver;
pub use pairs::{AttentionPair, PairMask};
pub use selection::{PositionMask, Positions, Units};
pub use tap::{BlockEdits, CorpusValues, EditTap};
pub use values::EditValues;

use crate::{Activation, Hook, HookPoint, Result};

/// What an edit does to an activation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EditKind {
    /// Zeroes it.
    Zero,
    /// Replaces it by its mean in the unchanged model, over positions and windows of the corpus (scores and patterns: over
    /// the windows).
    Mean(MeanOver),
    /// Replaces it by the unchanged model's activation at the same position of the next window of the corpus (for the
    /// last window, of the first one). Where the corpus has several [documents](crate::TokenWindows::with_documents), the
    /// next window of another document is taken.
    Resample,
    /// Replaces it by the activation of the same layer of the unchanged model on the same window; written `clean`.
    Clean,
    /// Multiplies it.
    Scale(f64),
    /// Adds a vector, or values of any shape that broadcasts to the activation's.
    Add(EditValues),
    /// Replaces it by the activation of another run.
    Patch(EditValues),
    /// Hides the keys at these distances before each query; for [`Hook::AttnScores`]. A query always attends to itself.
    MaskDistances(RangeInclusive<usize>),
    /// Hides the keys at these positions from every query except the one at the key's own position; for [`Hook::AttnScores`].
    MaskKeys(Positions),
    /// Hides from each query the keys that it is paired with; pairs differ between windows. For [`Hook::AttnScores`].
    MaskPairs(PairMask),
    /// Skips the layer: the residual stream leaves the block as it entered it; for [`Hook::ResidPost`].
    SkipLayer,
    /// The user's own function.
    Custom(EditFunction),
}

/// A change of one activation in one slot of a run.
///
/// Edits are plain values: equal edits of several interventions are computed once. They print as text and parse from it,
/// except those that hold tensors or functions.
///
/// ```
/// use stratigraph_core::{Edit, Hook, Positions};
///
/// let head = Edit::zero(Hook::Z.at(3)).with_heads([2]);
/// assert_eq!(head.to_string(), "blocks.3.attn.hook_z heads=2 zero");
/// assert_eq!("blocks.3.attn.hook_z heads=2 zero".parse::<Edit>()?, head);
///
/// let skip = Edit::skip_layer(3).with_positions(Positions::from(1));
/// assert_eq!(skip.to_string(), "blocks.3.hook_resid_post pos=1.. skip");
/// # Ok::<(), stratigraph_core::CoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    point: HookPoint,
    positions: Positions,
    units: Units,
    kind: EditKind,
}

impl Edit {
    /// An edit of any kind, at every position and of every head or unit.
    pub fn new(point: HookPoint, kind: EditKind) -> Self {
        Self { point, positions: Positions::All, units: Units::All, kind }
    }

    /// Zeroes an activation.
    pub fn zero(point: HookPoint) -> Self {
        Self::new(point, EditKind::Zero)
    }

    /// Replaces an activation by its mean over all positions of the corpus.
    pub fn mean(point: HookPoint) -> Self {
        Self::mean_over(point, MeanOver::All)
    }

    /// Replaces an activation by its mean over some positions of the corpus, or over windows for each position.
    pub fn mean_over(point: HookPoint, over: impl Into<MeanOver>) -> Self {
        Self::new(point, EditKind::Mean(over.into()))
    }

    /// Replaces an activation by that of the next window of the corpus, of another document where there are several.
    pub fn resample(point: HookPoint) -> Self {
        Self::new(point, EditKind::Resample)
    }

    /// Freezes an activation: replaces it by that of the unchanged model on the same window.
    pub fn freeze(point: HookPoint) -> Self {
        Self::new(point, EditKind::Clean)
    }

    /// Multiplies an activation by `factor`.
    pub fn scale(point: HookPoint, factor: f64) -> Self {
        Self::new(point, EditKind::Scale(factor))
    }

    /// Adds values: a vector `[1, 1, width]`, or an activation of the windows that run.
    pub fn add(point: HookPoint, values: impl Into<EditValues>) -> Self {
        Self::new(point, EditKind::Add(values.into()))
    }

    /// Replaces an activation by that of another run, as an [`ActivationCache`](crate::ActivationCache) kept it: of one
    /// window, which is used for every window, or of each window of the corpus.
    pub fn patch(point: HookPoint, values: impl Into<EditValues>) -> Self {
        Self::new(point, EditKind::Patch(values.into()))
    }

    /// Hides the keys at some distances before each query in the layer that runs in `slot`.
    pub fn mask_distances(slot: usize, distances: RangeInclusive<usize>) -> Self {
        Self::new(Hook::AttnScores.at(slot), EditKind::MaskDistances(distances))
    }

    /// Hides the keys at some positions from every query except the one at the key's own position, in the layer that runs in `slot`.
    pub fn mask_keys(slot: usize, keys: Positions) -> Self {
        Self::new(Hook::AttnScores.at(slot), EditKind::MaskKeys(keys))
    }

    /// Hides keys from the queries that they are paired with in the layer that runs in `slot`.
    pub fn mask_pairs(slot: usize, pairs: PairMask) -> Self {
        Self::new(Hook::AttnScores.at(slot), EditKind::MaskPairs(pairs))
    }

    /// Skips the layer that runs in `slot`.
    pub fn skip_layer(slot: usize) -> Self {
        Self::new(Hook::ResidPost.at(slot), EditKind::SkipLayer)
    }

    /// Replaces an activation by a function of it. Functions with the same `id` are taken to be equal.
    pub fn custom(
        point: HookPoint,
        id: &str,
        function: impl Fn(Activation, &EditContext) -> Result<Activation> + Send + Sync + 'static,
    ) -> Self {
        Self::new(point, EditKind::Custom(EditFunction::new(id, function)))
    }

    /// At these positions only: of the query, for scores and patterns.
    pub fn with_positions(self, positions: impl Into<Positions>) -> Self {
        Self { positions: positions.into(), ..self }
    }

    /// Of these heads only.
    pub fn with_heads(self, heads: impl IntoIterator<Item = usize>) -> Self {
        Self { units: Units::heads(heads), ..self }
    }

    /// Of these units of the last axis only, such as MLP neurons.
    pub fn with_units(self, units: impl IntoIterator<Item = usize>) -> Self {
        Self { units: Units::only(units), ..self }
    }

    /// In another slot.
    pub fn in_slot(self, slot: usize) -> Self {
        Self { point: self.point.hook.at(slot), ..self }
    }

    /// The hook point.
    pub fn point(&self) -> HookPoint {
        self.point
    }

    /// The positions.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The heads or units.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// The kind.
    pub fn kind(&self) -> &EditKind {
        &self.kind
    }

    /// The tensor that it adds or patches in, if it holds one.
    pub fn values(&self) -> Option<&EditValues> {
        match &self.kind {
            EditKind::Add(values) | EditKind::Patch(values) => Some(values),
            _ => None,
        }
    }

    /// Whether its values come from another run, over the whole corpus or over some of its windows.
    pub fn needs_corpus(&self) -> bool {
        matches!(self.kind, EditKind::Mean(_) | EditKind::Resample | EditKind::Clean)
    }

    /// Whether its text describes it completely. Tensors, masks and functions have no text that another process can
    /// read.
    pub fn is_text(&self) -> bool {
        let kind = match &self.kind {
            EditKind::Add(_) | EditKind::Patch(_) | EditKind::Custom(_) | EditKind::MaskPairs(_) => false,
            EditKind::MaskKeys(keys) => keys.is_text(),
            _ => true,
        };
        kind && self.positions.is_text()
    }

    /// Whether its text describes it completely, apart from the [data](EditData) that [`Edit::parse_with`] takes.
    pub fn is_text_with_data(&self) -> bool {
        let has_data = self.values().is_some() || matches!(self.kind, EditKind::MaskPairs(_));
        self.is_text() || has_data && self.positions.is_text()
    }

    /// Whether the result does not depend on the activation at all.
    pub(crate) fn is_replacement(&self) -> bool {
        let replaces = matches!(
            self.kind,
            EditKind::Zero | EditKind::Mean(_) | EditKind::Resample | EditKind::Clean | EditKind::Patch(_)
        );
        replaces && self.positions == Positions::All && self.units == Units::All
    }
}
