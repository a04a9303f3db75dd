//! A plan as a model of its own: [`PlannedModel`].

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{
    Activation, BlockState, CoreError, Hook, HookSet, IncrementalModel, ModelShape, ModelWeights, Replacement,
    ResidualModel, Result as CoreResult, Site, Tap,
};

use crate::{LayerPlan, Result};

/// A model that runs another one's layers in the order of a plan: its layer `l` is the layer in slot `l`.
///
/// Everything that studies a model can therefore study a changed one: a model whose layers are shuffled, or that lacks
/// some.
///
/// ```
/// # use stratigraph_core::ResidualModel;
/// # use stratigraph_surgery::{LayerPlan, PlannedModel};
/// # fn shuffled(model: &dyn ResidualModel) -> Result<(), stratigraph_surgery::SurgeryError> {
/// let plan = LayerPlan::full(model.n_layers()).shuffle(0..model.n_layers(), 7)?;
/// let shuffled = PlannedModel::new(model, &plan)?;
/// assert_eq!(shuffled.n_layers(), model.n_layers());
/// # Ok(())
/// # }
/// ```
pub struct PlannedModel<'a> {
    model: &'a dyn ResidualModel,
    /// The layer of `model` that each layer of this one runs.
    layers: Vec<usize>,
}

impl<'a> PlannedModel<'a> {
    /// The model that runs `model` by `plan`.
    ///
    /// # Errors
    /// When the plan does not fit the model, or one of its steps is not a whole layer.
    pub fn new(model: &'a dyn ResidualModel, plan: &LayerPlan) -> Result<Self> {
        plan.validate(model.n_layers())?;
        let layers = (0..plan.steps().len()).map(|slot| plan.layer_at(slot)).collect::<Result<_>>()?;
        Ok(Self { model, layers })
    }

    /// The layer of the model that a layer runs.
    fn layer(&self, layer: usize) -> CoreResult<usize> {
        let n_layers = self.layers.len();
        self.layers.get(layer).copied().ok_or(CoreError::LayerOutOfRange { layer, n_layers })
    }

    fn beneath(&self) -> CoreResult<&dyn ModelWeights> {
        self.model.weights().ok_or(CoreError::WeightsMissing)
    }

    fn in_parts(&self) -> CoreResult<&dyn IncrementalModel> {
        self.model.incremental().ok_or(CoreError::WholeWindowsOnly)
    }
}

impl ResidualModel for PlannedModel<'_> {
    fn shape(&self) -> ModelShape {
        self.model.shape().with_n_layers(self.layers.len())
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.model.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        let beneath = Site { slot: site.slot, layer: self.layer(site.layer)? };
        self.model.block(beneath, resid, &mut Renamed { tap, layer: site.layer })
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.model.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.model.unembed(normed, vocab)
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        self.model.weights().map(|_| self as &dyn ModelWeights)
    }

    fn incremental(&self) -> Option<&dyn IncrementalModel> {
        self.model.incremental().map(|_| self as &dyn IncrementalModel)
    }
}

impl IncrementalModel for PlannedModel<'_> {
    fn embed_from(&self, first: usize, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.in_parts()?.embed_from(first, tokens)
    }

    fn block_from(
        &self,
        site: Site,
        resid: Tensor<3>,
        state: &mut BlockState,
        tap: &mut dyn Tap,
    ) -> CoreResult<Tensor<3>> {
        let beneath = Site { slot: site.slot, layer: self.layer(site.layer)? };
        self.in_parts()?.block_from(beneath, resid, state, &mut Renamed { tap, layer: site.layer })
    }

    fn continues(&self, from: usize, to: usize) -> bool {
        self.model.incremental().is_some_and(|model| model.continues(from, to))
    }

    fn keep_windows(&self, state: &mut BlockState, windows: &[usize]) -> bool {
        self.model.incremental().is_some_and(|model| model.keep_windows(state, windows))
    }
}

impl ModelWeights for PlannedModel<'_> {
    fn w_out(&self, layer: usize) -> CoreResult<Tensor<2>> {
        self.beneath()?.w_out(self.layer(layer)?)
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.beneath()?.w_u(vocab)
    }

    fn final_norm_is_centered(&self) -> bool {
        self.model.weights().is_some_and(|weights| weights.final_norm_is_centered())
    }

    fn w_o(&self, layer: usize) -> CoreResult<Tensor<3>> {
        self.beneath()?.w_o(self.layer(layer)?)
    }

    fn b_o(&self, layer: usize) -> CoreResult<Option<Tensor<1>>> {
        self.beneath()?.b_o(self.layer(layer)?)
    }

    fn final_norm_scale(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.beneath()?.final_norm_scale(rows)
    }
}

/// A tap that knows a layer by its place in the plan.
struct Renamed<'a> {
    tap: &'a mut dyn Tap,
    layer: usize,
}

impl Renamed<'_> {
    fn site(&self, site: Site) -> Site {
        Site { slot: site.slot, layer: self.layer }
    }
}

impl Tap for Renamed<'_> {
    fn hooks(&self) -> HookSet {
        self.tap.hooks()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.tap.wants(self.site(site), hook)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        self.tap.visit(self.site(site), hook, activation)
    }

    fn replacement(&mut self, site: Site, hook: Hook, dims: [usize; 3]) -> CoreResult<Option<Replacement>> {
        self.tap.replacement(self.site(site), hook, dims)
    }

    fn takes_parts(&self) -> bool {
        self.tap.takes_parts()
    }

    fn at_positions(&mut self, positions: Range<usize>) {
        self.tap.at_positions(positions);
    }

    fn finish(&mut self) -> CoreResult<()> {
        self.tap.finish()
    }
}
