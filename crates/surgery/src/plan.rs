//! A list of layers to run: [`LayerPlan`], made of [`Step`]s.

use std::ops::Range;

use burn::tensor::{Int, Tensor};
use stratigraph_core::{CoreError, Edit, ResidualModel, Site, SplitMix64, Tap, check_tap, check_tokens, embed, finish};

use crate::{Intervention, Result, SurgeryError};

/// What runs in one slot of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// The whole layer, written `3`.
    Layer(usize),
    /// Several layers on the same input, their outputs averaged, written `(3+4)`.
    Parallel(Vec<usize>),
}

impl Step {
    /// The layers whose weights the step runs.
    pub fn layers(&self) -> &[usize] {
        match self {
            Step::Layer(layer) => std::slice::from_ref(layer),
            Step::Parallel(layers) => layers,
        }
    }

    /// Runs the step in `slot` on the residual stream `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// What the model returns, and a parallel step without layers.
    pub fn run(
        &self,
        model: &dyn ResidualModel,
        slot: usize,
        resid: Tensor<3>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        self.run_each(slot, resid, |_, site, resid| Ok(model.block(site, resid, tap)?))
    }

    /// Runs the step by a function that runs one layer, which is given the layer's index in the step.
    pub(crate) fn run_each(
        &self,
        slot: usize,
        resid: Tensor<3>,
        mut block: impl FnMut(usize, Site, Tensor<3>) -> Result<Tensor<3>>,
    ) -> Result<Tensor<3>> {
        match self {
            Step::Layer(layer) => block(0, Site { slot, layer: *layer }, resid),
            Step::Parallel(layers) => {
                let mut sum: Option<Tensor<3>> = None;
                for (index, &layer) in layers.iter().enumerate() {
                    let output = block(index, Site { slot, layer }, resid.clone())?;
                    sum = Some(match sum {
                        Some(sum) => sum + output,
                        None => output,
                    });
                }
                let sum = sum.ok_or(SurgeryError::EmptyStep { slot })?;
                Ok(sum / layers.len() as f64)
            }
        }
    }
}

/// The layers that a run goes through, in order; it may leave layers out, repeat or reorder them, or be empty.
///
/// Methods name slots, the positions of the plan: in a [full](LayerPlan::full) plan slot `l` holds layer `l`. They
/// return a new plan, and check their arguments against this one; [`validate`](LayerPlan::validate) checks the plan
/// against a model. A plan prints as `0..14-12..30` (half-open ranges, the shortest form; an empty plan as `none`),
/// parses back and serialises as that text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerPlan {
    steps: Vec<Step>,
}

impl LayerPlan {
    /// Every layer once, in the model's order.
    pub fn full(n_layers: usize) -> Self {
        (0..n_layers).collect()
    }

    /// A plan of these steps.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    /// What runs, slot by slot.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Without the step in `slot`.
    ///
    /// # Errors
    /// When the plan has no such slot.
    pub fn delete(&self, slot: usize) -> Result<Self> {
        self.check(slot)?;
        self.delete_range(slot..slot + 1)
    }

