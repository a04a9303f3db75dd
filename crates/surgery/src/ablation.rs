//! What stands in for a sublayer's output: [`Ablation`], and the replacements that a corpus gives.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{
    CoreError, Edit, Hook, HookPoint, ResidualModel, Site, Sublayer, Tap, TokenWindows, check_tap, forward,
};

use crate::calls::{self, Call, Part};
use crate::{LayerPlan, Result, Step, SurgeryError};

/// What replaces the output of attention or of an MLP. Leaving it out altogether (zero-ablation) is
/// [`Step::Half`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ablation {
    /// Its mean in the unchanged model, over every position of every window: only what varies is lost.
    Mean,
    /// What it was in the unchanged model at the same position of the next window (of the first, for the last one): of the
    /// usual size and kind, but about another text.
    Resample,
}

impl Ablation {
    /// Every ablation.
    pub const ALL: [Ablation; 2] = [Ablation::Mean, Ablation::Resample];
}

/// A sublayer whose output is replaced.
type Place = (usize, Sublayer);

/// What the plans of a run take from its corpus.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    averaged: BTreeSet<Place>,
    resampled: BTreeSet<Place>,
    /// `[1, 1, d_model]`
    means: BTreeMap<Place, Tensor<3>>,
    /// `[batch, pos, d_model]`, of the windows that run now.
    others: BTreeMap<Place, Tensor<3>>,
}

impl Replacements {
    /// What `plans` ask for; nothing is measured yet.
    ///
    /// # Errors
    /// When the model does not offer the outputs, or there is no other window to resample from.
    pub(crate) fn of(plans: &[LayerPlan], model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Self> {
        let places = |wanted: Ablation| -> BTreeSet<Place> {
            let steps = plans.iter().flat_map(LayerPlan::steps);
            let place = |step: &Step| match *step {
                Step::Ablated(layer, half, ablation) if ablation == wanted => Some((layer, half)),
                _ => None,
            };
            steps.filter_map(place).collect()
        };
        let (averaged, resampled) = (places(Ablation::Mean), places(Ablation::Resample));
        if !resampled.is_empty() && windows.n_sequences() < 2 {
            return Err(SurgeryError::NothingToResample);
        }
        check_tap(model, &Outputs::of(&averaged))?;
        check_tap(model, &Outputs::of(&resampled))?;
        Ok(Self { averaged, resampled, ..Self::default() })
    }

    /// Measures the means by a pass over the corpus, `batch` windows at once, if any are asked for.
    pub(crate) fn measure(&mut self, model: &dyn ResidualModel, windows: &TokenWindows, batch: usize) -> Result<()> {
        if self.averaged.is_empty() {
            return Ok(());
        }
        let (n, device) = (windows.n_sequences(), model.device());
        let mut sums: BTreeMap<Place, Vec<f64>> = BTreeMap::new();
        for start in (0..n).step_by(batch) {
            let mut outputs = Outputs { summed: true, ..Outputs::of(&self.averaged) };
            forward(model, windows.batch(start..(start + batch).min(n), &device), &mut outputs)?;
            for (place, output) in outputs.all()? {
                let output: Vec<f32> = output.try_into_vec_as().expect("any float");
                let sum = sums.entry(place).or_insert_with(|| vec![0.0; output.len()]);
                sum.iter_mut().zip(output).for_each(|(sum, x)| *sum += f64::from(x));
            }
        }
        let mean = |sum: Vec<f64>| {
            let mean: Vec<f32> = sum.iter().map(|sum| (sum / (n * windows.seq_len()) as f64) as f32).collect();
            let d_model = mean.len();
            Tensor::from_data(TensorData::new(mean, [1, 1, d_model]), &device)
        };
        self.means = sums.into_iter().map(|(place, sum)| (place, mean(sum))).collect();
        Ok(())
    }

    /// Bytes that the replacements of one window take.
    pub(crate) fn bytes(&self, seq_len: usize, d_model: usize) -> usize {
        self.resampled.len() * seq_len * d_model * size_of::<f32>()
    }

    /// Gets ready for the windows `sequences`.
    pub(crate) fn begin(
        &mut self,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        sequences: Range<usize>,
    ) -> Result<()> {
        if self.resampled.is_empty() {
            return Ok(());
        }
        let device = model.device();
        let n = windows.n_sequences();
        let next = |sequence: usize| windows.batch((sequence + 1) % n..(sequence + 1) % n + 1, &device);
        let mut outputs = Outputs::of(&self.resampled);
        forward(model, Tensor::cat(sequences.map(next).collect(), 0), &mut outputs)?;
        self.others = outputs.all()?;
        Ok(())
    }

    /// Runs a layer on the parts of a call, `[windows of the call, pos, d_model]`, what one half writes replaced.
    pub(crate) fn run(
        &self,
        model: &dyn ResidualModel,
        site: Site,
        (half, ablation): (Sublayer, Ablation),
        call: &Call,
        resid: Tensor<3>,
    ) -> Result<Tensor<3>> {
        let place = (site.layer, half);
        let replacement = match ablation {
            Ablation::Mean => self.means[&place].clone().expand(resid.dims()),
            Ablation::Resample => {
                let other = |part: &Part| calls::part(&self.others[&place], part.windows.clone());
                calls::join(call.iter().map(other).collect())
            }
        };
        let mut edit = Edit::activation(site.slot, hook(half), move |_| replacement.clone());
        let resid = model.block(site, resid, &mut edit);
        edit.finish()?;
        Ok(resid)
    }
}

fn hook(half: Sublayer) -> Hook {
    match half {
        Sublayer::Attention => Hook::AttnOut,
        Sublayer::Mlp => Hook::MlpOut,
    }
}

fn half(hook: Hook) -> Option<Sublayer> {
    match hook {
        Hook::AttnOut => Some(Sublayer::Attention),
        Hook::MlpOut => Some(Sublayer::Mlp),
        _ => None,
    }
}

/// Keeps what some sublayers write.
struct Outputs<'a> {
    places: &'a BTreeSet<Place>,
    /// Whether only the sum over windows and positions is kept, `[1, 1, d_model]`.
    summed: bool,
    seen: BTreeMap<Place, Tensor<3>>,
}

impl<'a> Outputs<'a> {
    fn of(places: &'a BTreeSet<Place>) -> Self {
        Self { places, summed: false, seen: BTreeMap::new() }
    }

    /// What was seen.
    ///
    /// # Errors
    /// When a layer did not show one of its outputs.
    fn all(self) -> Result<BTreeMap<Place, Tensor<3>>> {
        match self.places.iter().find(|place| !self.seen.contains_key(place)) {
            Some(&(slot, half)) => {
                Err(CoreError::EditNeverFired { point: HookPoint { slot, hook: hook(half) } }.into())
            }
            None => Ok(self.seen),
        }
    }
}

impl Tap for Outputs<'_> {
    fn hooks(&self) -> Vec<Hook> {
        let halves: BTreeSet<_> = self.places.iter().map(|(_, half)| *half).collect();
        halves.into_iter().map(hook).collect()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        half(hook).is_some_and(|half| self.places.contains(&(site.layer, half)))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        let half = half(hook).expect("it wants no other");
        let kept = activation.clone();
        self.seen.insert((site.layer, half), if self.summed { kept.sum_dim(0).sum_dim(1) } else { kept });
        activation
    }
}
