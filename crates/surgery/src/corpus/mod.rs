//! Values that edits take from runs of the unchanged model: [`CorpusActivations`], with means over a whole corpus and
//! activations of single windows.

mod collected;
mod means;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, CorpusValues, EditContext, EditKind, MeanOver, ModelShape, ResidualModel, RunModel, TokenWindows,
    check_tap,
};

use self::collected::{Collected, Place};
pub(crate) use self::means::check_means;
pub use self::means::{CorpusMeans, MeanActivation};
use crate::{Intervention, Result, SurgeryError};

/// The values that the interventions of a run take from its corpus.
#[derive(Debug, Default)]
pub(crate) struct CorpusActivations {
    resampled: BTreeSet<Place>,
    frozen: BTreeSet<Place>,
    means: BTreeMap<(Place, MeanOver), Activation>,
    /// Activations of the windows that are the source of resampling for the windows that run now.
    next: BTreeMap<Place, Activation>,
    /// Activations of the windows that run now.
    clean: BTreeMap<Place, Activation>,
    /// The windows that run now.
    sequences: Range<usize>,
}

impl CorpusActivations {
    /// The places whose activations `interventions` resample or freeze; nothing has run yet.
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
                    EditKind::Resample => drop(activations.resampled.insert(place)),
                    EditKind::Clean => drop(activations.frozen.insert(place)),
                    _ => {}
                }
            }
        }
        if !activations.resampled.is_empty() && windows.n_sequences() < 2 {
            return Err(SurgeryError::NothingToResample);
        }
        check_tap(model, &Collected::new(&activations.resampled))?;
        check_tap(model, &Collected::new(&activations.frozen))?;
        Ok(activations)
    }

    /// With means that were measured before.
    pub(crate) fn with_means(self, means: &CorpusMeans, model: &dyn ResidualModel) -> Self {
        Self { means: means.activations(&model.device()), ..self }
    }

    /// Bytes of the activations that are held for one window.
    pub(crate) fn bytes(&self, shape: &ModelShape, seq_len: usize) -> usize {
        let floats = |(_, hook): &Place| shape.numbers_at(*hook, seq_len).unwrap_or(shape.d_model);
        self.resampled.iter().chain(&self.frozen).map(floats).sum::<usize>() * seq_len * size_of::<f32>()
    }

    /// Gets ready for the windows `sequences`.
    pub(crate) fn begin(
        &mut self,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        sequences: Range<usize>,
    ) -> Result<()> {
        let device = model.device();
        let collect = |places: &BTreeSet<Place>, windows_of: &dyn Fn(usize) -> usize| -> Result<_> {
            if places.is_empty() {
                return Ok(BTreeMap::new());
            }
            let tokens = |sequence: usize| {
                let window = windows_of(sequence);
                windows.batch(window..window + 1, &device)
            };
            let mut collected = Collected::new(places);
            model.forward(Tensor::cat(sequences.clone().map(tokens).collect(), 0), &mut collected)?;
            collected.all()
        };
        self.next = collect(&self.resampled, &|sequence| windows.next_of_other_document(sequence))?;
        self.clean = collect(&self.frozen, &|sequence| sequence)?;
        self.sequences = sequences;
        Ok(())
    }

    /// The rows of the context's windows, of activations of the windows that run now.
    fn of_windows(&self, all: &Activation, context: &EditContext) -> Activation {
        let first = self.sequences.start;
        let runs = context.windows.chunk_by(|a, b| a + 1 == *b);
        join(runs.map(|run| all.windows(run[0] - first..run[0] - first + run.len())).collect())
    }
}

impl CorpusValues for CorpusActivations {
    fn mean(&self, context: &EditContext, over: MeanOver) -> Option<Activation> {
        self.means.get(&((context.layer, context.hook), over)).cloned()
    }

    fn next_window(&self, context: &EditContext) -> Option<Activation> {
        let all = self.next.get(&(context.layer, context.hook))?;
        Some(self.of_windows(all, context))
    }

    fn clean(&self, context: &EditContext) -> Option<Activation> {
        let all = self.clean.get(&(context.layer, context.hook))?;
        Some(self.of_windows(all, context))
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
