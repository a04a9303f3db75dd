//! A change of an activation while a model runs: [`Edit`], of an [`EditKind`], at some [`Positions`] and [`Units`].

mod apply;
mod custom;
mod selection;
mod tap;
mod text;
mod values;

use std::ops::RangeInclusive;

pub use custom::{EditContext, EditFunction};
pub use selection::{PositionMask, Positions, Units};
pub use tap::{BlockEdits, CorpusValues, EditTap};
pub use values::EditValues;

use crate::{Activation, CoreError, Hook, HookPoint, ModelShape, Result};

/// What an edit does to an activation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EditKind {
    /// Zeroes it.
    Zero,
    /// Replaces it by its mean in the unchanged model, over every position of every window of the corpus (scores and
    /// patterns: over the windows).
    Mean,
    /// Replaces it by the unchanged model's activation at the same position of the next window of the corpus (for the
    /// last window, of the first one).
    Resample,
    /// Multiplies it.
    Scale(f64),
    /// Adds a vector, or values of any shape that broadcasts to the activation's.
    Add(EditValues),
    /// Replaces it by the activation of another run.
    Patch(EditValues),
    /// Hides the keys at these distances before each query; for [`Hook::AttnScores`]. A query always sees itself.
    MaskDistances(RangeInclusive<usize>),
    /// Hides the keys at these positions from every query but themselves; for [`Hook::AttnScores`].
    MaskKeys(Positions),
    /// Skips the layer: the residual stream leaves the block as it entered it; for [`Hook::ResidPost`].
    SkipLayer,
    /// The user's own function.
    Custom(EditFunction),
}

/// A change of one activation in one slot of a run.
///
/// Edits are plain values: equal edits of several interventions are computed once. They print as text and parse from it,
/// all but those that hold tensors or functions.
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

    /// Replaces an activation by its mean over the corpus.
    pub fn mean(point: HookPoint) -> Self {
        Self::new(point, EditKind::Mean)
    }

    /// Replaces an activation by that of the next window of the corpus.
    pub fn resample(point: HookPoint) -> Self {
        Self::new(point, EditKind::Resample)
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

    /// Hides the keys at some positions from every query but themselves in the layer that runs in `slot`.
    pub fn mask_keys(slot: usize, keys: Positions) -> Self {
        Self::new(Hook::AttnScores.at(slot), EditKind::MaskKeys(keys))
    }

    /// Skips the layer that runs in `slot`.
    pub fn skip_layer(slot: usize) -> Self {
        Self::new(Hook::ResidPost.at(slot), EditKind::SkipLayer)
    }

    /// Replaces an activation by a function of it. Functions of one `id` are taken to be equal.
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

    /// Whether its values come from a pass over the whole corpus.
    pub fn needs_corpus(&self) -> bool {
        matches!(self.kind, EditKind::Mean | EditKind::Resample)
    }

    /// Whether its text describes it completely. Tensors, masks and functions have no text that another process can
    /// read.
    pub fn is_text(&self) -> bool {
        let kind = match &self.kind {
            EditKind::Add(_) | EditKind::Patch(_) | EditKind::Custom(_) => false,
            EditKind::MaskKeys(keys) => keys.is_text(),
            _ => true,
        };
        kind && self.positions.is_text()
    }

    /// Whether the result does not depend on the activation at all.
    pub(crate) fn is_replacement(&self) -> bool {
        let replaces = matches!(self.kind, EditKind::Zero | EditKind::Mean | EditKind::Resample | EditKind::Patch(_));
        replaces && self.positions == Positions::All && self.units == Units::All
    }

    /// Checks that a model can make it in a run of `n_slots` slots and windows of `seq_len` tokens.
    ///
    /// # Errors
    /// [`CoreError::HookMissing`]; [`CoreError::EditNeverFired`] when there is no such slot or position;
    /// [`CoreError::BadEdit`] when heads or units do not exist, or the kind does not belong to the hook.
    pub fn check(&self, shape: &ModelShape, n_slots: usize, seq_len: usize) -> Result<()> {
        let hook = self.point.hook;
        if hook == Hook::LnFinalNormalized {
            return Err(self.bad("it can be read, not edited; edit hook_resid_post of the last slot instead"));
        }
        if hook != Hook::Embed && !shape.hooks.contains(hook) {
            return Err(CoreError::HookMissing { hook });
        }
        if self.point.slot >= n_slots || !self.positions.any_below(seq_len) {
            return Err(CoreError::EditNeverFired { point: self.point });
        }
        self.check_kind()?;
        self.check_units(shape)
    }

    fn check_kind(&self) -> Result<()> {
        let hook = self.point.hook;
        match &self.kind {
            EditKind::MaskDistances(_) | EditKind::MaskKeys(_) if hook != Hook::AttnScores => {
                Err(self.bad("keys are masked at attn.hook_attn_scores, before the softmax"))
            }
            EditKind::MaskDistances(distances) if distances.is_empty() || *distances.start() == 0 => {
                Err(self.bad("distances begin at 1: a query always sees itself"))
            }
            EditKind::SkipLayer if hook != Hook::ResidPost => Err(self.bad("a layer is skipped at hook_resid_post")),
            EditKind::SkipLayer if self.units != Units::All => Err(self.bad("a layer is skipped with all its units")),
            EditKind::Scale(factor) if !factor.is_finite() => Err(self.bad("the factor is not finite")),
            EditKind::Add(values) | EditKind::Patch(values) => {
                if values.has_heads() == hook.has_heads() {
                    return Ok(());
                }
                Err(self.bad("its values do not have as many axes as the activation"))
            }
            _ => Ok(()),
        }
    }

    fn check_units(&self, shape: &ModelShape) -> Result<()> {
        let hook = self.point.hook;
        let (chosen, n, what) = match &self.units {
            Units::All => return Ok(()),
            Units::Heads(_) if !hook.has_heads() => return Err(self.bad("this activation has no heads")),
            Units::Heads(heads) => {
                let n = shape.heads.map(|shape| match hook {
                    Hook::K | Hook::V => shape.n_kv_heads,
                    _ => shape.n_heads,
                });
                (heads, n, "heads")
            }
            Units::Units(_) if hook.has_heads() => return Err(self.bad("choose heads here, not units")),
            Units::Units(units) => {
                let n = if matches!(hook, Hook::MlpPre | Hook::MlpPost) { shape.d_mlp } else { Some(shape.d_model) };
                (units, n, "units")
            }
        };
        match (chosen.last(), n) {
            (None, _) => Err(self.bad(&format!("it has no {what}"))),
            (Some(last), Some(n)) if *last >= n => {
                Err(self.bad(&format!("there are {n} {what}, 0 to {}", n.saturating_sub(1))))
            }
            _ => Ok(()),
        }
    }

    fn bad(&self, reason: &str) -> CoreError {
        CoreError::BadEdit { edit: self.to_string(), reason: reason.to_owned() }
    }
}
