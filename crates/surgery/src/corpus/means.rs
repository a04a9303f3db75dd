//! Means of activations over a corpus: [`CorpusMeans`], a [`MeanActivation`] for each that edits ask for.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{
    Activation, CoreError, EditKind, Hook, HookPoint, HookSet, MeanOver, ResidualModel, RunModel, Site, Tap,
    TokenWindows, check_tap,
};

use super::collected::Place;
use crate::{Intervention, Result};

/// The mean of one activation of the unchanged model over a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanActivation {
    /// The activation; the number of the point is the layer.
    pub point: HookPoint,
    /// Over which positions; of these, those that [count](TokenWindows::measured_from).
    pub over: MeanOver,
    /// The length of each axis, of three or four; axes that were averaged over have length 1.
    pub dims: Vec<usize>,
    /// The means in order of the axes.
    pub values: Vec<f32>,
}

/// The means that the edits of some interventions take from a corpus.
///
/// An executor measures them when it gets ready. Where many processes run parts of a corpus, one measures them with
/// [`Executor::means`](crate::Executor::means), and all give them to their executors with
/// [`Executor::with_means`](crate::Executor::with_means).
///
/// ```
/// use stratigraph_core::{Hook, MeanOver};
/// use stratigraph_surgery::{CorpusMeans, MeanActivation};
///
/// let point = Hook::MlpOut.at(3);
/// let mean = MeanActivation { point, over: MeanOver::All, dims: vec![1, 1, 2], values: vec![0.5, -1.0] };
/// let means = CorpusMeans::new([mean.clone()]);
/// assert_eq!(means.iter().collect::<Vec<_>>(), [&mean]);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CorpusMeans {
    means: BTreeMap<(Place, MeanOver), MeanActivation>,
}

impl CorpusMeans {
    /// These means; if two are of the same activation and positions, the last one counts.
    ///
    /// # Panics
    /// When a mean does not have three or four axes, or its number of values does not fit them.
    pub fn new(means: impl IntoIterator<Item = MeanActivation>) -> Self {
        let keyed = |mean: MeanActivation| {
            assert!(matches!(mean.dims.len(), 3 | 4), "{} has the axes {:?}", mean.point, mean.dims);
            assert_eq!(mean.dims.iter().product::<usize>(), mean.values.len(), "values of {}", mean.point);
            (((mean.point.slot, mean.point.hook), mean.over), mean)
        };
        Self { means: means.into_iter().map(keyed).collect() }
    }

    /// Each of them, layer by layer.
    pub fn iter(&self) -> impl Iterator<Item = &MeanActivation> {
        self.means.values()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.means.is_empty()
    }

    /// Whether these include all means that some interventions ask for.
    ///
    /// # Errors
    /// When an edit is in a slot with several layers.
    pub fn suffice_for(&self, interventions: &[Intervention]) -> Result<bool> {
        Ok(wanted(interventions)?.iter().all(|key| self.means.contains_key(key)))
    }

    /// Measures the means that interventions ask for by a pass over the corpus, `batch` windows at once, if they ask for
    /// any.
    pub(crate) fn measure(
        interventions: &[Intervention],
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        batch: usize,
    ) -> Result<Self> {
        let wanted = wanted(interventions)?;
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let (n, device, first) = (windows.n_sequences(), model.device(), windows.measured_from());
        let mut sums: BTreeMap<(Place, MeanOver), Sum> = BTreeMap::new();
        for start in (0..n).step_by(batch) {
            let mut batch_sums = BatchSums { wanted: &wanted, first, seen: BTreeMap::new() };
            model.forward(windows.batch(start..(start + batch).min(n), &device), &mut batch_sums)?;
            for (key, sum) in batch_sums.all()? {
                sums.entry(key).or_insert_with(|| Sum::of_window(sum.dims())).add(&sum.to_vec());
            }
        }
        Ok(Self::new(sums.into_iter().map(|(key, sum)| sum.mean(key, windows))))
    }

    /// The same on a device.
    pub(super) fn activations(&self, device: &Device) -> BTreeMap<(Place, MeanOver), Activation> {
        let activation = |mean: &MeanActivation| {
            let data = TensorData::new(mean.values.clone(), mean.dims.clone());
            match mean.dims.len() {
                3 => Activation::Wide(Tensor::from_data(data, device)),
                _ => Activation::Heads(Tensor::from_data(data, device)),
            }
        };
        self.means.iter().map(|(key, mean)| (*key, activation(mean))).collect()
    }
}

