//! Values that edits take from a corpus: [`CorpusActivations`], means over all of it and activations of the next
//! windows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{
    Activation, CoreError, CorpusValues, EditContext, EditKind, Hook, HookSet, ModelShape, ResidualModel, RunModel,
    Site, Tap, TokenWindows, check_tap,
};

use crate::{Intervention, Result, SurgeryError};

/// An activation of the unchanged model.
type Place = (usize, Hook);

/// The values that the interventions of a run take from its corpus.
#[derive(Debug, Default)]
pub(crate) struct CorpusActivations {
    averaged: BTreeSet<Place>,
    resampled: BTreeSet<Place>,
    /// Of every position, or of every window for scores and patterns; axes that were averaged over have length 1.
    means: BTreeMap<Place, Activation>,
    /// Of the windows after those that run now.
    next: BTreeMap<Place, Activation>,
    /// The windows that run now.
    sequences: Range<usize>,
}

impl CorpusActivations {
    /// What `interventions` ask for; nothing is measured yet.
    ///
    /// # Errors
    /// When the model does not offer a hook, or there is no other window to resample from.
    pub(crate) fn new(
        interventions: &[Intervention],
        model: &dyn ResidualModel,
        windows: &TokenWindows,
    ) -> Result<Self> {
        let mut activations = Self::default();
        for intervention in interventions {
            for edit in intervention.edits() {
                let place = (intervention.layer_of(edit)?, edit.point().hook);
                match edit.kind() {
                    EditKind::Mean => drop(activations.averaged.insert(place)),
                    EditKind::Resample => drop(activations.resampled.insert(place)),
                    _ => {}
                }
            }
        }
        if !activations.resampled.is_empty() && windows.n_sequences() < 2 {
            return Err(SurgeryError::NothingToResample);
        }
        check_tap(model, &Collected::new(&activations.averaged))?;
        check_tap(model, &Collected::new(&activations.resampled))?;
        Ok(activations)
    }

    /// Measures the means by a pass over the corpus, `batch` windows at once, if any are asked for.
    pub(crate) fn measure(&mut self, model: &dyn ResidualModel, windows: &TokenWindows, batch: usize) -> Result<()> {
        if self.averaged.is_empty() {
            return Ok(());
        }
        let (n, device) = (windows.n_sequences(), model.device());
        let mut sums: BTreeMap<Place, (Vec<usize>, Vec<f64>)> = BTreeMap::new();
        for start in (0..n).step_by(batch) {
            let mut collected = Collected { summed: true, ..Collected::new(&self.averaged) };
            model.forward(windows.batch(start..(start + batch).min(n), &device), &mut collected)?;
            for (place, sum) in collected.all()? {
                let values = sum.to_vec();
                let (_, total) = sums.entry(place).or_insert_with(|| (sum.dims(), vec![0.0; values.len()]));
                total.iter_mut().zip(values).for_each(|(total, x)| *total += f64::from(x));
            }
        }
        let mean = |(place, (dims, sum)): (Place, (Vec<usize>, Vec<f64>))| {
            let count = if place.1.is_square() { n } else { n * windows.seq_len() } as f64;
            let mean: Vec<f32> = sum.iter().map(|sum| (sum / count) as f32).collect();
            let data = TensorData::new(mean, dims.clone());
            let mean = match dims.len() {
                3 => Activation::Wide(Tensor::from_data(data, &device)),
                _ => Activation::Heads(Tensor::from_data(data, &device)),
            };
            (place, mean)
        };
        self.means = sums.into_iter().map(mean).collect();
        Ok(())
    }

    /// Bytes that the activations of one window's next take.
    pub(crate) fn bytes(&self, shape: &ModelShape, seq_len: usize) -> usize {
        let floats = |(_, hook): &Place| match hook {
            Hook::AttnScores | Hook::Pattern => shape.heads.map_or(0, |heads| heads.n_heads * seq_len),
            Hook::MlpPre | Hook::MlpPost => shape.d_mlp.unwrap_or(shape.d_model),
            hook if hook.has_heads() => shape.heads.map_or(shape.d_model, |heads| heads.n_heads * heads.d_head),
            _ => shape.d_model,
        };
        self.resampled.iter().map(floats).sum::<usize>() * seq_len * size_of::<f32>()
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
        let (device, n) = (model.device(), windows.n_sequences());
        let next = |sequence: usize| windows.batch((sequence + 1) % n..(sequence + 1) % n + 1, &device);
        let mut collected = Collected::new(&self.resampled);
        model.forward(Tensor::cat(sequences.clone().map(next).collect(), 0), &mut collected)?;
        self.next = collected.all()?;
        self.sequences = sequences;
        Ok(())
    }
}

impl CorpusValues for CorpusActivations {
    fn mean(&self, context: &EditContext) -> Option<Activation> {
        self.means.get(&(context.layer, context.hook)).cloned()
    }

    fn next_window(&self, context: &EditContext) -> Option<Activation> {
        let all = self.next.get(&(context.layer, context.hook))?;
        let first = self.sequences.start;
        let runs = context.windows.chunk_by(|a, b| a + 1 == *b);
        let parts: Vec<_> = runs.map(|run| all.windows(run[0] - first..run[0] - first + run.len())).collect();
        Some(join(parts))
    }
}

/// Activations of one kind, one after the other.
fn join(mut parts: Vec<Activation>) -> Activation {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let (mut wide, mut heads) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Activation::Wide(x) => wide.push(x),
            Activation::Heads(x) => heads.push(x),
        }
    }
    if heads.is_empty() { Tensor::cat(wide, 0).into() } else { Tensor::cat(heads, 0).into() }
}

/// Keeps some activations of a run.
struct Collected<'a> {
    places: &'a BTreeSet<Place>,
    /// Whether only the sum over windows and positions is kept (over windows, for scores and patterns).
    summed: bool,
    seen: BTreeMap<Place, Activation>,
}

impl<'a> Collected<'a> {
    fn new(places: &'a BTreeSet<Place>) -> Self {
        Self { places, summed: false, seen: BTreeMap::new() }
    }

    /// The activations that were kept.
    ///
    /// # Errors
    /// When a layer did not show one of the activations.
    fn all(self) -> Result<BTreeMap<Place, Activation>> {
        match self.places.iter().find(|place| !self.seen.contains_key(place)) {
            Some(&(slot, hook)) => Err(CoreError::EditNeverFired { point: hook.at(slot) }.into()),
            None => Ok(self.seen),
        }
    }
}

impl Tap for Collected<'_> {
    fn hooks(&self) -> HookSet {
        self.places.iter().map(|(_, hook)| *hook).collect()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.places.contains(&(site.layer, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        let kept = match activation.clone() {
            kept if !self.summed => kept,
            Activation::Wide(x) => x.sum_dim(0).sum_dim(1).into(),
            Activation::Heads(x) if hook.is_square() => x.sum_dim(0).into(),
            Activation::Heads(x) => x.sum_dim(0).sum_dim(1).into(),
        };
        self.seen.insert((site.layer, hook), kept);
        Ok(activation)
    }
}
