//! What stands in for a sublayer's output: [`Ablation`], and the replacements that a corpus gives.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Edit, Hook, ResidualModel, Site, Sublayer, Tap, TokenWindows, check_tap, forward};

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

/// Tokens of one pass over the corpus.
const BATCH_TOKENS: usize = 2048;

/// What the plans of a run take from its corpus.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    resampled: BTreeSet<Place>,
    /// `[1, 1, d_model]`
    means: BTreeMap<Place, Tensor<3>>,
    /// `[batch, pos, d_model]`, of the windows that run now.
    others: BTreeMap<Place, Tensor<3>>,
}

impl Replacements {
    /// Measures the means that `plans` ask for; one pass over the corpus, or none.
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
        let resampled = places(Ablation::Resample);
        if !resampled.is_empty() && windows.n_sequences() < 2 {
            return Err(SurgeryError::NothingToResample);
        }
        check_tap(model, &Outputs::of(&resampled))?;
        let means = means(&places(Ablation::Mean), model, windows)?;
        Ok(Self { resampled, means, others: BTreeMap::new() })
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
        self.others = outputs.seen;
        Ok(())
    }

    /// Runs a layer on `[batch, pos, d_model]`, what one half writes replaced; the batch may hold several states of the
    /// windows that run now, one after the other.
    pub(crate) fn run(
        &self,
        model: &dyn ResidualModel,
        site: Site,
        (half, ablation): (Sublayer, Ablation),
        resid: Tensor<3>,
    ) -> Tensor<3> {
        let place = (site.layer, half);
        let [batch, pos, d_model] = resid.dims();
        let replacement = match ablation {
            Ablation::Mean => self.means[&place].clone().expand([batch, pos, d_model]),
            Ablation::Resample => {
                let other = self.others[&place].clone();
                let [n_sequences, ..] = other.dims();
                other.repeat_dim(0, batch / n_sequences)
            }
        };
        model.block(site, resid, &mut Edit::activation(site.slot, hook(half), move |_| replacement.clone()))
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
    seen: BTreeMap<Place, Tensor<3>>,
}

impl<'a> Outputs<'a> {
    fn of(places: &'a BTreeSet<Place>) -> Self {
        Self { places, seen: BTreeMap::new() }
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
        self.seen.insert((site.layer, half), activation.clone());
        activation
    }
}

/// The mean output of some sublayers over a corpus, `[1, 1, d_model]` each.
fn means(
    places: &BTreeSet<Place>,
    model: &dyn ResidualModel,
    windows: &TokenWindows,
) -> Result<BTreeMap<Place, Tensor<3>>> {
    let mut sums: BTreeMap<Place, Tensor<3>> = BTreeMap::new();
    if places.is_empty() {
        return Ok(sums);
    }
    let (n, device) = (windows.n_sequences(), model.device());
    let batch = BATCH_TOKENS.div_ceil(windows.seq_len());
    for start in (0..n).step_by(batch) {
        let mut outputs = Outputs::of(places);
        forward(model, windows.batch(start..(start + batch).min(n), &device), &mut outputs)?;
        for (place, output) in outputs.seen {
            let sum = output.sum_dim(0).sum_dim(1);
            let sum = match sums.remove(&place) {
                Some(before) => before + sum,
                None => sum,
            };
            sums.insert(place, sum);
        }
    }
    let tokens = (n * windows.seq_len()) as f64;
    Ok(sums.into_iter().map(|(place, sum)| (place, sum / tokens)).collect())
}