/// Refuses a model that does not offer an activation whose mean is asked for.
pub(crate) fn check_means(interventions: &[Intervention], model: &dyn ResidualModel) -> Result<()> {
    let wanted = wanted(interventions)?;
    Ok(check_tap(model, &BatchSums { wanted: &wanted, first: 0, seen: BTreeMap::new() })?)
}

/// The means that interventions ask for.
fn wanted(interventions: &[Intervention]) -> Result<BTreeSet<(Place, MeanOver)>> {
    let mut wanted = BTreeSet::new();
    for intervention in interventions {
        for edit in intervention.edits() {
            if let EditKind::Mean(over) = edit.kind() {
                wanted.insert(((intervention.layer_of(edit)?, edit.point().hook), *over));
            }
        }
    }
    Ok(wanted)
}

/// A sum over windows or batches of them, in f64.
struct Sum {
    dims: Vec<usize>,
    total: Vec<f64>,
}

impl Sum {
    /// Zero, of values `[windows, ..]`.
    fn of_window(mut dims: Vec<usize>) -> Self {
        dims[0] = 1;
        Self { total: vec![0.0; dims.iter().product()], dims }
    }

    /// Adds the values of one window after the other.
    fn add(&mut self, values: &[f32]) {
        for window in values.chunks(self.total.len()) {
            self.total.iter_mut().zip(window).for_each(|(total, x)| *total += f64::from(*x));
        }
    }

    fn mean(self, ((layer, hook), over): (Place, MeanOver), windows: &TokenWindows) -> MeanActivation {
        let n = windows.n_sequences();
        let count = match positions(over, windows.measured_from()) {
            Some(first) if !hook.is_square() => n * (windows.seq_len() - first),
            _ => n,
        } as f64;
        let values = self.total.iter().map(|sum| (sum / count) as f32).collect();
        MeanActivation { point: hook.at(layer), over, dims: self.dims, values }
    }
}

/// The first position that a mean is over, in a corpus whose activations count from `first` on; none where positions are not
/// averaged over.
fn positions(over: MeanOver, first: usize) -> Option<usize> {
    match over {
        MeanOver::Each => None,
        MeanOver::From(from) => Some(from.max(first)),
        _ => Some(first),
    }
}

/// Sums activations of a batch over the positions of each window, or over its windows where positions are told apart.
struct BatchSums<'a> {
    wanted: &'a BTreeSet<(Place, MeanOver)>,
    /// The first position whose activations count.
    first: usize,
    seen: BTreeMap<(Place, MeanOver), Activation>,
}

impl BatchSums<'_> {
    /// # Errors
    /// When a layer did not show one of the activations.
    fn all(self) -> Result<BTreeMap<(Place, MeanOver), Activation>> {
        match self.wanted.iter().find(|key| !self.seen.contains_key(key)) {
            Some(((layer, hook), _)) => Err(CoreError::EditNeverFired { point: hook.at(*layer) }.into()),
            None => Ok(self.seen),
        }
    }
}

impl Tap for BatchSums<'_> {
    fn hooks(&self) -> HookSet {
        self.wanted.iter().map(|((_, hook), _)| *hook).collect()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.wanted.iter().any(|(place, _)| *place == (site.layer, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        let place = (site.layer, hook);
        for &(wanted, over) in self.wanted.iter().filter(|(wanted, _)| *wanted == place) {
            let sum = match activation.clone() {
                Activation::Heads(x) if hook.is_square() => x.sum_dim(0).into(),
                Activation::Wide(x) => summed(x, positions(over, self.first)).into(),
                Activation::Heads(x) => summed(x, positions(over, self.first)).into(),
            };
            self.seen.insert((wanted, over), sum);
        }
        Ok(activation)
    }
}

/// `[batch, pos, ..]` summed over the positions from one on, `[batch, 1, ..]`, or over windows, `[1, pos, ..]`.
fn summed<const D: usize>(x: Tensor<D>, from: Option<usize>) -> Tensor<D> {
    match from {
        None => x.sum_dim(0),
        Some(0) => x.sum_dim(1),
        Some(first) => {
            let pos = x.dims()[1];
            x.narrow(1, first, pos - first).sum_dim(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_added_in_f64() {
        let values = [16_777_216.0f32, 0.0, 1.0, 0.0, 1.0, 0.0]; // 2^24, above which f32 has no odd numbers
        let x = Tensor::<3>::from_data(TensorData::new(values.to_vec(), [3, 2, 1]), &Device::flex());
        let sums = Activation::from(summed(x, Some(0)));
        let mut sum = Sum::of_window(sums.dims());
        sum.add(&sums.to_vec());
        assert_eq!((sum.dims, sum.total), (vec![1, 1, 1], vec![16_777_218.0]));
    }
}
