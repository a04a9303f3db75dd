//! A plan as a model of its own: [`Rearranged`].

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{CoreError, Hook, ResidualModel, Result as CoreResult, Site, Sublayer, Tap};

use crate::{LayerPlan, Result, Step, SurgeryError};

/// A model that runs another one's layers in the order of a plan: its layer `l` is what stands in slot `l`.
///
/// Everything that studies a model can so study a changed one: a model whose layers are shuffled, or that lacks some.
///
/// ```
/// # use stratigraph_core::ResidualModel;
/// # use stratigraph_surgery::{LayerPlan, Rearranged};
/// # fn shuffled(model: &dyn ResidualModel) -> Result<(), stratigraph_surgery::SurgeryError> {
/// let plan = LayerPlan::full(model.n_layers()).shuffle(0..model.n_layers(), 7)?;
/// let shuffled = Rearranged::new(model, &plan)?;
/// assert_eq!(shuffled.n_layers(), model.n_layers());
/// # Ok(())
/// # }
/// ```
pub struct Rearranged<'a> {
    model: &'a dyn ResidualModel,
    /// Whose weights each layer has.
    layers: Vec<usize>,
}

impl<'a> Rearranged<'a> {
    /// The model that runs `model` by `plan`.
    ///
    /// # Errors
    /// When the plan does not fit the model, or one of its steps is not a whole layer.
    pub fn new(model: &'a dyn ResidualModel, plan: &LayerPlan) -> Result<Self> {
        plan.check_model(model)?;
        let whole = |(slot, step): (usize, &Step)| match step {
            Step::Layer(layer) => Ok(*layer),
            step => Err(SurgeryError::NotAWholeLayer { slot, step: step.clone() }),
        };
        let layers = plan.steps().iter().enumerate().map(whole).collect::<Result<_>>()?;
        Ok(Self { model, layers })
    }

    /// Where the block of `site` runs in the model beneath.
    fn beneath(&self, site: Site) -> Site {
        Site { slot: site.slot, layer: self.layers[site.layer] }
    }
}

impl ResidualModel for Rearranged<'_> {
    fn n_layers(&self) -> usize {
        self.layers.len()
    }

    fn d_model(&self) -> usize {
        self.model.d_model()
    }

    fn d_vocab(&self) -> usize {
        self.model.d_vocab()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        self.model.block(self.beneath(site), resid, &mut Renamed { tap, layer: site.layer })
    }

    fn sublayer(&self, site: Site, sublayer: Sublayer, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        self.model.sublayer(self.beneath(site), sublayer, resid, &mut Renamed { tap, layer: site.layer })
    }

    fn runs_sublayers(&self) -> bool {
        self.model.runs_sublayers()
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        self.model.unembed(normed, vocab)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        self.model.final_norm(rows)
    }

    fn neuron_outputs(&self, layer: usize) -> Option<Tensor<2>> {
        self.model.neuron_outputs(self.layers[layer])
    }

    fn unembedding(&self, vocab: Range<usize>) -> Option<Tensor<2>> {
        self.model.unembedding(vocab)
    }

    fn norm_subtracts_mean(&self) -> bool {
        self.model.norm_subtracts_mean()
    }

    fn hooks(&self) -> Vec<Hook> {
        self.model.hooks()
    }

    fn n_ctx(&self) -> Option<usize> {
        self.model.n_ctx()
    }

    fn widest_activation(&self, seq_len: usize) -> usize {
        self.model.widest_activation(seq_len)
    }
}

/// A tap to whom a layer is known by its place in the plan.
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
    fn hooks(&self) -> Vec<Hook> {
        self.tap.hooks()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.tap.wants(self.site(site), hook)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.tap.visit(self.site(site), hook, activation)
    }

    fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
        self.tap.visit_pattern(self.site(site), pattern)
    }

    fn finish(&mut self) -> Result<(), CoreError> {
        self.tap.finish()
    }
}
