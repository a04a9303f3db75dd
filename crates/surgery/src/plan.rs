//! A list of layers to run: [`LayerPlan`], made of [`Step`]s.

use std::ops::Range;

use burn::tensor::{Int, Tensor};
use stratigraph_core::{CoreError, ResidualModel, Site, SplitMix64, Sublayer, Tap, check_tap};

use crate::{Ablation, Result, SurgeryError};

/// What runs in one slot of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The whole layer, written `3`.
    Layer(usize),
    /// One half of the layer, written `3a` (attention) or `3m` (MLP): the other half is zero-ablated.
    Half(usize, Sublayer),
    /// The layer with what one half writes replaced by something that does not depend on its input, written `3[a=mean]`
    /// or `3[m=resample]`. It takes a corpus, so only an [`Executor`](crate::Executor) runs it.
    Ablated(usize, Sublayer, Ablation),
    /// Several layers on the same input, their outputs averaged, written `(3+4)`.
    Parallel(Vec<usize>),
}

impl Step {
    /// The layers whose weights the step runs.
    pub fn layers(&self) -> &[usize] {
        match self {
            Step::Layer(layer) | Step::Half(layer, _) | Step::Ablated(layer, ..) => std::slice::from_ref(layer),
            Step::Parallel(layers) => layers,
        }
    }

    /// Runs the step in `slot` on the residual stream `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// When the model cannot run half a layer, or the step takes a corpus.
    ///
    /// # Panics
    /// When the model has no such layer.
    pub fn run(
        &self,
        model: &dyn ResidualModel,
        slot: usize,
        resid: Tensor<3>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        Ok(match self {
            Step::Layer(layer) => model.block(Site { slot, layer: *layer }, resid, tap),
            Step::Half(layer, half) => model.sublayer(Site { slot, layer: *layer }, *half, resid, tap)?,
            Step::Ablated(..) => return Err(SurgeryError::NeedsCorpus { slot, step: self.clone() }),
            Step::Parallel(layers) => {
                let outputs = layers.iter().map(|&layer| model.block(Site { slot, layer }, resid.clone(), tap));
                outputs.reduce(|a, b| a + b).expect("a parallel step has layers") / layers.len() as f64
            }
        })
    }
}

/// The layers that a run goes through, in order; it may leave layers out, repeat or reorder them, or be empty.
///
/// Edits speak of slots, the places of the plan: in a [full](LayerPlan::full) plan slot `l` holds layer `l`. They are
/// pure, and what they are given is checked against the plan; [`validate`](LayerPlan::validate) checks the plan
/// against a model. A plan prints as `0-1-3-2-4` (an empty one as `none`), parses back and serialises as that text.
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

    /// With the steps in slots `a` and `b` in each other's place.
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
        self.edit_range(slots, |steps| steps.iter().flat_map(|step| [step.clone(), step.clone()]).collect())
    }

    /// With the steps in `slots` in the opposite order.
    ///
    /// # Errors
    /// When the plan does not have all of these slots.
    pub fn reverse(&self, slots: Range<usize>) -> Result<Self> {
        self.edit_range(slots, |steps| steps.iter().rev().cloned().collect())
    }

    /// With the steps in `slots` in a random order that `seed` alone decides.
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
        let layers = slots.clone().map(|slot| self.whole_layer(slot)).collect::<Result<Vec<_>>>()?;
        self.edit_range(slots, |_| vec![Step::Parallel(layers)])
    }

    /// With only one half of the layer in `slot`.
    ///
    /// # Errors
    /// When the plan has no such slot, or it does not hold one whole layer.
    pub fn only(&self, slot: usize, half: Sublayer) -> Result<Self> {
        self.check(slot)?;
        let layer = self.whole_layer(slot)?;
        self.edit_range(slot..slot + 1, |_| vec![Step::Half(layer, half)])
    }

    /// With what one half of the layer in `slot` writes replaced by `ablation`.
    ///
    /// # Errors
    /// When the plan has no such slot, or it does not hold one whole layer.
    pub fn ablate(&self, slot: usize, half: Sublayer, ablation: Ablation) -> Result<Self> {
        self.check(slot)?;
        let layer = self.whole_layer(slot)?;
        self.edit_range(slot..slot + 1, |_| vec![Step::Ablated(layer, half, ablation)])
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

    /// Checks that `model` can run the plan: that it has the layers, and runs halves of them where the plan asks for one.
    ///
    /// # Errors
    /// As [`validate`](LayerPlan::validate), and [`CoreError::SublayerMissing`].
    pub fn check_model(&self, model: &dyn ResidualModel) -> Result<()> {
        self.validate(model.n_layers())?;
        let half = self.steps.iter().find_map(|step| if let Step::Half(_, half) = step { Some(*half) } else { None });
        match half {
            Some(sublayer) if !model.runs_sublayers() => Err(CoreError::SublayerMissing { sublayer }.into()),
            _ => Ok(()),
        }
    }

    /// Runs the plan on tokens `[batch, pos]`, with a tap, to the residual stream `[batch, pos, d_model]` after the
    /// last step.
    ///
    /// # Errors
    /// When the model cannot run the plan or the tap, or the tap wants a hook of layers that share a slot.
    pub fn run(&self, model: &dyn ResidualModel, tokens: Tensor<2, Int>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.check_model(model)?;
        check_tap(model, tap)?;
        self.check_tap(tap)?;
        let mut resid = model.embed(tokens);
        for (slot, step) in self.steps.iter().enumerate() {
            resid = step.run(model, slot, resid, tap)?;
        }
        tap.finish()?;
        Ok(resid)
    }

    fn check_tap(&self, tap: &dyn Tap) -> Result<()> {
        let shared = |(_, step): &(usize, &Step)| step.layers().len() > 1;
        match self.steps.iter().enumerate().find(shared) {
            Some((slot, step)) if !tap.hooks().is_empty() => {
                Err(SurgeryError::TapOnParallel { slot, step: step.clone() })
            }
            _ => Ok(()),
        }
    }

    fn whole_layer(&self, slot: usize) -> Result<usize> {
        match &self.steps[slot] {
            Step::Layer(layer) => Ok(*layer),
            step => Err(SurgeryError::NotAWholeLayer { slot, step: step.clone() }),
        }
    }

    fn edit_range(&self, slots: Range<usize>, edit: impl FnOnce(&[Step]) -> Vec<Step>) -> Result<Self> {
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