    /// Without the steps in `slots`.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn delete_range(&self, slots: Range<usize>) -> Result<Self> {
        self.edit_range(slots, |_| Vec::new())
    }

    /// With the steps in slots `a` and `b` swapped.
    ///
    /// # Errors
    /// When the plan has no such slot.
    pub fn swap(&self, a: usize, b: usize) -> Result<Self> {
        self.check(a)?;
        self.check(b)?;
        let mut steps = self.steps.clone();
        steps.swap(a, b);
        Ok(Self { steps })
    }

    /// With each step in `slots` run twice in a row.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn repeat(&self, slots: Range<usize>) -> Result<Self> {
        self.repeat_layers(slots, 2)
    }

    /// With the steps in `slots` in the opposite order.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn reverse(&self, slots: Range<usize>) -> Result<Self> {
        self.edit_range(slots, |steps| steps.iter().rev().cloned().collect())
    }

    /// With the steps in `slots` in a random order, which depends on `seed` alone.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn shuffle(&self, slots: Range<usize>, seed: u64) -> Result<Self> {
        self.edit_range(slots, |steps| {
            let mut steps = steps.to_vec();
            SplitMix64::new(seed).shuffle(&mut steps);
            steps
        })
    }

    /// With the steps in `slots` run at once on the same input, their outputs averaged.
    ///
    /// # Errors
    /// When the plan does not have all of these slots, there is none, or one of them is not a whole layer.
    pub fn parallel(&self, slots: Range<usize>) -> Result<Self> {
        self.check_range(&slots)?;
        if slots.is_empty() {
            return Err(SurgeryError::EmptyRange { slots });
        }
        let layers = slots.clone().map(|slot| self.layer_at(slot)).collect::<Result<Vec<_>>>()?;
        self.edit_range(slots, |_| vec![Step::Parallel(layers)])
    }

    /// With the steps in `slots` run `times` in all as a block: `i..j i..j` for two.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn repeat_block(&self, slots: Range<usize>, times: usize) -> Result<Self> {
        self.edit_range(slots, |steps| (0..times).flat_map(|_| steps.to_vec()).collect())
    }

    /// An intervention of this plan with an edit.
    pub fn edit(self, edit: Edit) -> Intervention {
        Intervention::from(self).edit(edit)
    }

    /// The first `n_slots` steps alone: the residual stream after them is what a lens reads at that depth.
    ///
    /// # Errors
    /// When the plan has fewer slots.
    pub fn truncate(&self, n_slots: usize) -> Result<Self> {
        self.delete_range(n_slots..self.steps.len())
    }

    /// Checks that a model with `n_layers` layers can run the plan.
    ///
    /// # Errors
    /// [`CoreError::LayerOutOfRange`] with the first layer that does not exist, or a step without layers.
    pub fn validate(&self, n_layers: usize) -> Result<()> {
        if let Some(slot) = self.steps.iter().position(|step| step.layers().is_empty()) {
            return Err(SurgeryError::EmptyStep { slot });
        }
        match self.steps.iter().flat_map(Step::layers).find(|&&layer| layer >= n_layers) {
            Some(&layer) => Err(CoreError::LayerOutOfRange { layer, n_layers }.into()),
            None => Ok(()),
        }
    }

    /// Runs the plan on tokens `[batch, pos]`, with a tap, to the residual stream `[batch, pos, d_model]` after the
    /// last step.
    ///
    /// # Errors
    /// When the model cannot run the plan, the tokens or the tap, or the tap wants a hook of layers that share a slot.
    pub fn run(&self, model: &dyn ResidualModel, tokens: Tensor<2, Int>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.validate(model.n_layers())?;
        check_tap(model, tap)?;
        self.check_tap(tap)?;
        check_tokens(model, &tokens)?;
        let mut resid = embed(model, tokens, tap)?;
        for (slot, step) in self.steps.iter().enumerate() {
            resid = step.run(model, slot, resid, tap)?;
        }
        finish(model, &resid, tap)?;
        Ok(resid)
    }

    pub(crate) fn check_tap(&self, tap: &dyn Tap) -> Result<()> {
        let wanted = |slot: usize, layer: usize| tap.hooks().iter().any(|hook| tap.wants(Site { slot, layer }, hook));
        let shared = |(slot, step): &(usize, &Step)| match step.layers() {
            [] | [_] => false,
            layers => layers.iter().any(|&layer| wanted(*slot, layer)),
        };
        match self.steps.iter().enumerate().find(shared) {
            Some((slot, step)) => Err(SurgeryError::TapOnParallel { slot, step: step.clone() }),
            None => Ok(()),
        }
    }

    /// The layer in a slot that holds one whole layer.
    ///
    /// # Errors
    /// When the plan has no such slot, or it holds layers side by side.
    pub fn layer_at(&self, slot: usize) -> Result<usize> {
        self.check(slot)?;
        match &self.steps[slot] {
            Step::Layer(layer) => Ok(*layer),
            step => Err(SurgeryError::NotAWholeLayer { slot, step: step.clone() }),
        }
    }

    pub(crate) fn edit_range(&self, slots: Range<usize>, edit: impl FnOnce(&[Step]) -> Vec<Step>) -> Result<Self> {
        self.check_range(&slots)?;
        let mut steps = self.steps.clone();
        let edited = edit(&steps[slots.clone()]);
        steps.splice(slots, edited);
        Ok(Self { steps })
    }

    fn check(&self, slot: usize) -> Result<()> {
        let n_slots = self.steps.len();
        if slot < n_slots { Ok(()) } else { Err(SurgeryError::SlotOutOfRange { slot, n_slots }) }
    }

    fn check_range(&self, slots: &Range<usize>) -> Result<()> {
        let n_slots = self.steps.len();
        match slots.start.max(slots.end) {
            last if last > n_slots => Err(SurgeryError::SlotOutOfRange { slot: last, n_slots }),
            _ if slots.start > slots.end => Err(SurgeryError::EmptyRange { slots: slots.clone() }),
            _ => Ok(()),
        }
    }
}

impl FromIterator<usize> for LayerPlan {
    /// A plan of whole layers.
    fn from_iter<I: IntoIterator<Item = usize>>(layers: I) -> Self {
        Self { steps: layers.into_iter().map(Step::Layer).collect() }
    }
}
